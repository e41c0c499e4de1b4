"""A batch of rows of one length in float64: what the candidate was given, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from softjac.oracle.precision import Precision

__all__ = ["Sample", "sum_of_others"]

Array = np.ndarray[Any, np.dtype[Any]]


class Sample:
    """The inputs of some rows, each `(rows, n)`, and the quantities that bounds are built from.

    stored holds them as they came, which is what goes to another process.

    What is computed here is plain float64: good enough to bound an error, never the answer that
    an output is compared with (`reference.py` has that; for float64 outputs it takes `extended`).
    """

    def __init__(
        self,
        given: Mapping[str, Array],
        *,
        scale: float = 1.0,
        precision: Precision,
        logarithmic: bool = False,
        dtype: Any = np.float64,
    ) -> None:
        self.stored = given
        self.scale = float(scale)
        self.precision = precision
        self.logarithmic = logarithmic
        self.dtype = dtype
        self.rows, self.n = next(iter(given.values())).shape

    @cached_property
    def given(self) -> dict[str, Array]:
        """The inputs in the dtype that is computed with."""
        return {role: np.asarray(value, self.dtype) for role, value in self.stored.items()}

    def take(self, rows: Array | slice) -> Sample:
        """The same sample, these rows only."""
        return Sample(
            {role: value[rows] for role, value in self.given.items()},
            scale=self.scale,
            precision=self.precision,
            logarithmic=self.logarithmic,
            dtype=self.dtype,
        )

    def extended(self) -> Sample:
        """The same sample in the widest arithmetic that the processor has."""
        return Sample(
            self.given,
            scale=self.scale,
            precision=self.precision,
            logarithmic=self.logarithmic,
            dtype=np.longdouble,
        )

    def with_probabilities(self, y: Array) -> Sample:
        """The same sample, as if its logits had these probabilities."""
        other = self.take(np.arange(self.rows))
        other.__dict__["y"] = y
        return other

    def with_vector(self, v: Array) -> Sample:
        """The same sample with another cotangent or tangent."""
        other = self.take(np.arange(self.rows))
        other.__dict__["vector"] = v
        return other

    def with_gap(self, gap: Array) -> Sample:
        """The same sample, as if its logits lay so far below what is taken off them."""
        other = self.take(np.arange(self.rows))
        other.__dict__["gap"] = gap
        return other

    @cached_property
    def unscaled(self) -> Sample:
        """The same sample with a scale of 1."""
        other = self.take(np.arange(self.rows))
        other.scale = 1.0
        return other

    @property
    def from_logits(self) -> bool:
        """Whether the candidate was given logits, not the result."""
        return "x" in self.given

    @cached_property
    def vector(self) -> Array:
        """The cotangent or the tangent."""
        return self.given["dy"] if "dy" in self.given else self.given["x_dot"]

    @property
    def flushed_below(self) -> float:
        """F, or F / |scale|: what is smaller may be flushed, alone or times the scale."""
        return self.precision.tiny / min(1.0, abs(self.scale))

    @cached_property
    def z(self) -> Array:
        """Scaled logits."""
        return self.given["x"] * self.scale if self.scale != 1.0 else self.given["x"]

    @cached_property
    def gap(self) -> Array:
        """r_i = max z - z_i, infinite at masked entries."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.z.max(axis=1, keepdims=True) - self.z)

    @cached_property
    def finite_gap(self) -> Array:
        """r_i with 0 at masked entries, where nothing is left to round."""
        return np.where(np.isfinite(self.gap), self.gap, 0.0)

    @cached_property
    def masked(self) -> Array:
        """Where a logit is -inf: its probability is exactly 0, nothing is rounded or flushed."""
        if not self.from_logits:
            return np.zeros((self.rows, self.n), bool)
        return np.asarray(np.isneginf(self.given["x"]))

    @cached_property
    def log_sum(self) -> Array:
        """log Σ exp(z_j - max z), `(rows, 1)`, relatively accurate also where one class has all."""
        top = np.arange(self.n) == self.gap.argmin(axis=1)[:, None]
        others = np.where(top, 0.0, np.exp(-self.gap))
        return np.asarray(np.log1p(others.sum(axis=1, keepdims=True)))

    @cached_property
    def log_y(self) -> Array:
        """Log-probabilities."""
        if self.from_logits:
            return np.asarray(-self.gap - self.log_sum)
        if self.logarithmic:
            return self.given["y"]
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.given["y"]))

    @cached_property
    def y(self) -> Array:
        """Probabilities."""
        if self.from_logits:
            weights = np.exp(-self.gap)
            return np.asarray(weights / weights.sum(axis=1, keepdims=True))
        return np.asarray(np.exp(self.given["y"])) if self.logarithmic else self.given["y"]

    @cached_property
    def top(self) -> Array:
        """k, the index of a largest probability, `(rows, 1)`."""
        return np.asarray((self.log_y if self.logarithmic else self.y).argmax(axis=1)[:, None])

    @cached_property
    def dominant(self) -> Array:
        """Whether y_k ≥ 1/2, `(rows, 1)`."""
        return np.asarray(np.take_along_axis(self.y, self.top, axis=1) >= 0.5)

    @cached_property
    def is_top(self) -> Array:
        """Whether an element is the dominant one, `(rows, n)`."""
        return np.asarray((np.arange(self.n) == self.top) & self.dominant)

    @cached_property
    def rest(self) -> Array:
        """1 - y_i; in the dominant class Σ_{j≠k} y_j, which keeps what 1 - y_k loses."""
        return np.where(self.is_top, sum_of_others(self.y), 1.0 - self.y)

    @cached_property
    def mean(self) -> Array:
        """s = Σ y_j v_j, `(rows, 1)`."""
        return np.asarray((self.y * self.vector).sum(axis=1, keepdims=True))

    @cached_property
    def magnitude(self) -> Array:
        """|v_i|."""
        return np.asarray(np.abs(self.vector))

    @cached_property
    def distance(self) -> Array:
        """|v_i - s|."""
        return np.asarray(np.abs(self.vector - self.mean))

    @cached_property
    def defect(self) -> Array:
        """|1 - Σ y_j|: how far the probabilities, as given, are from summing to 1, `(rows, 1)`.

        The sum is exact up to its last rounding, since a float64 candidate's defect is no larger
        than what a plain sum loses; exponentials may each be off by a unit in the last place.
        """
        total, lost = _exact_sum(self.y)
        computed = self.logarithmic or self.from_logits
        return np.asarray(np.abs((total - 1.0) + lost) + (2.0**-52 if computed else 0.0))

    @cached_property
    def reading(self) -> Array:
        """How far s = Σ y_j v_j moves, at most, with the way the Jacobian is read, `(rows, 1)`.

        J·1 = 0 where Σ y_j = 1, so any c may be taken off v first; at y as given that moves s by
        c (1 - Σ y_j). People take 0 (the textbook), s, v_k where y_k ≥ 1/2, the entry of v next to
        s, or, as the reference does, s + Σ y_j (v_j - s) = s (2 - Σ y_j): two readings differ by
        the distance of their c at most.
        """
        if not self.defect.any():
            return np.zeros((self.rows, 1))
        v, s = self.vector, self.mean
        present = self.y > 0.0
        below = np.where(present & (v <= s), v, -np.inf).max(axis=1, keepdims=True)
        above = np.where(present & (v >= s), v, np.inf).min(axis=1, keepdims=True)
        anchor = np.where(self.dominant, np.take_along_axis(v, self.top, axis=1), 0.0)
        below, above = (
            np.where(np.isfinite(below), below, s),
            np.where(np.isfinite(above), above, s),
        )
        beside = np.abs(s) * self.defect
        least = np.minimum(np.minimum(np.minimum(below, s - beside), anchor), 0.0)
        most = np.maximum(np.maximum(np.maximum(above, s + beside), anchor), 0.0)
        return np.asarray((most - least) * self.defect)

    @cached_property
    def records(self) -> Array:
        """How often the running maximum of the logits rises after the first element, `(rows,)`."""
        running = np.maximum.accumulate(self.z, axis=1)
        return np.asarray((running[:, 1:] > running[:, :-1]).sum(axis=1))


def sum_of_others(a: Array) -> Array:
    """Σ_{j≠i} a_j for each i of a row of non-negative numbers.

    The largest is left out of the sum that it is not part of: beside it the others would be lost.
    """
    largest = np.arange(a.shape[1]) == a.argmax(axis=1)[:, None]
    beside = np.where(largest, 0.0, a).sum(axis=1, keepdims=True)
    return np.asarray(np.where(largest, beside, beside - a + a.max(axis=1, keepdims=True)))


def _exact_sum(a: Array) -> tuple[Array, Array]:
    """Sums of rows, half added to half, and what rounding took from them, `(rows, 1)` each.

    References:
        D. E. Knuth, The Art of Computer Programming, volume 2, section 4.2.2: the two-sum.
    """
    lost = np.zeros((len(a), 1))
    while a.shape[1] > 1:
        half = a.shape[1] // 2
        one, other, middle = a[:, :half], a[:, -half:], a[:, half:-half]
        total = one + other
        part = total - one
        lost += ((one - (total - part)) + (other - part)).sum(axis=1, keepdims=True)
        a = np.concatenate([total, middle], axis=1) if middle.size else total
    return a, lost
