"""How far an honest candidate may be from the exact answer, componentwise, with derivations.

Every op's bound has one form. A summation can move a single number of a row: the normaliser of a
forward op, the mean s = Σ y_j dy_j of a product. All else in a row is free of the summation's
depth. So with exact answer a_i, an honest output is

    got_i = a_i + Σ_k δ_k d_ki + ε_i,      |δ_k| ≤ window_k,      |ε_i| ≤ tolerance_i,

where d_k says how element i moves with number k. `fit.py` decides whether some δ explains a row.
There is no absolute tolerance but F, the dtype's smallest normal number (`precision.py`).

Notation: u unit roundoff, r_i = max z - z_i, L = log Σ exp(-r_j), rho = Σ y_j r_j.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from softjac.oracle.judging.sample import Sample

__all__ = [
    "HUGE",
    "LAMBDA",
    "NONE",
    "Bound",
    "Forward",
    "exp_error",
    "forward_error",
    "mean_window",
    "product_bound",
    "rounded_to_storage",
]

Array = np.ndarray[Any, np.dtype[Any]]

# Rounding errors of a sum of h terms on random data stay below λ √h u with probability
# 1 - 2 exp(-λ²/2): Higham and Mary, SIAM J. Sci. Comput. 41 (2019), A2815. λ = 6: 3e-8.
LAMBDA = 6.0

# exp and log of an honest library are within 4 units in the last place, 8 u, at small arguments.
ELEMENTARY = 8.0

# Errors of scaled logits may be without limit; what has one stays finite, and 0 times it is 0.
HUGE = 1e300

# What is further below the maximum than this, in any dtype, has nothing left to round; the limit
# keeps float64 sums of such numbers finite.
NOTHING = 1e30


# The tolerance of an element that must be exact: the smallest positive number, to divide by.
NONE = 5e-324


@dataclass(slots=True)
class Bound:
    """What an honest candidate may differ by; arrays are `(rows, elements)` and `(rows,)`.

    afresh is what is added for a candidate that sums afresh for every element, as a product with
    the explicit Jacobian does: its element i has the term y_i v_i among those it sums, and its
    entries may be flushed.
    """

    tolerance: Array
    directions: tuple[Array, ...] = ()
    windows: tuple[Array, ...] = ()
    likely: tuple[Array, ...] = ()
    afresh: Array | float = 0.0

    def own(self) -> Array:
        """How far each element may be from the exact answer by itself."""
        return np.asarray(self.tolerance + self.moved())

    def moved(self) -> Array | float:
        """How far the free numbers may move each element; 0 where they do not, however far."""
        parts = (
            np.where(direction == 0.0, 0.0, np.abs(direction) * window[:, None])
            for direction, window in zip(self.directions, self.windows, strict=True)
        )
        return sum(parts, 0.0)

    def take(self, rows: Array) -> Bound:
        """The bound of these rows."""
        return Bound(
            self.tolerance[rows],
            tuple(direction[rows] for direction in self.directions),
            tuple(window[rows] for window in self.windows),
            tuple(chance[rows] for chance in self.likely),
            self.afresh if isinstance(self.afresh, float) else self.afresh[rows],
        )


@dataclass(slots=True)
class Forward:
    """Relative errors of a softmax computed from logits: per element, and common to a row.

    quotient is that of an element computed as exp / sum; total that of Σ exp(z_j - max z) alone;
    window and likely are those of the normaliser.
    """

    element: Array
    quotient: Array
    total: Array
    window: Array
    likely: Array


def exp_error(argument: Array) -> Array:
    """κ(t), the relative error of exp(-t) in units of u: 8 + 2 t, and 0 at t = 0.

    8 for a library within 4 ulp; 2 t for exp(-t) = exp2(-t log2 e), whose constant and product are
    rounded once each, an absolute error of 2 t u in the exponent. exp(0) = 1 is exact in every
    form: the polynomials start with 1.
    """
    return np.where(argument > 0.0, ELEMENTARY + 2.0 * argument, 0.0)


def argument_error(sample: Sample) -> Array:
    """The error of z_i - max z in units of u: r_i, and |z_i| + |z_k| more for scaled logits."""
    error = sample.finite_gap.copy()
    if sample.scale != 1.0:
        size = np.where(np.isfinite(sample.z), np.abs(sample.z), 0.0)
        error += size + np.take_along_axis(size, sample.top, axis=1)
    return error


def forward_error(sample: Sample) -> Forward:
    """Errors of ŷ_i = exp(z_i - max z) / Σ, in the forms people write.

    Element, relative to the common normaliser, in units of u, the larger of
      exp / sum, exp · (1/sum), exp2:   a_i + κ(r_i) + 2
      exp((z - max) - log sum):         a_i + |ℓ_i| + κ(|ℓ_i|) + 1
    with a_i the argument's error. The normaliser: its terms carry Σ y_j (a_j + κ(r_j)), its n - 1
    additions n - 1, a division or an approximate reciprocal with one Newton step 4, the log form
    (8 + 2) L. An online sum also rescales when the maximum rises: each element's weight travels r_j
    in all (another Σ y_j 3 r_j), and each rise costs an exp and a product (9).
    """
    u = sample.precision.u
    argument = np.minimum(argument_error(sample), NOTHING)
    gap = np.minimum(sample.finite_gap, NOTHING)
    level = np.minimum(np.where(np.isfinite(sample.log_y), -sample.log_y, 0.0), NOTHING)
    direct = argument + exp_error(gap) + 2.0
    logarithm = argument + level + exp_error(level) + 1.0
    terms = (sample.y * (argument + exp_error(gap) + 3.0 * gap)).sum(axis=1)
    terms += 9.0 * sample.records
    division = 4.0 + (ELEMENTARY + 2.0) * sample.log_sum[:, 0]
    depth = sample.n - 1
    return Forward(
        element=_compounded(u * np.maximum(direct, logarithm)),
        quotient=_compounded(u * direct),
        total=_compounded(u * (terms + depth)),
        window=_compounded(u * (terms + division + depth)),
        likely=_compounded(u * (terms + division + LAMBDA * np.sqrt(depth))),
    )


def _compounded(error: Array) -> Array:
    """exp(error) - 1: an error in an exponent, which need not be small for scaled logits."""
    return np.expm1(np.minimum(error, 700.0))


def mean_window(sample: Sample) -> tuple[Array, Array]:
    """How far ŝ may be from s = Σ y_j v_j, given y: the worst case, and what is likely.

    (n + 1) u Σ |y_j v_j| for products and sums in any order; centred at c ≈ s the terms are
    y_j |v_j - s|. A centred sum reads the Jacobian at y as if Σ y_j were 1: `Sample.reading`.
    Products below F may be flushed, and y_j below F taken as 0; where a scale is put on one of the
    factors first, that holds below F / |scale|.
    """
    u, tiny = sample.precision.u, sample.flushed_below
    y, v = sample.y, sample.magnitude
    size = np.maximum((y * v).sum(axis=1), (y * sample.distance).sum(axis=1))
    flushed = tiny * (sample.n + np.where(y < tiny, v, 0.0).sum(axis=1))
    depth = sample.n + 3
    base = sample.reading[:, 0] + flushed
    return base + depth * u * size, base + (LAMBDA * np.sqrt(depth) + 4.0) * u * size


def product_bound(sample: Sample, exact: Array) -> Bound:
    """dx_i = y_i (v_i - s), the VJP and the JVP of softmax, from probabilities or from logits.

    Given y, one number is free: s. Element i, in units of y_i u, is the larger of
      y (v - s), y v - y s:        2 (|v_i| + |s|)
      centred at c ≈ s:            4 |v_i - s|
      centred at v_k, y_k ≥ 1/2:   4 (|v_i - v_k| + |s - v_k|)
    since each of (v - c), (e - t) and the product is rounded once. A scale costs one more. Flushed:
    2 F, and all of y_i |v_i - s| where y_i is below F; where scale y_i is, y_i |v_i| or y_i |s|
    alone. From logits, ŷ_i = y_i (1 + ε_i)(1 + δ): ε_i times the element as computed, s moved by
    Σ y_j ε_j max(|v_j|, |e_j|), and δ a second free number; ε and δ are not small where scaled
    logits are large, so that their products count. Where y_i is subnormal, ŷ_i is off by up to 2 F.
    Where a logit is -inf, exp(-inf) and all its products are exactly 0.
    """
    u, tiny = sample.precision.u, sample.precision.tiny
    y, v, s = sample.y, sample.vector, sample.mean
    size = sample.distance
    top = np.take_along_axis(v, sample.top, axis=1)
    worst, likely = mean_window(sample)
    spread = np.abs(s) + worst[:, None]
    rounding = np.maximum(2.0 * (sample.magnitude + spread), 4.0 * (size + worst[:, None]))
    if sample.dominant.any():
        centred = np.where(sample.dominant, 4.0 * (np.abs(v - top) + np.abs(s - top)), 0.0)
        rounding = np.maximum(rounding, centred)
    if sample.scale != 1.0:
        rounding = rounding + size
    lost = size if sample.scale == 1.0 else np.maximum(size, np.maximum(sample.magnitude, spread))
    # In this order: y_i u underflows where y_i is subnormal in float64, and v_i may be large.
    tolerance = y * (u * rounding) + np.where(y < sample.flushed_below, y * lost, 0.0)
    directions: tuple[Array, ...] = (-sample.scale * y,)
    windows: tuple[Array, ...] = (worst,)
    chances: tuple[Array, ...] = (likely,)
    if sample.from_logits:
        forward = forward_error(sample)
        subnormal = np.where(y < 2.0 * tiny, 2.0 * tiny, 0.0)
        larger = np.maximum(
            np.maximum(sample.magnitude, size), np.where(sample.dominant, np.abs(v - top), 0)
        )
        common = 1.0 + forward.window
        moved = ((y * forward.element + subnormal) * larger).sum(axis=1) * common
        moved += np.abs(s[:, 0]) * forward.window
        shift = np.minimum(worst + moved, HUGE)[:, None]
        tolerance += (y * forward.element * common[:, None] + subnormal) * (size + shift)
        directions = (*directions, exact)
        windows = ((worst + moved) * common, forward.window)
        chances = (likely * common + moved, forward.likely)
    tolerance = abs(sample.scale) * tolerance + 2.0 * tiny * max(1.0, abs(sample.scale))
    afresh = y * ((sample.n + 3) * u * sample.magnitude)
    afresh += tiny * sample.magnitude.sum(axis=1, keepdims=True)
    afresh *= abs(sample.scale)
    if sample.from_logits:
        tolerance = np.where(sample.masked, NONE, tolerance)
        afresh = np.where(sample.masked, 0.0, afresh)
    bound = Bound(tolerance, directions, windows, chances, afresh)
    return rounded_to_storage(sample, exact, bound)


def rounded_to_storage(sample: Sample, exact: Array, bound: Bound) -> Bound:
    """The bound with the last rounding of a 16-bit result: u_out times whatever was rounded."""
    u_out = sample.precision.u_out
    if u_out:
        bound.tolerance = bound.tolerance + u_out * (np.abs(exact) + bound.own())
    return bound
