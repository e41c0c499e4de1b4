"""empty: with no classes or no rows nothing is done, and the call returns."""

from __future__ import annotations

from softjac.oracle.calls.call import Layout
from softjac.oracle.conclusion import Result, conclusion, skipped
from softjac.oracle.failure import Failure
from softjac.oracle.incidents import fits
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial


def check(trial: Trial) -> Result:
    """A C candidate must return; a Python callable gives an empty array, or raises, as is told."""
    calls, tried = trial.calls, 0
    refused: dict[str, list[str]] = {}
    many = trial.candidate.takes_rows
    shapes = [(0, 1), (0, 3), (5, 0), (0, 0)] if many else [(0, 1)]
    planned = (Task("simple", n, rows, layout=Layout()) for n, rows in shapes)
    for task in trial.shapes.at_scales(planned):
        n, rows = task.n, task.rows
        if not trial.candidate.allows(n, rows if many else 1, trial.shapes.strides(task)):
            continue
        tried += 1
        batch = trial.run_aside([task])[0]
        shape = trial.op.shape(rows, n)
        for outcome in batch.outcomes:
            if outcome.status == "refused" or (
                outcome.status == "raised" and trial.candidate.kind == "python"
            ):
                said = outcome.message or "a status"
                refused.setdefault(said, []).append(f"n = {n}, rows = {rows}")
            elif outcome.status != "ok" or outcome.outside or outcome.changed:
                detail = f"{outcome.status} at n = {n}, rows = {rows}"
                trial.failures.append(Failure("empty", "empty", batch, 0, detail, outcome))
            elif trial.candidate.kind == "python" and not fits(outcome, shape):
                output = outcome.output
                came = outcome.message if output is None else f"returned shape {output.shape}"
                detail = f"{came}, at n = {n}, rows = {rows}"
                trial.failures.append(Failure("empty", "shape", batch, 0, detail, outcome))
    if not tried:
        return skipped("empty", "excluded by the preconditions")
    told = [f"refuses {'; '.join(dict.fromkeys(p))}: {said}" for said, p in refused.items()]
    return conclusion(trial, "empty", calls=calls, reported=told)
