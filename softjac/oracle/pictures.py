"""What the HTML report plots: ratios against length, the error of exp, one Jacobian."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle.findings import Point, Report
from softjac.oracle.inputs import LOGITS
from softjac.oracle.judging import judge_process
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial

__all__ = ["add"]

Array = np.ndarray[Any, np.dtype[Any]]
SIDE, LARGEST = 8, 32  # classes in the Jacobian that is drawn, and at most


def add(trial: Trial, report: Report) -> None:
    """Fills in the pictures' data."""
    seen: set[int] = set()
    for batch in [*trial.passed, *(failure.batch for failure in trial.failures)]:
        if batch.judged is None or not batch.ok.any() or id(batch) in seen:
            continue
        seen.add(id(batch))
        ratio = np.where(batch.ok, batch.judged.ratio, 0.0)
        row = int(ratio.argmax())
        report.points.append(Point(batch.task.n, float(ratio[row]), int(batch.judged.index[row])))
    report.jacobian = _jacobian(trial)
    report.exp_errors = _exp_errors(trial)


def _jacobian(trial: Trial) -> tuple[Array, Array] | None:
    """(expected, got) at one row of a few classes, from the op's products with unit vectors."""
    if trial.op.output == "y":
        return None
    n = _side(trial)
    rows = 1 if trial.op.vector is None else n
    task = Task("random", n, rows, trial.seed)
    if not trial.allows(task):
        return None
    inputs, _ = trial.calls_of(task)
    for role in inputs:
        if role == trial.op.vector:
            inputs[role] = np.eye(n).astype(trial.dtype)
        else:
            logits = 2.0 * np.sin(2.4 * np.arange(1, n + 1))[None]
            weights = np.exp(logits) / np.exp(logits).sum()
            value = np.log(weights) if trial.op.logarithmic else weights
            inputs[role] = np.repeat(logits if role == "x" else value, rows, 0).astype(trial.dtype)
    batch = trial.run_inputs(task, inputs)
    if not batch.ok.all():
        return None
    sample = trial.sample(inputs, task.scale)
    expected = judge_process.answer(trial.op, sample)[0]
    square = (n, n)
    turned = trial.op.output != "jac" and trial.op.vector == "x_dot"
    shaped = [
        part.reshape(square).T if turned else part.reshape(square) for part in (expected, batch.got)
    ]
    return shaped[0], shaped[1]


def _side(trial: Trial) -> int:
    """How many classes show the bug: the failing length nearest to the usual one."""
    failing = {failure.batch.task.n for failure in trial.failures}
    return min((n for n in failing if 4 <= n <= LARGEST), key=lambda n: abs(n - SIDE), default=SIDE)


def _exp_errors(trial: Trial) -> list[tuple[float, float]]:
    """(x - max, relative error of exp in units of u) over the whole range, for softmax."""
    if trial.op.name != "softmax":
        return []
    kinds = list(LOGITS)
    task = Task("kinds", 512, len(kinds), trial.seed, pick=kinds.index("grid"))
    if not trial.allows(task):
        return []
    batch = trial.run_aside([task])[0]
    trial.judge([batch])
    if not batch.ok.all() or batch.exact is None:
        return []
    got, exact = batch.got[0], batch.exact[0]
    top = int(exact.argmax())
    gap = trial.sample(batch.inputs, task.scale).gap[0]
    with np.errstate(all="ignore"):
        error = ((got / got[top]) / (exact / exact[top]) - 1.0) / trial.precision.u
    usable = np.isfinite(error) & (exact > 1e3 * trial.precision.tiny)
    order = np.argsort(-gap)
    return [(-float(gap[i]), float(error[i])) for i in order if usable[i]]
