"""Rows made to answer one question about a candidate that has failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from softjac.oracle.failure import Batch
from softjac.oracle.planning.plan import Task, edges
from softjac.oracle.trial import Trial

__all__ = ["ask", "lengths", "overflowing", "some_places"]

Array = np.ndarray[Any, np.dtype[Any]]


def lengths(trial: Trial, preferred: Sequence[int], *, least: int, most: int) -> list[int]:
    """Lengths at which the candidate fails and a row is allowed: the preferred ones first."""
    failing = {f.batch.task.n for f in trial.failures if f.kind in ("value", "relation")}
    known = sorted(n for n in failing | trial.wrong_lengths if least <= n <= most)
    ordered = [n for n in preferred if n in known] + [n for n in known if n not in preferred]
    return [n for n in ordered if _admitted(trial, n, 1) is not None]


def ask(
    trial: Trial, logits: Array, vector: Array | None = None, *, plain: bool = False
) -> Batch | None:
    """What the candidate gives for these rows, judged; None where a call did not return.

    For a candidate that takes the result, `logits` are turned into it; where they are plain, they
    are taken for log-probabilities as they are. Both arrays are `(rows, n)`.
    """
    rows, n = logits.shape
    inputs: dict[str, Array] = {}
    for role in trial.candidate.inputs:
        if role == "x" or (role == "y" and plain):
            made = logits
        elif role == "y":
            with np.errstate(under="ignore"):
                made = logits - logits.max(axis=1, keepdims=True)
                made = made - np.log(np.exp(made).sum(axis=1, keepdims=True))
                made = made if trial.op.logarithmic else np.exp(made)
        else:
            made = np.zeros_like(logits) if vector is None else vector
        with np.errstate(over="ignore", under="ignore"):
            inputs[role] = made.astype(trial.dtype)
    incidents, passed = len(trial.incidents), len(trial.passed)
    task = _admitted(trial, n, rows) or _admitted(trial, n, 1)
    if task is None:
        return None
    parts = []
    for start in range(0, rows, task.rows):
        places = np.minimum(np.arange(start, start + task.rows), rows - 1)  # the last again
        chosen = {role: array[places] for role, array in inputs.items()}
        parts.append(trial.run_inputs(task, chosen))
    got = np.concatenate([part.got for part in parts])[:rows]
    ok = np.concatenate([part.ok for part in parts])[:rows]
    batch = Batch(_task(n, rows), inputs, [], got, ok, sum(part.seconds for part in parts))
    trial.judge([batch])
    del trial.incidents[incidents:], trial.passed[passed:]  # no check's business
    return batch if ok.all() else None


def overflowing(trial: Trial) -> float:
    """A distance whose exponential overflows."""
    return {"float64": 800.0}.get(trial.precision.name, 100.0)


def some_places(n: int) -> Array:
    """The places of a row that are asked about one by one: all, or some of a long row."""
    if n <= 300:
        return np.arange(n)
    spread = np.linspace(0, n - 1, 48).astype(int)
    return np.unique(np.concatenate([np.arange(16), spread, edges(n), np.arange(n - 64, n)]))


def _admitted(trial: Trial, n: int, rows: int) -> Task | None:
    """A task of this length with as many rows, or some more, that the preconditions admit."""
    task = trial.shapes.moved(_task(n, rows), longer=1)
    return task if task is not None and trial.allows(task) else None


def _task(n: int, rows: int) -> Task:
    """A task of this shape; its own rows are of no interest."""
    return Task("random", n, rows)
