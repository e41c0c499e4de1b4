"""nonfinite: -inf is probability 0; NaN, +inf and rows of -inf follow JAX, or are told."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle.failure import Failure
from softjac.oracle.findings import CheckResult
from softjac.oracle.plan import Task
from softjac.oracle.trial import Trial


def check(trial: Trial) -> CheckResult:
    """Judges masked rows always, and the rest where the candidate claims to follow JAX.

    What becomes of a row of NaN, +inf or nothing but -inf is its policy; the rows beside it in the
    same call are judged like any.
    """
    if "x" not in trial.candidate.inputs:
        return CheckResult("nonfinite", "skipped", detail="takes no logits")
    calls = trial.calls
    told: list[str] = []
    planned = (Task("masks", n, 8, trial.seed + 21) for n in (1, 2, 7, 8, 9, 33, 67))
    for task in trial.possible(planned):
        n, batch = task.n, trial.run([task])[0]
        trial.judge([batch])
        trial.collect("nonfinite", batch)
        for name, column, value in (
            ("NaN first", 0, np.nan),
            ("NaN in the middle", n // 2, np.nan),
            ("NaN last", n - 1, np.nan),
            ("+inf", n // 3, np.inf),
            ("all -inf", slice(None), -np.inf),
        ):
            several = trial.shapes.moved(Task("simple", n, 6, trial.seed), longer=1)
            if trial.candidate.takes_rows and several is not None:
                _beside(trial, several, column, value)
            alone = trial.shapes.moved(Task("simple", n, 1, trial.seed), longer=1)
            if alone is not None and not _follows(trial, alone, column, value):
                told.append(name)
                if trial.candidate.nonfinite == "strict":
                    detail = f"{name}: JAX gives NaN, the candidate does not"
                    trial.failures.append(Failure("nonfinite", "policy", batch, 0, detail))
    listed = ", ".join(dict.fromkeys(told))
    report = [f"not NaN, as JAX gives, for: {listed}"] if told else []
    return trial.result("nonfinite", calls=calls, reported=report)


def _beside(trial: Trial, task: Task, column: Any, value: float) -> None:
    """Judges the rows of a call two of whose rows hold such logits."""
    inputs, _ = trial.calls_of(task)
    inputs["x"] = inputs["x"].copy()
    special = np.array([0, 3])
    inputs["x"][special, column] = value
    batch = trial.run_inputs(task, inputs)
    trial.judge([batch])
    batch.ok[special] = False
    trial.collect("nonfinite", batch)


def _follows(trial: Trial, task: Task, column: Any, value: float) -> bool:
    """Whether rows with such logits come out NaN, as in `jax.nn`."""
    inputs, _ = trial.calls_of(task)
    inputs["x"] = inputs["x"].copy()
    inputs["x"][:, column] = value
    batch = trial.run_inputs(task, inputs)
    return bool(not batch.ok.all() or np.isnan(batch.got).any(axis=1).all())
