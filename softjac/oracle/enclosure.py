"""Ball arithmetic (Arb): answers with proof, for float64 candidates and for the reference itself.

Every function takes one row of float64 numbers as exactly what they are, and gives the exact
mathematical result as balls [value ± radius] that provably contain it. Each ball is tight: its
radius is below 2^-100 of its value, or so small that every float64 near it is 0 (`_is_tight`).
Where cancellation leaves a ball too wide, the row is computed again in twice the precision.

The derivative ops take `y`, the result exactly as given (the literal y_i (dy_i - Σ y_j dy_j),
whether or not y sums to 1), or `x`, the logits; and `scale`, a factor on the logits. A logit of
-inf has probability 0 and log-probability -inf. A row with a NaN, another infinity, or no finite
logit at all has no answer: every element is NaN.

References:
    F. Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic",
    IEEE Transactions on Computers 66 (2017).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from flint import arb, ctx

__all__ = [
    "log_softmax",
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
    "split",
]

Row: TypeAlias = Sequence[float]
Balls: TypeAlias = list[arb]
Array = np.ndarray[Any, np.dtype[np.float64]]

TIGHT_BITS = 100
FIRST_PRECISION = 160
LAST_PRECISION = 40960
NEGLIGIBLE = arb(2) ** -1300  # far below half the smallest subnormal float64


def softmax(x: Row, scale: float = 1.0) -> Balls:
    """Probabilities of a row of logits."""
    return _tightened(lambda: _from_logits(x, scale), x)


def log_softmax(x: Row, scale: float = 1.0) -> Balls:
    """Log-probabilities of a row of logits: (z_i - z_k) - log1p(Σ_{j≠k} exp(z_j - z_k))."""

    def row() -> Balls:
        below, top = _below_top(x, scale)
        others = sum((z.exp() for i, z in enumerate(below) if z is not None and i != top), arb(0))
        log_sum = others.log1p()
        return [arb.neg_inf() if z is None else z - log_sum for z in below]

    return _tightened(row, x)


def softmax_vjp(
    y: Row | None = None, dy: Row = (), x: Row | None = None, scale: float = 1.0
) -> Balls:
    """Cotangent of the logits: scale · y_i (dy_i - Σ y_j dy_j)."""

    def row() -> Balls:
        p, centred = _centred(y, x, dy, scale, logarithmic=False)
        return _scaled([a * b for a, b in zip(p, centred, strict=True)], scale)

    return _tightened(row, x, y, dy)


def softmax_jvp(
    y: Row | None = None, x_dot: Row = (), x: Row | None = None, scale: float = 1.0
) -> Balls:
    """Tangent of the probabilities: the Jacobian is symmetric, so this is the VJP."""
    return softmax_vjp(y, x_dot, x, scale)


def log_softmax_jvp(
    y: Row | None = None, x_dot: Row = (), x: Row | None = None, scale: float = 1.0
) -> Balls:
    """Tangent of the log-probabilities: scale · (x_dot_i - Σ exp(y_j) x_dot_j)."""

    def row() -> Balls:
        return _scaled(_centred(y, x, x_dot, scale, logarithmic=True)[1], scale)

    return _tightened(row, y if x is None else x, x_dot)


def log_softmax_vjp(
    y: Row | None = None, dy: Row = (), x: Row | None = None, scale: float = 1.0
) -> Balls:
    """Cotangent of the logits: scale · (dy_i - exp(y_i) Σ dy_j)."""

    def row() -> Balls:
        p = _probabilities(y, x, scale, logarithmic=True)
        vector = list(map(arb, dy))
        total = sum(vector, arb(0))
        return _scaled([v - a * total for v, a in zip(vector, p, strict=True)], scale)

    return _tightened(row, y if x is None else x, dy)


def softmax_jacobian(y: Row | None = None, x: Row | None = None, scale: float = 1.0) -> list[Balls]:
    """The matrix scale · y_i (δ_ij - y_j), row by row."""
    n = len(x if x is not None else y or ())

    def matrix() -> Balls:
        p = _probabilities(y, x, scale, logarithmic=False)
        values = [-(a * b) for a in p for b in p]
        for i, a in enumerate(p):
            values[i * n + i] += a
        return _scaled(values, scale)

    return _square(_tightened(matrix, x, y, elements=n * n), n)


def log_softmax_jacobian(
    y: Row | None = None, x: Row | None = None, scale: float = 1.0
) -> list[Balls]:
    """The matrix scale · (δ_ij - exp(y_j)), row by row."""
    n = len(x if x is not None else y or ())

    def matrix() -> Balls:
        p = _probabilities(y, x, scale, logarithmic=True)
        off, diagonal = _scaled([-a for a in p], scale), _scaled([1 - a for a in p], scale)
        return [diagonal[j] if i == j else off[j] for i in range(n) for j in range(n)]

    return _square(_tightened(matrix, y if x is None else x, elements=n * n), n)


def split(values: Sequence[arb]) -> tuple[Array, Array]:
    """Give tight balls as two float64 arrays, (high, low), whose sum is the value.

    high is the value rounded to nearest, low what is left, rounded: together 2^-100 relative,
    but for what lies below the smallest subnormal. Infinities and NaN stand in high, with low 0.
    """
    with ctx.workprec(TIGHT_BITS + 53):
        high = [float(value) for value in values]
        low = [
            float(value - top) if math.isfinite(top) else 0.0
            for value, top in zip(values, high, strict=True)
        ]
    for value, top in zip(values, high, strict=True):
        assert math.isnan(top) or _is_tight(value), "an op of this module gives tight balls"
    return np.array(high), np.array(low)


def _tightened(
    compute: Callable[[], Balls], logs: Row | None, *rows: Row | None, elements: int = 0
) -> Balls:
    """Compute in rising precision until every ball is tight; NaN where there is no answer.

    `logs` are logits or log-probabilities, which -inf may mask; `rows` must be finite.
    """
    given = [row for row in (logs, *rows) if row is not None]
    unmasked = [v for v in logs or () if v != -math.inf]
    finite = all(all(map(math.isfinite, row)) for row in (unmasked, *given[logs is not None :]))
    if not finite or (logs and not unmasked):
        return [arb.nan()] * (elements or len(given[0]))
    precision = FIRST_PRECISION
    while precision <= LAST_PRECISION:
        with ctx.workprec(precision):
            values = compute()
            if all(map(_is_tight, values)):
                return values
        precision *= 2
    raise AssertionError(f"float64 inputs need no more than {LAST_PRECISION} bits")


def _is_tight(value: arb) -> bool:
    """Whether the radius is below 2^-100 of the value, or the whole ball negligible."""
    if value.rel_accuracy_bits() >= TIGHT_BITS or value == arb.neg_inf():
        return True
    return bool(value.abs_upper() < NEGLIGIBLE)


def _below_top(x: Row, scale: float) -> tuple[list[arb | None], int]:
    """The scaled logits less the greatest, None where -inf, and the index of the greatest."""
    factor = arb(scale)
    present = [i for i, v in enumerate(x) if v != -math.inf]
    top = (max if scale >= 0 else min)(present, key=x.__getitem__)
    greatest = arb(x[top]) * factor
    return [None if v == -math.inf else arb(v) * factor - greatest for v in x], top


def _from_logits(x: Row, scale: float) -> Balls:
    if not x:
        return []
    below, _ = _below_top(x, scale)
    zero = arb(0)
    exponentials = [zero if z is None else z.exp() for z in below]
    inverse = 1 / sum(exponentials, zero)
    return [value * inverse for value in exponentials]


def _probabilities(y: Row | None, x: Row | None, scale: float, *, logarithmic: bool) -> Balls:
    """Probabilities, from logits or from the result as given."""
    if x is not None:
        return _from_logits(x, scale)
    assert y is not None, "an op takes y or x"
    if not logarithmic:
        return list(map(arb, y))
    return [arb(0) if v == -math.inf else arb(v).exp() for v in y]


def _centred(
    y: Row | None, x: Row | None, vector: Row, scale: float, *, logarithmic: bool
) -> tuple[Balls, Balls]:
    """Probabilities p, and v - Σ p v.

    From logits Σ p is exactly 1, so one entry of v may be taken off first: a constant v then
    gives exactly 0, which no precision would prove otherwise.
    """
    p = _probabilities(y, x, scale, logarithmic=logarithmic)
    v = list(map(arb, vector))
    if x is not None and v:
        first = v[0]
        v = [value - first for value in v]
    mean = sum((a * b for a, b in zip(p, v, strict=True)), arb(0))
    return p, [value - mean for value in v]


def _scaled(values: Balls, scale: float) -> Balls:
    return values if scale == 1.0 else [value * arb(scale) for value in values]


def _square(values: Balls, n: int) -> list[Balls]:
    return [values[i * n : (i + 1) * n] for i in range(n)]
