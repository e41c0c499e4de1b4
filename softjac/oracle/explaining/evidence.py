"""What the diagnosis looks at: the batches that tell mistakes apart, and where they are wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from softjac.oracle.failure import Batch, bits
from softjac.oracle.judging.fit import judge
from softjac.oracle.judging.sample import Sample
from softjac.oracle.planning.plan import ROOMY, Task
from softjac.oracle.storage import fresh, held_before
from softjac.oracle.trial import Trial

__all__ = ["Evidence", "evidence", "near", "wrong_places"]

Array = np.ndarray[Any, np.dtype[Any]]

FAILING, PASSING = 24, 40  # batches looked at
EXTREME = ("huge", "largest", "far", "subnormal", "enormous", "scales", "lone")


class Evidence:
    """A batch as the mistakes see it: sample, outputs, exact answer, bound, and who failed."""

    def __init__(self, trial: Trial, batch: Batch) -> None:
        assert batch.exact is not None
        self.batch = batch
        self.sample: Sample = trial.sample(batch.inputs, batch.task.scale)
        self.got, self.exact = batch.got, batch.exact
        with np.errstate(all="ignore"):
            self._bound = trial.op.bound(self.sample, batch.exact)
            self.own = self._bound.own()
        self.failed = batch.failed()
        self.passed = batch.ok & ~self.failed
        dtype = trial.candidate.dtype
        held = np.array(
            fresh(dtype) if trial.candidate.kind == "python" else held_before(dtype, "nan")
        )
        self.unwritten = bits(self.got) == bits(held)
        specs = batch.task.specs()
        # what is subnormal, or nearly, is flushed or rounded as the candidate likes
        self.faint = np.abs(batch.exact) < 1e4 * trial.precision.tiny
        self.plain = np.array([not {s.logits, s.vector} & set(EXTREME) for s in specs])
        self.vector = self.sample.vector if trial.op.vector and trial.op.output != "jac" else None
        self.precision = trial.precision
        self.positive = trial.op.name == "softmax"
        self.logarithm = trial.op.name == "log_softmax"

    @property
    def directions(self) -> tuple[Array, ...]:
        """How the elements move with each number that the bound leaves free."""
        return self._bound.directions

    @cached_property
    def computed(self) -> Array:
        """Which failing rows are wrong in an element that was written, or in none by itself."""
        wrong = wrong_places(self)
        found = np.zeros(len(self.failed), bool)
        written = (wrong & ~self.unwritten[self.failed]).any(axis=1)
        found[self.failed] = written | ~wrong.any(axis=1)
        return found

    def refutes(self, made: Array, rows: Array) -> Array:
        """Which of these rows would be refuted, had the candidate made this of them."""
        found = np.zeros(len(rows), bool)
        if rows.any():
            with np.errstate(all="ignore"):
                judged = judge(made[rows] - self.exact[rows], self._bound.take(rows))
            found[rows] = ~(judged.ratio <= 1.0)
        return found


def evidence(trial: Trial) -> list[Evidence]:
    """The batches that tell mistakes apart: failing ones, of many lengths, and some that passed.

    What fails where rows lie close together, too, is looked at there: strides may spoil it again.
    """
    wrong = [
        failure.batch
        for failure in trial.failures
        if failure.kind == "value"
        and failure.check != "threads"  # what they spoil is spoilt at any place, any length
        and failure.batch.exact is not None
    ]
    dense = [batch for batch in wrong if not batch.task.layout.has_gaps]
    failing: dict[Task, Batch] = {}
    for batch in dense or wrong:
        failing.setdefault(replace(batch.task, layout=ROOMY), batch)
    by_length = sorted(failing.values(), key=lambda batch: (batch.task.n, batch.rows))
    step = max(1, len(by_length) // FAILING)
    chosen = [batch for batch in by_length[::step] if batch.got.size <= 300_000]
    passed = [
        batch for batch in trial.passed if batch.exact is not None and batch.got.size <= 100_000
    ]
    chosen += passed[:: max(1, len(passed) // PASSING)]
    return [Evidence(trial, batch) for batch in chosen]


def wrong_places(item: Evidence) -> Array:
    """Which elements of the failing rows are beyond the bound, `(failing rows, elements)`."""
    with np.errstate(all="ignore"):
        off = np.abs(item.got - item.exact)
        wrong = ~(off <= item.own) & (item.got != item.exact)
    return np.asarray(wrong[item.failed])


def near(item: Evidence, got: Array, exact: Array, slack: Array | float = 0.0) -> Array:
    """Whether elements are equal up to a few roundings, and this much more."""
    with np.errstate(all="ignore"):
        rounding = (64.0 * item.precision.u + 4.0 * item.precision.u_out) * np.abs(exact)
        close = np.abs(got - exact) <= rounding + slack + 4.0 * item.precision.tiny
    return np.asarray(close | (got == exact))
