"""log_softmax_vjp: dx_i = dy_i - p_i Σ dy_j, p = exp(y), times the scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import (
    ELEMENTARY,
    HUGE,
    LAMBDA,
    Bound,
    exp_error,
    forward_error,
    rounded_to_storage,
)
from softjac.oracle.judging.sample import Sample, sum_of_others
from softjac.oracle.op import Op

Array = np.ndarray[Any, np.dtype[Any]]


def total(sample: Sample) -> Array:
    """S = Σ dy_j, `(rows, 1)`."""
    return np.asarray(sample.vector.sum(axis=1, keepdims=True))


def formula(sample: Sample) -> Array:
    """dy_i - p_i S."""
    return np.asarray(sample.scale * (sample.vector - sample.y * total(sample)))


def bound(sample: Sample, exact: Array) -> Bound:
    """The free number is S, in error by (n - 1) u Σ |dy_j| at most; element i moves by -p_i.

    Element: u (|dy_i| + |dx_i|) for the difference, or u (3 |dy_i| + |dx_i|) for
    (1 - p_i) dy_i - p_i (S - dy_i); p_i |S| (κ(|ℓ_i|) + 2) u for the exponential and the product.
    Where p_k ≥ 1/2 element k may be (1 - p_k) dy_k - p_k Σ_{j≠k} dy_j, with a sum of its own, and
    1 - p_k as -expm1(ℓ_k) or as Σ_{j≠k} p_j, which differ by |1 - Σ p_j| and by the n additions'
    rounding. From logits p_i carries softmax's errors, its common one moves S as well. A subnormal
    p_i or scale p_i may be flushed or rounded by 2 F, a term of S by F.
    """
    u, tiny = sample.precision.u, sample.precision.tiny
    below = sample.flushed_below
    p, v, s = sample.y, sample.vector, total(sample)
    size = np.abs(v).sum(axis=1)
    depth = sample.n
    window, likely = depth * u * size, (LAMBDA * np.sqrt(depth) + 2.0) * u * size
    level = np.where(np.isfinite(sample.log_y), np.abs(sample.log_y), 0.0)
    magnitude = np.abs(s) + window[:, None]
    relative = u * (exp_error(level) + 2.0)
    if sample.from_logits:
        forward = forward_error(sample)
        relative = np.minimum(relative + forward.element, HUGE / (1.0 + forward.window[:, None]))
        relative *= 1.0 + forward.window[:, None]
        window = window * (1.0 + forward.window) + np.abs(s[:, 0]) * forward.window
        likely = likely + np.abs(s[:, 0]) * forward.likely
    own = p * (depth * u * size)[:, None]
    own += ((ELEMENTARY + 2.0 + depth) * u * (1.0 - p) + sample.defect) * np.abs(v)
    tolerance = u * (3.0 * np.abs(v) + np.abs(exact / sample.scale)) + p * magnitude * relative
    tolerance += np.where(sample.is_top, own, 0.0) + np.where(
        p < 2.0 * below, 2.0 * below * magnitude, 0.0
    )
    scale = abs(sample.scale)
    tolerance = scale * tolerance + (u * np.abs(exact) if scale != 1.0 else 0.0)
    tolerance += 2.0 * tiny * max(1.0, scale)
    direction, afresh = -sample.scale * p, scale * depth * u * np.abs(v)
    flushed = sample.n * below
    limits = Bound(tolerance, (direction,), (window + flushed,), (likely + flushed,), afresh)
    return rounded_to_storage(sample, exact, limits)


def condition(sample: Sample, exact: Array) -> Array:
    """C_i = |dy_i| (1 - p_i) + p_i Σ_{j≠i} |dy_j|."""
    size = np.abs(sample.vector)
    one_less = np.where(sample.is_top, -np.expm1(np.minimum(sample.log_y, 0.0)), 1.0 - sample.y)
    return np.asarray(abs(sample.scale) * (size * one_less + sample.y * sum_of_others(size)))


OP = Op(
    name="log_softmax_vjp",
    summary="cotangent dx = Jᵀ dy of log_softmax, from y (log-probabilities) or from x",
    forward="log_softmax",
    output="dx",
    vector="dy",
    formula=formula,
    bound=bound,
    condition=condition,
    wrong_formulas=mistakes.log_softmax_vjp,
)
