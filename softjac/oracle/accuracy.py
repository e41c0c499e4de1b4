"""How accurate a candidate is where it is right: worst error, how it sums, whether tails are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import reference
from softjac.oracle.findings import Accuracy, CheckResult
from softjac.oracle.plan import Task
from softjac.oracle.trial import Batch, Trial

__all__ = ["measure"]

Array = np.ndarray[Any, np.dtype[Any]]

TAILS = ("saturated", "deep", "spike", "offset+1e2", "offset-1e2", "offset+2e4", "offset-2e4")


def measure(trial: Trial) -> tuple[Accuracy | None, CheckResult]:
    """The accuracy and the line that tells it; a refuted candidate has none worth telling."""
    calls = trial.calls
    if trial.fails("values") or not trial.passed:
        return None, CheckResult("accuracy", "skipped", detail="no right values to measure")
    worst = max((ratio for ratio in trial.worst.values()), default=0.0)
    ulp = max(_worst_ulp(trial, batch) for batch in trial.passed)
    tails = _tails(trial)
    kind = _kind(trial)
    said = {True: "kept", False: "lost", None: "not measured"}[tails]
    detail = f"sums like: {kind}; worst {ulp:.3g} ulp; tails {said}"
    found = Accuracy(kind, ulp, worst, tails)
    return found, CheckResult("accuracy", "reported", trial.calls - calls, worst, detail)


def _worst_ulp(trial: Trial, batch: Batch) -> float:
    """The worst error of a batch in units in the last place of C, the condition number."""
    if batch.exact is None:
        return 0.0
    with np.errstate(all="ignore"):
        sample = trial.sample(batch.inputs, batch.task.scale)
        size = trial.op.condition(sample, batch.exact).reshape(batch.rows, -1)
        size = np.maximum(size, trial.precision.tiny)
        unit = 2.0 ** np.floor(np.log2(size)) * 2.0 * max(trial.precision.u_out, trial.precision.u)
        error = np.abs(reference.residual(batch.got, (batch.exact, np.zeros(1)))) / unit
    error = error[batch.ok]
    return float(error[np.isfinite(error)].max(initial=0.0))


def _tails(trial: Trial) -> bool | None:
    """Whether every component is within (32 + 2 log2 n) u of its condition number C."""
    kept, seen = True, False
    for batch in trial.passed:
        specs = batch.task.specs()
        chosen = np.array([spec.logits in TAILS for spec in specs]) & batch.ok
        if not chosen.any() or batch.exact is None:
            continue
        seen = True
        sample = trial.sample(batch.inputs, batch.task.scale)
        u = max(trial.precision.u, trial.precision.u_out)
        with np.errstate(all="ignore"):
            size = trial.op.condition(sample, batch.exact).reshape(batch.rows, -1)
            allowed = (32.0 + 2.0 * np.log2(max(batch.task.n, 1))) * u * size
            error = np.abs(reference.residual(batch.got, (batch.exact, np.zeros(1))))
            fine = error <= allowed + 4.0 * trial.precision.tiny
        kept &= bool(fine[chosen].all())
    return kept if seen else None


def _kind(trial: Trial) -> str:
    """How the candidate's sums round, from how their error grows with n."""
    return "unknown"
