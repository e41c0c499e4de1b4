"""The smallest failing input found, and the short string that makes it again, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from softjac._errors import ArgumentError
from softjac.oracle.calls.call import Layout
from softjac.oracle.failure import Batch, Failure
from softjac.oracle.findings import Counterexample
from softjac.oracle.planning.plan import EFFORTS, Effort, Task
from softjac.oracle.trial import Trial

__all__ = ["Replay", "counterexamples", "encode", "fails_anew", "parse", "rerun"]

Array = np.ndarray[Any, np.dtype[Any]]

# Checks whose failure one call shows again; the others are run again whole.
ONE_CALL = ("values", "memory", "empty")

# Whether a row is summed once, or afresh for every element, as the end of a replay string says it.
SUMS = ("once", "afresh")


def counterexamples(trial: Trial) -> list[Counterexample]:
    """One counterexample for each check that failed, the smallest found; first those that replay.

    What a candidate gets wrong only after other calls, one call by itself does not show again.
    """
    found: list[tuple[bool, Counterexample]] = []
    by_state = any(failure.check == "state" for failure in trial.failures)
    for check in dict.fromkeys(failure.check for failure in trial.failures):
        mine = [failure for failure in trial.failures if failure.check == check]
        mine.sort(key=lambda f: (f.kind != "value", f.batch.task.n, f.batch.rows))
        smallest = next((failure for failure in mine if _is_wrong(trial, failure)), mine[0])
        if smallest.kind == "value":
            smallest = shrink(trial, smallest)
        described = _described(trial, smallest)
        alone = not by_state or check not in ONE_CALL or _fails_alone(trial, smallest)
        if not alone:
            described.detail += ", only after other calls"
        found.append((alone, described))
    return [described for _, described in sorted(found, key=lambda item: not item[0])]


def _is_wrong(trial: Trial, failure: Failure) -> bool:
    """Whether a failing row is wrong beyond doubt, judged exactly: of many only a few were."""
    batch, row = failure.batch, slice(failure.row, failure.row + 1)
    if failure.kind != "value" or batch.judged is None:
        return True
    given = {role: array[row] for role, array in batch.inputs.items()}
    exactly = trial.judged(given, batch.task.scale, batch.got[row]).result()[1]
    batch.judged.replace(np.array([failure.row]), exactly)
    return bool(exactly.ratio[0] > 1.0)


def _fails_alone(trial: Trial, failure: Failure) -> bool:
    """Whether a failing value is wrong in a new process too."""
    return failure.kind != "value" or trial.candidate.kind != "c" or fails_anew(trial, failure)


def fails_anew(trial: Trial, failure: Failure, *, times: int = 1) -> bool:
    """Whether a failing call is wrong in a new process each of so many times."""
    with trial.anew():
        batches = trial.run_aside([failure.batch.task] * times)
    trial.judge(batches)
    return all(batch.failed().any() for batch in batches)


def shrink(trial: Trial, failure: Failure) -> Failure:
    """A failure on the shortest, plainest row that shows it; the given one where none does."""
    task = failure.batch.task
    for candidate in _smaller(trial, task):
        batch = trial.run_aside([candidate])[0]
        trial.judge([batch])
        for row in np.flatnonzero(batch.failed()):
            alone = _alone(trial, batch, int(row))
            if alone is not None:
                return replace(alone, check=failure.check)
        if batch.failed().any():
            batch = _of_few_rows(trial, batch)
            return Failure(failure.check, "value", batch, int(batch.failed().argmax()))
    alone = _alone(trial, failure.batch, failure.row)
    return failure if alone is None else replace(alone, check=failure.check)


def _smaller(trial: Trial, task: Task) -> Iterator[Task]:
    """Plain rows of growing length, first one a call, then two, then many."""
    limit = min(task.n, 40)
    sizes = [
        *range(1, limit + 1),
        *(n for n in (64, 65, 128, 129, 256) if limit < n < task.n),
        task.n,
    ]
    for n in dict.fromkeys(sizes):
        for rows in (20, 2) if trial.candidate.takes_rows else (20,):
            wanted = Task("simple", n, rows, 0, scale=task.scale, layout=task.layout)
            made = trial.shapes.moved(trial.trimmed(wanted), longer=1)
            if made is not None and trial.allows(made) and trial.affordable(n):
                yield made


def _of_few_rows(trial: Trial, batch: Batch) -> Batch:
    """The first rows of a batch, so few as still fail together; or all of them."""
    for rows in (2, 3, 5):
        few = replace(batch.task, rows=rows)
        if rows < batch.task.rows and trial.allows(few):
            made = trial.run_aside([few])[0]
            trial.judge([made])
            if made.failed().any():
                return made
    return batch


def _alone(trial: Trial, batch: Batch, row: int) -> Failure | None:
    """The failure of one row in a call of its own, if it fails there too."""
    if batch.task.pick is not None or batch.task.rows == 1:
        return None
    task = batch.task.single(row)
    if not trial.allows(task):
        return None
    single = trial.run_aside([task])[0]
    trial.judge([single])
    return Failure("", "value", single, 0) if single.failed().any() else None


def _described(trial: Trial, failure: Failure) -> Counterexample:
    """A failure as the reports show it."""
    batch, n = failure.batch, failure.batch.task.n
    row, index = failure.row, None
    shape = (n, n) if trial.op.output == "jac" else (n,)
    got = expected = None
    if batch.ok.any() and batch.got.size:
        got = batch.got.reshape(batch.rows, *shape)
        if batch.exact is not None:
            expected = batch.exact.reshape(batch.rows, *shape)
    if failure.kind == "value" and batch.judged is not None:
        place = int(batch.judged.index[row])
        index = (row, *(int(part) for part in np.unravel_index(place, shape)))
    return Counterexample(
        check=failure.check,
        n=n,
        rows=batch.rows,
        inputs=batch.inputs,
        got=got,
        expected=expected,
        index=index,
        replay=encode(Replay(failure.check, batch.task, trial.effort, trial.seed, trial.own_sums)),
        detail=failure.told(),
        scale=batch.task.scale,
    )


class Replay(NamedTuple):
    """A task under a check, in a run of this effort and seed.

    own_sums says whether the candidate was slow enough to sum afresh for every element.
    """

    check: str
    task: Task
    effort: Effort
    seed: int
    own_sums: bool


def encode(replay: Replay) -> str:
    """The string that stands for it."""
    task = replay.task
    layout = task.layout
    alias = "=".join(layout.alias) if layout.alias else ""
    pick = "" if task.pick is None else task.pick
    family = task.family.replace(" ", "_")
    parts: list[object] = [
        replay.check,
        family,
        task.n,
        task.rows,
        task.seed,
        pick,
        task.scale.hex(),
    ]
    parts += [
        layout.side,
        f"{layout.offset}+{layout.apart}" if layout.apart else layout.offset,
        layout.gap,
        layout.spread,
        layout.view,
        alias,
        layout.blocks,
        replay.effort.name,
        replay.seed,
        SUMS[replay.own_sums],
    ]
    return ":".join(str(part) for part in parts)


def parse(text: str) -> Replay:
    """What a string stands for.

    Raises:
        ArgumentError: not a replay string of this version.
    """
    parts = text.strip().split(":")
    try:
        check, family, n, rows, seed, pick, scale, side, *places, view, alias, blocks = parts[:-3]
        effort, run_seed, own_sums = EFFORTS[parts[-3]], int(parts[-2]), bool(SUMS.index(parts[-1]))
        pair = tuple(alias.split("=")) if alias else None
        offset, _, apart = places[0].partition("+")
        gap, spread = map(int, places[1:])
        layout = Layout(side, int(offset), gap, spread, view, pair, int(blocks), apart or None)  # type: ignore[arg-type]
        chosen = int(pick) if pick else None
        family = family.replace("_", " ")
        task = Task(family, int(n), int(rows), int(seed), chosen, float.fromhex(scale), layout)
        task.specs()
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ArgumentError(
            f"not a replay string of this version: {text[:60]!r}; copy it from the report whole"
        ) from error
    return Replay(check, task, effort, run_seed, own_sums)


def rerun(trial: Trial, task: Task) -> None:
    """Makes one call again, and keeps what fails."""
    batch = trial.run([task])[0]
    trial.judge([batch])
    trial.collect("values", batch)
