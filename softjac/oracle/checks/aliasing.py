"""aliasing: in place gives the same answer, where the candidate claims to allow it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softjac.oracle.conclusion import Result, conclusion, skipped
from softjac.oracle.failure import Batch, Failure
from softjac.oracle.planning.plan import MANY_ROWS, ROOMY, Task, crowd
from softjac.oracle.trial import Trial

LENGTHS = (1, 3, 8, 9, 16, 33, 100, 1000, 4099, 20_005, 65_539)


def check(trial: Trial) -> Result:
    """Judges the pairs it claims; tells how the others do."""
    calls, told = trial.calls, []
    claimed = list(trial.candidate.in_place)
    output = trial.op.output
    others = [] if output == "jac" else [(output, role) for role in trial.candidate.inputs]
    if trial.candidate.kind == "python" and not claimed:
        return skipped("aliasing", "a Python callable returns its own array")
    if not claimed and not others:
        return skipped("aliasing", "no input has the size of a Jacobian")
    for pair in claimed or others:
        before = trial.calls
        wrong = _first_wrong(trial, pair)
        if trial.calls == before:
            continue
        if wrong is None:
            told.append(f"{pair[0]} = {pair[1]} works")
        elif claimed:
            trial.failures.append(wrong)
        else:
            told.append(f"{pair[0]} = {pair[1]} is wrong")
    return conclusion(trial, "aliasing", calls=calls, reported=() if claimed else told)


def _first_wrong(trial: Trial, pair: tuple[str, str]) -> Failure | None:
    """The first row that is wrong when output and input share memory."""
    found: list[Failure] = []

    def take(batch: Batch) -> None:
        for row in np.flatnonzero(batch.failed() | ~batch.ok)[:1]:
            told = f"{pair[0]} is {pair[1]}"
            found.append(Failure("aliasing", "aliasing", batch, int(row), told))

    layout = replace(ROOMY, alias=pair)
    shapes = [*((n, crowd(n)) for n in LENGTHS), (40, MANY_ROWS)]
    planned = (Task("kinds", n, rows, trial.seed + 9, layout=layout) for n, rows in shapes)
    for task in trial.possible(trial.shapes.at_scales(planned)):
        batch = trial.run_aside([task])[0]
        trial.judge_later([batch], take)
        if found or not batch.ok.all():
            break
    trial.settle()
    return found[0] if found else None
