"""What the HTML report plots: ratios against length, the error of exp, one Jacobian."""

from __future__ import annotations

import numpy as np

from softjac.oracle.findings import Point, Report
from softjac.oracle.plan import Task
from softjac.oracle.trial import Trial

__all__ = ["add"]


def add(trial: Trial, report: Report) -> None:
    """Fills in the pictures' data."""
    batches = [*trial.passed, *(failure.batch for failure in trial.failures)]
    for batch in batches:
        if batch.judged is not None and batch.ok.any():
            ratio = np.where(batch.ok, batch.judged.ratio, 0.0)
            row = int(ratio.argmax())
            position = int(batch.judged.index[row])
            report.points.append(Point(batch.task.n, float(ratio[row]), position))
