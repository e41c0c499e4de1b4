"""nonfinite: -inf is probability 0; NaN, +inf and rows of -inf follow JAX, or are told."""

from __future__ import annotations

import numpy as np

from softjac.oracle.conclusion import Result, conclusion, skipped
from softjac.oracle.failure import Batch, Failure
from softjac.oracle.inputs import NONFINITE
from softjac.oracle.planning.plan import Task, crowd
from softjac.oracle.trial import Trial


def check(trial: Trial) -> Result:
    """Judges masked rows always, and the rest where the candidate claims to follow JAX.

    What becomes of a row of NaN, +inf or nothing but -inf is its policy; the rows beside it in the
    same call are judged like any.
    """
    if "x" not in trial.candidate.inputs:
        return skipped("nonfinite", "takes no logits")
    calls = trial.calls
    told: list[str] = []
    planned = (Task("masks", n, 8, trial.seed + 21) for n in (1, 2, 7, 8, 9, 33, 67, 200))
    for task in trial.possible(trial.shapes.at_scales(planned)):
        n, batch = task.n, trial.run([task])[0]
        trial.judge([batch])
        trial.collect("nonfinite", batch)
        trial.failures += trial.harvest("nonfinite", "raised")
        for kind in NONFINITE:
            others = Task(kind, n, crowd(n), trial.seed, scale=task.scale)
            several = trial.shapes.moved(trial.trimmed(others), longer=1)
            if trial.candidate.takes_rows and several is not None:
                _beside(trial, several)
            alone = trial.shapes.moved(Task(kind, n, 1, trial.seed, scale=task.scale), longer=1)
            if alone is None:
                continue
            one = trial.run([alone])[0]
            if not _follows(trial, one):
                told.append(kind)
                if trial.candidate.nonfinite == "strict":
                    detail = f"{kind}: JAX gives NaN, the candidate does not"
                    trial.failures.append(Failure("nonfinite", "policy", one, 0, detail))
    listed = ", ".join(dict.fromkeys(told))
    report = [f"not NaN, as JAX gives, for: {listed}"] if told else []
    return conclusion(trial, "nonfinite", calls=calls, reported=report)


def _beside(trial: Trial, task: Task) -> None:
    """Judges the rows beside those that hold such logits."""
    batch = trial.run([task])[0]
    _refusals(trial, batch)  # `_follows` tells of them
    trial.judge([batch])
    batch.ok[[row.logits in NONFINITE for row in task.specs()]] = False
    trial.collect("nonfinite", batch)


def _follows(trial: Trial, batch: Batch) -> bool:
    """Whether rows with such logits come out NaN, as in `jax.nn`."""
    if _refusals(trial, batch):
        return False
    special = [row.logits in NONFINITE for row in batch.task.specs()]
    return bool(not batch.ok.all() or np.isnan(batch.got[special]).any(axis=1).all())


def _refusals(trial: Trial, batch: Batch) -> list[Failure]:
    """Takes the incidents of calls that refused such logits, by an exception or a status."""
    return trial.harvest(
        "nonfinite", "raised", "refused", which=lambda incident: incident.batch is batch
    )
