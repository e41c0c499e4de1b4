"""invariants: relations that need no reference, also at lengths beyond the other inputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.conclusion import Result, conclude
from softjac.oracle.failure import Batch, Failure
from softjac.oracle.findings import CheckResult
from softjac.oracle.judging.library_derivative import library_bounds
from softjac.oracle.judging.rows import overflowed
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial

Array = np.ndarray[Any, np.dtype[Any]]
LENGTHS = (1, 2, 7, 64, 129, 1000, 65_543, 300_007, 1_048_583)


def check(trial: Trial) -> Result:
    """Judges each relation within the sum of the row's componentwise bounds."""
    calls, worst = trial.calls, 0.0
    lengths = LENGTHS[: -2 if trial.effort.name == "quick" else None]
    planned = [Task("kinds", n, 32 if n <= 1000 else 6, trial.seed + 77) for n in lengths]
    for task in trial.possible(planned):
        for name, batch, ratio in _relations(trial, task):
            judged = np.where(batch.ok, ratio, 0.0)
            worst = max(worst, float(judged.max(initial=0.0)))
            for row in np.flatnonzero(~(judged <= 1.0))[:3]:
                trial.failures.append(Failure("invariants", "relation", batch, int(row), name))
    made = trial.calls - calls

    def result() -> CheckResult:
        found = conclude(trial, "invariants", made)
        found.worst_ratio = worst if np.isfinite(worst) and made else None
        return found

    return result


def _relations(trial: Trial, task: Task) -> Iterator[tuple[str, Batch, Array]]:
    """(name, batch, error over bound of each row) for every relation of the op."""
    inputs, _ = trial.calls_of(task)
    batch = trial.run_inputs(task, inputs)
    got, own = mine = _own(trial, batch)
    n, op = task.n, trial.op
    target = _sums(trial, batch)
    if target is not None:
        with np.errstate(all="ignore"):
            shaped = (batch.rows, -1, n)
            part = np.exp(got) if op.name == "log_softmax" else got
            slack = own
            if op.name == "log_softmax":  # exp here, and the sum of what it gives, are rounded too
                slack = own * (part + own) + 2.0 * _rounding(part)
            error = np.abs(part.reshape(shaped).sum(axis=2) - target)
            ratio = (error / (slack.reshape(shaped).sum(axis=2) + _least(trial, n))).max(axis=1)
        yield f"each row must sum to {float(target.max()):g}, and does not", batch, ratio
    if op.output == "jac" and op.name == "softmax_jacobian":
        square = got.reshape(-1, n, n)
        slack = own.reshape(-1, n, n)
        flipped = np.swapaxes(square, 1, 2)
        ratio = np.abs(square - flipped) / (slack + np.swapaxes(slack, 1, 2))
        yield "the Jacobian is symmetric", batch, ratio.reshape(batch.rows, -1).max(axis=1)
    if op.output == "jac":
        return
    turned = {role: value[:, ::-1].copy() for role, value in inputs.items()}
    other = trial.run_inputs(task, turned)
    yield (
        "reversing the classes reverses the result",
        other,
        _apart(trial, batch, mine, other, reverse=True),
    )
    if op.vector is not None:
        halved = dict(inputs)
        with np.errstate(over="ignore"):
            halved[op.vector] = (inputs[op.vector] * 0.5).astype(trial.dtype)
        other = trial.run_inputs(task, halved)
        halves = halved[op.vector].astype(np.float64) * 2 == inputs[op.vector].astype(np.float64)
        ratio = _apart(trial, batch, mine, other, factor=2.0)
        yield (
            "half the vector gives half the result",
            other,
            np.where(halves.all(axis=1), ratio, 0.0),
        )
    if "x" in inputs:
        moved = dict(inputs)
        moved["x"] = (inputs["x"] + inputs["x"].dtype.type(64.0)).astype(trial.dtype)
        back = (moved["x"] - moved["x"].dtype.type(64.0)).astype(trial.dtype)
        other = trial.run_inputs(task, moved)
        ratio = _apart(trial, batch, mine, other)
        exact = (back == inputs["x"]).all(axis=1)
        yield "a shift of the logits changes nothing", other, np.where(exact, ratio, 0.0)


def _own(trial: Trial, batch: Batch) -> tuple[Array, Array]:
    """A batch's outputs and, element by element, how far an honest one may be from the truth."""
    sample = trial.sample(batch.inputs, batch.task.scale)
    with np.errstate(all="ignore"):
        exact = trial.op.formula(sample).reshape(batch.rows, -1)
        bound = trial.op.bound(sample, exact)
        own = bound.own() + (bound.afresh if trial.own_sums else 0.0)
        if trial.library_derivative:
            for wider in library_bounds(trial.op, sample, exact):
                own = np.maximum(own, wider.own())
        beyond = overflowed(trial.precision, batch.got, exact, own)
        got = np.where(beyond, 0.0, batch.got)
        return got, np.where(beyond, np.inf, own + _rounding(exact))


def _rounding(exact: Array) -> Array:
    """What float64 sums over candidates' outputs may themselves be off by."""
    return 2.0**-52 * np.where(np.isfinite(exact), np.abs(exact), 0.0)


def _least(trial: Trial, n: int) -> float:
    """A sum of n flushed elements."""
    return 2.0 * n * trial.precision.tiny


def _sums(trial: Trial, batch: Batch) -> Array | None:
    """What a row's elements add up to, for the ops where it is known."""
    op = trial.op
    if op.output == "y":
        return np.ones((batch.rows, 1))
    if op.vector is None:
        return np.zeros((batch.rows, 1)) if "x" in batch.inputs else None
    if op.forward == "softmax" and "x" in batch.inputs:
        return np.zeros((batch.rows, 1))
    return None


def _apart(
    trial: Trial,
    one: Batch,
    mine: tuple[Array, Array],
    other: Batch,
    *,
    reverse: bool = False,
    factor: float = 1.0,
) -> Array:
    """|one - factor · other| over the sum of their bounds, the worst of each row."""
    got, own = mine
    seen, seen_own = _own(trial, other)
    if reverse:
        seen, seen_own = seen[:, ::-1], seen_own[:, ::-1]
    with np.errstate(all="ignore"):
        apart = np.where(got == seen, 0.0, np.abs(got - factor * seen))
        ratio = apart / (own + factor * seen_own)
    return np.asarray(np.where(one.ok & other.ok, ratio.max(axis=1), 0.0))
