"""Wrong in some circumstances only: other memory, other rows, other calls, an older process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from softjac.oracle.counterexample import fails_anew
from softjac.oracle.explaining.evidence import Evidence
from softjac.oracle.explaining.inquiry import overflowing
from softjac.oracle.failure import Batch, counted
from softjac.oracle.planning.plan import Task
from softjac.oracle.storage import held_before
from softjac.oracle.trial import Trial

__all__ = ["following", "fresh", "gaps", "layout", "masked", "refilled", "rows"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

# A new process has tried a Python callable on rows of so many, to see which arrays it takes.
FIRST = 3


def layout(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong after other calls, or at some alignments, only."""
    values = [failure for failure in trial.failures if failure.kind == "value"]
    checks = {failure.check for failure in values} - {"threads"}  # which spoil any place
    if checks == {"state"} and not any(
        fails_anew(trial, failure, times=2) for failure in values[:10]
    ):
        yield "stale-state", 1.0, "wrong only after some calls, or before any"
    if checks == {"memory"} and trial.candidate.kind == "c":
        tasks = [f.batch.task for f in trial.failures if f.check == "memory" and f.kind == "value"]
        if all(task.layout.has_gaps for task in tasks):
            yield "row-stride", 1.0, "wrong only where rows lie further apart than n"


def gaps(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only for views with strides (Python)."""
    checks = {failure.check for failure in trial.failures if failure.kind == "value"}
    if checks == {"memory"} and trial.candidate.kind == "python":
        views = {f.batch.task.layout.view for f in trial.failures if f.check == "memory"}
        if "contiguous" not in views:
            yield "row-stride", 1.0, f"wrong only for {', '.join(sorted(views))} arrays"


def masked(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Only rows with entries of -inf are wrong: NaN, or a weight where there is none."""
    failing = passed = 0
    floors: list[Array] = []
    for item in items:
        given = item.batch.inputs.get("x", item.batch.inputs.get("y"))
        if given is None or item.got.shape != given.shape:
            return
        mask = np.isneginf(given.astype(np.float64))
        spoilt = np.isnan(item.got) | (mask & (item.got != item.exact))
        if (item.failed & ~(mask.any(axis=1) & spoilt.any(axis=1))).any():
            return
        failing += int(item.failed.sum())
        passed += int((item.passed & ~mask.any(axis=1)).sum())
        if trial.op.vector is None:
            floors.append(_depths(trial, item, mask))
    if failing < 2 or passed < 20 or _all_left(trial, items):
        return
    depths = np.concatenate(floors) if floors else np.empty(0)
    steady = np.isfinite(depths).all() and np.ptp(depths) < 1e-2 if depths.size else False
    weighs = depths.size > 0 and 1.0 < depths.min() < 2.0 * overflowing(trial)
    if depths.size >= failing and steady and weighs:
        told = counted(failing, "failing row")
        words = f"exp(-inf - max) is exp(-{np.median(depths):.4g}) on each of {told}"
        yield "exp-clamped", 1.0, words
    else:
        yield (
            "masked-row-policy",
            1.0,
            f"{counted(failing, 'failing row')}, each with entries of -inf",
        )


def _depths(trial: Trial, item: Evidence, mask: Array) -> Array:
    """How far below the largest result those of -inf lie, as logarithms, in the failing rows.

    Where subnormal numbers hold too few bits to tell, nothing is said of them.
    """
    spoilt = mask & item.failed[:, None]
    with np.errstate(all="ignore"):
        logs = item.got if trial.op.logarithmic else np.log(item.got)
        faint = np.abs(item.got) < trial.precision.tiny * 2.0**-14
        blunt = faint & (item.got != 0.0) & (not trial.op.logarithmic)
        below = logs.max(axis=1, keepdims=True) - logs
    return np.asarray(below[spoilt & ~blunt])


def rows(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows that are wrong among others, and right alone."""
    if not trial.candidate.takes_rows:
        return
    late = _late(trial)
    tried = 0
    for item in items:
        for row in np.flatnonzero(item.failed)[:2]:
            task = item.batch.task
            if task.pick is not None or task.rows == 1 or not trial.allows(task.single(int(row))):
                continue
            with trial.anew() if late else contextlib.nullcontext():
                alone = trial.run_aside([task.single(int(row))])[0]
            trial.judge([alone])
            if alone.failed().any() or not alone.ok.all():
                return
            tried += 1
        if tried >= 8:
            break
    if not tried:
        return
    words = f"{counted(tried, 'row')} wrong among others, right alone"
    if _all_left(trial, items):
        yield "output-not-written", 1.0, f"{words}: they keep what the output held"
    elif any(f.kind in ("fault", "outside") for f in trial.failures):
        yield "row-stride", 1.0, words
    elif late:
        yield "stale-state", 1.0, f"{words} in a new process"
    else:
        yield "unknown", 1.0, words


def _late(trial: Trial) -> bool:
    """Whether calls of one row are wrong after other calls, and right in a new process."""
    values = [f.batch for f in trial.failures if f.check == "state" and f.kind == "value"]
    alone = [batch for batch in values if batch.task.size == 1][:3]
    for batch in alone:
        with trial.anew(), trial.aside():
            again = trial.run_inputs(batch.task, batch.inputs)
        trial.judge([again])
        if again.failed().any():
            return False
    return bool(alone)


def _all_left(trial: Trial, items: list[Evidence]) -> bool:
    """Whether every wrong row is what the output held before, whatever that was."""
    if trial.candidate.kind != "c":
        return False
    failing = [item for item in items if item.failed.any()]
    if not all(np.isnan(item.got[item.failed]).all() for item in failing):
        return False
    held = held_before(trial.candidate.dtype, "finite")
    with trial.aside():
        again = trial.run([item.batch.task for item in failing[:4]], poison="finite")
    pairs = zip(failing, again, strict=False)
    return all(bool((batch.got[item.failed] == held).all()) for item, batch in pairs)


def fresh(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows that are wrong alone after other calls, but right in a new process."""
    failing = [item for item in items if item.failed.any() and item.got.size < 100_000]
    longest = Task("plain", max(trial.lengths, default=1), 1, trial.seed)  # it may be remembered
    others = [t for t in (*(i.batch.task for i in failing), longest) if trial.allows(t)]
    alone = [
        item.batch.task.single(int(row))  # two of a length: they may share what is kept
        for item in failing
        for row in np.flatnonzero(item.failed)[:2]
    ]
    alone = [task for task in alone if trial.allows(task)]
    alone = ([task for task in alone if task.n > FIRST] or alone)[:6]
    if trial.candidate.takes_rows:  # a row alone is another call than the one that failed
        alone = _wrong_after(trial, others, alone)
    for task in alone:
        with trial.anew():
            there = _again(trial, [task])[0]
        if there.failed().any() or not there.ok.all():
            return
    if alone:
        yield (
            "stale-state",
            1.0,
            f"{counted(len(alone), 'row')} wrong here, right in a new process",
        )


def _wrong_after(trial: Trial, others: list[Task], alone: list[Task]) -> list[Task]:
    """Those of these calls that are wrong after the others, and one of their own shape."""
    pairs = [one for task in alone for one in (replace(task, seed=task.seed + 1), task)]
    after = _again(trial, [*others[::-1], *pairs])[len(others) + 1 :: 2]
    if not any(batch.failed().any() for batch in after):  # the process may be another by now
        with trial.anew():
            after = _again(trial, [*others, *pairs])[len(others) + 1 :: 2]
    return [task for task, batch in zip(alone, after, strict=True) if batch.failed().any()]


def refilled(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Calls that are right by themselves, and wrong where other data lay in the same memory."""
    failing = [item.batch for item in items if item.failed.any() and item.got.size < 100_000]
    failing = failing[:: max(1, len(failing) // 6)]
    wrong = 0
    for batch in failing:
        others = {role: np.ascontiguousarray(a[:, ::-1]) for role, a in batch.inputs.items()}
        for before in ([], [_moved(trial, batch)], [others]):
            twice = [_last_fails(trial, batch, before) for _ in range(2)]
            if not before and any(twice):
                return
            wrong += bool(before) and all(twice)
    if wrong:
        words = f"{counted(len(failing), 'call')} wrong after others, right in a new process"
        yield "stale-state", 1.0, words


def following(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows that are right in a new process, and wrong there after a call of the row before them."""
    failing = [item for item in items if item.failed[1:].any() and item.got.size < 100_000]
    wrong = 0
    for item in failing[:: max(1, len(failing) // 6)]:
        row = int(np.flatnonzero(item.failed[1:])[0]) + 1
        before, task = item.batch.task.single(row - 1), item.batch.task.single(row)
        if item.batch.task.pick is not None or not (trial.allows(before) and trial.allows(task)):
            continue
        for tasks in ([task], [before, task]):
            with trial.anew():
                there = _again(trial, tasks)[-1]
            if there.failed().any() and len(tasks) == 1:
                return
            wrong += bool(there.failed().any())
    if wrong:
        words = f"{counted(wrong, 'row')} wrong after the row before, right in a new process"
        yield "stale-state", 1.0, words


def _moved(trial: Trial, batch: Batch) -> dict[str, Array]:
    """A call's inputs with other logits, far above."""
    moved = dict(batch.inputs)
    if "x" in moved:
        moved["x"] = (moved["x"].astype(np.float64) + 2000.0).astype(trial.dtype)
    return moved


def _last_fails(trial: Trial, batch: Batch, before: list[dict[str, Array]]) -> bool:
    """Whether a call is wrong in a new process, after others of its shape."""
    with trial.anew(), trial.aside():
        again = [trial.run_inputs(batch.task, inputs) for inputs in [*before, batch.inputs]][-1]
    trial.judge([again])
    return bool(again.failed().any() or not again.ok.all())


def _again(trial: Trial, tasks: list[Task]) -> list[Batch]:
    """The same calls again, judged."""
    batches = trial.run_aside(tasks)
    trial.judge(batches)
    return batches
