"""The rows on which accuracy is measured, their exact answers, and the error of a result.

An error is given in units of u C: u is the unit roundoff of the dtype, C the condition number that
does not change when a constant is added to the logits or to the cotangent. What flushing to zero
can do is allowed for, and so is infinity where the exact answer is beyond the dtype's numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import ml_dtypes
import numpy as np

from softjac.oracle import enclosure

Array = np.ndarray[Any, np.dtype[Any]]

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53, "bfloat16": 2.0**-8, "float16": 2.0**-11}
# The smallest normal number; float16 has subnormals that count, down to 2^-24.
FLOOR = {"float32": 2.0**-126, "float64": 2.0**-1022, "bfloat16": 2.0**-126, "float16": 2.0**-24}
# From here on a result rounds to infinity; Python has no float for float64's end.
END = {
    "float32": 2.0**128 - 2.0**103,
    "float64": math.inf,
    "bfloat16": 2.0**128 - 2.0**119,
    "float16": 2.0**16 - 2.0**4,
}
# How far below the maximum logits are tried: near the end of the exponential's range.
DEPTH = {"float32": 80.0, "float64": 700.0, "bfloat16": 80.0, "float16": 10.0}
HUGE = {"float32": 1e30, "float64": 1e300, "bfloat16": 1e30, "float16": 1e3}
OFFSET = {"float32": 1e4, "float64": 1e4, "bfloat16": 100.0, "float16": 100.0}
OPS = (
    "softmax",
    "log_softmax",
    "softmax_vjp",
    "softmax_jvp",
    "log_softmax_vjp",
    "log_softmax_jvp",
    "softmax_jacobian",
    "log_softmax_jacobian",
    "cross_entropy",
    "cross_entropy_gradient",
)


# --- the rows -------------------------------------------------------------------------------------


def logits(n: int, dtype: str, seed: int) -> dict[str, Array]:
    """Rows of n logits, by name."""
    rng = np.random.default_rng([n, seed])
    deep = np.r_[0.0, -rng.uniform(0.5, 1.0, n - 1) * DEPTH[dtype]]
    rows = {
        "normal": 3 * rng.normal(size=n),
        "wide": 20 * rng.normal(size=n),
        "saturated": deep,
        "saturated, offset": deep + 1234.567,
        "offset": rng.normal(size=n) + 2 * OFFSET[dtype],
        "ties": np.round(rng.normal(size=n)),
        "uniform": np.zeros(n),
        "dominant": np.r_[math.log(9 * max(n - 1, 1)), np.zeros(n - 1)],
        "half": np.r_[math.log(max(n - 1, 1)), np.zeros(n - 1)],
        "masked": np.where(rng.random(n) < 0.5, -np.inf, rng.normal(size=n)),
        "tied top": np.r_[np.zeros(min(3, n)), deep[1 : n - 2]][:n],
    }
    rows["masked"][n // 2] = 1.0
    return {name: row.astype(DTYPES[dtype]) for name, row in rows.items()}


def vectors(n: int, dtype: str, top: int, seed: int) -> dict[str, Array]:
    """Cotangents (and tangents) of length n, by name; `top` is where the largest logit is."""
    rng = np.random.default_rng([n, seed, 1])
    normal = rng.normal(size=n)
    spiked = 1e-3 * normal
    spiked[top] = HUGE["float16"]
    places = np.arange(n)
    rows = {
        "normal": normal,
        "offset": normal + OFFSET[dtype],
        "one-hot at the top": places == top,
        "one-hot first": places == 0,
        "one-hot last": places == n - 1,
        "spike at the top": spiked,
        "huge": normal * HUGE[dtype],
        "tiny": normal / HUGE["float16"],
        "alternating": np.where(places % 2, 1, -1) * rng.uniform(0.99, 1.01, n),
        "constant": np.full(n, 0.1),
        "top three": places < 3,
    }
    return {name: row.astype(DTYPES[dtype]) for name, row in rows.items()}


# --- exact answers and condition numbers ----------------------------------------------------------


@lru_cache(maxsize=4)
def forward(op: str, x: tuple[float, ...]) -> tuple[Array, Array]:
    """(high, low) of a forward op: the rows come with one vector after the other."""
    return enclosure.split(getattr(enclosure, op)(x))


@dataclass
class Exact:
    """The exact answers for a row of logits and a vector, with what an error is measured by."""

    x: Array
    v: Array
    dtype: str

    @cached_property
    def _x(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.x)

    @cached_property
    def _v(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.v)

    @cached_property
    def label(self) -> int:
        """The class that the cross-entropy is taken of: where the vector is largest."""
        return int(np.argmax(np.abs(self.v.astype(float))))

    @cached_property
    def p(self) -> Array:
        """Probabilities, in float64."""
        return forward("softmax", self._x)[0]

    @cached_property
    def missing(self) -> Array:
        """1 - p, accurately."""
        top = int(np.argmax(self.p))
        missing = 1.0 - self.p
        missing[top] = math.fsum(np.delete(self.p, top))
        return missing

    @cached_property
    def distance(self) -> Array:
        """|v_i - Σ p v|."""
        return np.abs(enclosure.split(enclosure.log_softmax_jvp(x=self._x, x_dot=self._v))[0])

    def answer(self, op: str) -> tuple[Array, Array]:
        """(high, low): their sum is the exact answer."""
        if op in ("softmax", "log_softmax"):
            return forward(op, self._x)
        if op == "cross_entropy":
            high, low = forward("log_softmax", self._x)
            return -high[[self.label]], -low[[self.label]]
        if op == "cross_entropy_gradient":
            minus_target = tuple(-1.0 if i == self.label else 0.0 for i in range(len(self.x)))
            return enclosure.split(enclosure.log_softmax_vjp(x=self._x, dy=minus_target))
        if op.endswith("jacobian"):
            rows = getattr(enclosure, op)(x=self._x)
            high, low = enclosure.split([value for row in rows for value in row])
            return high.reshape(len(rows), -1), low.reshape(len(rows), -1)
        role = "dy" if op.endswith("vjp") else "x_dot"
        return enclosure.split(getattr(enclosure, op)(x=self._x, **{role: self._v}))

    def condition(self, op: str, answer: Array) -> Array:
        """C, componentwise."""
        p, size = self.p, np.abs(self.v.astype(float))
        if op in ("softmax_vjp", "softmax_jvp"):
            return p * (self.distance + math.fsum(p * self.distance))
        if op == "log_softmax_jvp":
            return self.distance + math.fsum(p * self.distance)
        if op == "log_softmax_vjp":
            before = np.r_[0.0, np.cumsum(size)[:-1]]
            after = np.r_[np.cumsum(size[::-1])[-2::-1], 0.0]
            return size * self.missing + p * (before + after)
        return np.where(np.isfinite(answer), np.abs(answer), 0.0)

    def flushed(self, op: str) -> Array | float:
        """What flushing numbers below the smallest normal one to zero can change."""
        floor, p, n = FLOOR[self.dtype], self.p, len(self.x)
        size = np.abs(self.v.astype(float))
        lost = float(np.sum(size[p < floor]))
        if op in ("softmax_vjp", "softmax_jvp"):
            below = np.where(p < floor, p * self.distance, 0.0)
            return floor * (2 + p * (n + lost)) + below
        if op == "log_softmax_jvp":
            return floor * (2 + n + lost)
        if op == "log_softmax_vjp":
            return floor * (2 + abs(math.fsum(size)))
        return 2 * floor


def error(op: str, got: Array, exact: Exact) -> float:
    """The worst error of a result over its row, in units of u C; infinite where it should be 0."""
    high, low = exact.answer(op)
    condition = exact.condition(op, high)
    end = END[exact.dtype]
    value = np.asarray(got).astype(np.float64)
    finite = np.isfinite(high)
    low = np.where(finite & (np.abs(high) >= end), 0.0, low)
    value, high = (np.where(finite, np.clip(part, -end, end), part) for part in (value, high))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        difference = np.where(value == high, -low, (value - high) - low)
        difference[np.isinf(high) & (value == high)] = 0.0
        excess = np.maximum(np.abs(difference) - exact.flushed(op), 0.0)
        ratio = np.where(excess == 0.0, 0.0, excess / condition) / UNIT[exact.dtype]
    return float(np.max(np.where(np.isnan(ratio), np.inf, ratio)))


def cases(dtype: str, n: int, seed: int = 0) -> Iterator[tuple[str, Exact]]:
    """Every row with every vector."""
    for row, x in logits(n, dtype, seed).items():
        for vector, v in vectors(n, dtype, int(np.argmax(x.astype(float))), seed).items():
            yield f"{row} x {vector}", Exact(x, v, dtype)
