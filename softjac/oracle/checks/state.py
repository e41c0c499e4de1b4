"""state: the same inputs give the same bits, whatever was computed before, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from softjac.oracle.calls.call import Layout
from softjac.oracle.conclusion import Result, conclusion
from softjac.oracle.failure import Batch, Failure, bits
from softjac.oracle.planning.plan import ROOMY, Task
from softjac.oracle.trial import Trial

Inputs = dict[str, np.ndarray[Any, np.dtype[Any]]]

# How often a call is made that goes wrong once in a thousand times.
REPEATS = 1200

LENGTHS = (5, 33, 40, 1000, 20_000)

# Up to which length inputs are changed in a part alone.
PARTLY = 1000

# Between logits in the same storage: nothing that was kept of the ones serves the others.
APART = 2000.0


def check(trial: Trial) -> Result:
    """Calls again, after other sizes, and with the same storage refilled by other rows."""
    calls, told = trial.calls, []
    if trial.candidate.kind == "c":
        _first_of_all(trial)
        _often(trial)
        _after_nothing(trial)
    else:
        _large(trial)
    planned = (Task("kinds", n, 8, trial.seed + 3) for n in LENGTHS)
    for task in trial.possible(trial.shapes.at_scales(planned)):
        rounds = 3 if trial.effort.name == "quick" else 8
        sequence = [task, task, *_others(trial, task), *[task] * rounds]
        batches = trial.run(sequence)
        first = batches[0]
        for place, (batch, asked) in enumerate(zip(batches[1:], sequence[1:], strict=True)):
            if asked is not task:
                trial.judge_later([batch], partial(trial.collect, "state"))
                continue
            _compare(trial, first, batch, "at once" if place == 0 else "after other calls")
        _refill(trial, task.n)
        if task.n <= PARTLY and task.scale == 1.0:
            several = replace(task, family="plain", seed=task.seed + 6)
            alone = replace(several, pick=task.size // 2)
            for part in (several, alone):
                if trial.allows(part):
                    _change_parts(trial, part)
        if trial.candidate.kind == "c":
            step = max(1, trial.candidate.align // trial.dtype.itemsize)
            moved = trial.run([replace(task, layout=replace(ROOMY, offset=64 + step))])[0]
            both = first.ok & moved.ok
            if (bits(first.got) != bits(moved.got))[both].any():
                told.append(f"other bits at another address (n = {task.n}): peels to alignment")
    trial.failures += trial.harvest("state", "reused")
    return conclusion(trial, "state", calls=calls, reported=told[:1])


def _compare(trial: Trial, first: Batch, again: Batch, when: str) -> None:
    """Keeps the rows whose bits are others the second time."""
    differ = (bits(first.got) != bits(again.got)).any(axis=1) & first.ok & again.ok
    for row in np.flatnonzero(differ)[:2]:
        detail = f"{when}, other bits for the same inputs"
        trial.failures.append(Failure("state", "state", again, int(row), detail))


def _first_of_all(trial: Trial) -> None:
    """Judges the first call that a process makes, of a short row and of a long one."""
    for task in trial.possible(Task("plain", n, 1, trial.seed) for n in (64, 1000)):
        with trial.anew():
            batch = trial.run_aside([task])[0]
        trial.judge_later([batch], partial(trial.collect, "state"))


def _often(trial: Trial) -> None:
    """One short call again and again."""
    for task in trial.possible([Task("plain", 16, 1, trial.seed)]):
        batches = trial.run([task] * REPEATS)
        for batch in batches[1:]:
            _compare(trial, batches[0], batch, "at once")
            if trial.fails("state"):
                return


def _large(trial: Trial) -> None:
    """Calls whose results are of some megabytes, which may all lie in one block of memory."""
    planned = (Task("plain", 65_537, 8, trial.seed + number) for number in range(3))
    trial.run([trial.trimmed(task) for task in trial.possible(planned)])


def _after_nothing(trial: Trial) -> None:
    """A call, again after one of no classes and after one of no rows, where these are allowed."""
    for task in trial.possible([Task("plain", 33, 8, trial.seed + 3)]):
        first = trial.run([task])[0]
        for n, rows in (0, 1), (5, 0):
            nothing = Task("simple", n, rows, layout=Layout())
            if trial.candidate.allows(n, rows, trial.shapes.strides(nothing)):
                trial.run_aside([nothing])
                _compare(trial, first, trial.run([task])[0], "after a call of nothing")


def _refill(trial: Trial, n: int) -> None:
    """Judges one row in the same storage with its logits, and with such far below and above."""
    if "x" not in trial.candidate.inputs:
        return
    for task in trial.possible([Task("plain", n, 1, trial.seed + 6)]):
        inputs, _ = trial.calls_of(task)
        for offset in (0.0, -APART, APART):
            moved = (inputs["x"].astype(np.float64) + offset).astype(trial.dtype)
            batch = trial.run_inputs(task, {**inputs, "x": moved})
            trial.judge_later([batch], partial(trial.collect, "state"))


def _change_parts(trial: Trial, task: Task) -> None:
    """Judges calls with inputs of which a part alone is not as in the call before.

    The rows are plain ones, before and after, as the task says that goes with them.
    """
    first, other = (trial.calls_of(one)[0] for one in (task, replace(task, seed=task.seed + 1)))
    for changed in _in_part(first, other, trial.op.vector):
        trial.run_aside([task])
        batch = trial.run_inputs(task, changed)
        trial.judge_later([batch], partial(trial.collect, "state"))


def _in_part(first: Inputs, other: Inputs, vector: str | None) -> Iterator[Inputs]:
    """Inputs like the first: but the last row, all but the first, two neighbours, or one role."""
    for part in (slice(-1, None), slice(1, None)):
        changed = {role: array.copy() for role, array in first.items()}
        for role, array in changed.items():
            array[part] = other[role][part]
        yield changed
    rows, n = next(iter(first.values())).shape
    if n > 1:
        row, here = _unremarkable(rows, n)
        changed = {role: array.copy() for role, array in first.items()}
        for role, array in changed.items():
            array[row, here : here + 2] = first[role][row, here : here + 2][::-1]
        yield changed
    if vector is not None and len(first) > 1:
        yield {**first, vector: other[vector]}
        yield {**other, vector: first[vector]}


def _unremarkable(rows: int, n: int) -> tuple[int, int]:
    """Where two neighbours are that no sample of the elements holds, as every fourth or tenth."""
    row = rows // 2
    places = [row * n + column for column in range(n // 2 - 1, n - 1)]
    hidden = (at for at in places if all(at % step and (at + 1) % step for step in (3, 4, 5, 7)))
    return row, next(hidden, places[0]) - row * n


def _others(trial: Trial, task: Task) -> list[Task]:
    """What is computed in between: the same rows at another scale, other rows, other lengths."""
    sizes = (task.n + 8, max(task.n // 2 // 8 * 8, 1), task.n + 64)
    others = trial.possible(Task("random", size, 8, trial.seed + 4) for size in sizes)
    rescaled = replace(task, scale=2.5 if task.scale == 1.0 else 1.0)
    same = [rescaled] if trial.candidate.takes_scale else []
    return [*same, replace(task, seed=task.seed + 1), *others]
