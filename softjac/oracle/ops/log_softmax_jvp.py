"""log_softmax_jvp: y_dot_i = x_dot_i - Σ p_j x_dot_j, p = exp(y), times the scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import (
    Bound,
    exp_error,
    forward_error,
    mean_window,
    rounded_to_storage,
)
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op

Array = np.ndarray[Any, np.dtype[Any]]


def formula(sample: Sample) -> Array:
    """x_dot_i - s."""
    return np.asarray(sample.scale * (sample.vector - sample.mean))


def bound(sample: Sample, exact: Array) -> Bound:
    """The free number is s = Σ p_j x_dot_j; every element of a row moves with it alike.

    Element: each of the differences (x_dot - c), (e - t) is rounded once: 2 u |x_dot_i - s|, or,
    centred at x_dot_k where p_k ≥ 1/2, u (|x_dot_i - x_dot_k| + |x_dot_i - s|); s as computed
    is off by the free number. A scale on the tangents, as the derivative of log_softmax(scale x)
    has it, rounds each of them: u |x_dot_i|. The number: that of softmax's product, and
    Σ p_j κ(|ℓ_j|) |x_dot_j| for the exponentials.

    |x_dot_i - s| is the exact answer's size. From s in float64 it would cancel: where one class
    has all of the probability, s is x_dot_k to the last bit, and nothing would be allowed there.
    """
    u, tiny = sample.precision.u, sample.precision.tiny
    p, v, s = sample.y, sample.vector, sample.mean
    worst, likely = mean_window(sample)
    level = np.where(np.isfinite(sample.log_y), np.abs(sample.log_y), 0.0)
    top = np.take_along_axis(v, sample.top, axis=1)
    distance = np.maximum(np.abs(v), np.where(sample.dominant, np.abs(v - top), 0.0))
    moved = (p * distance * (u * exp_error(level))).sum(axis=1)
    if sample.from_logits:
        forward = forward_error(sample)
        moved += (p * forward.element * distance).sum(axis=1) * (1.0 + forward.window)
        worst = worst + np.abs(s[:, 0]) * forward.window
        likely = likely + np.abs(s[:, 0]) * forward.likely
    scale = abs(sample.scale)
    size = np.abs(exact) / scale + (worst + moved)[:, None]
    tolerance = u * np.maximum(2.0 * size, np.where(sample.dominant, np.abs(v - top) + size, 0.0))
    tolerance = scale * tolerance
    if scale != 1.0:
        tolerance += u * (np.abs(exact) + scale * np.abs(v))
    tolerance += 2.0 * tiny * max(1.0, scale)
    direction = np.full_like(exact, -sample.scale)
    afresh = scale * (sample.n + 3) * u * np.abs(v)
    limits = Bound(tolerance, (direction,), (worst + moved,), (likely + moved,), afresh)
    return rounded_to_storage(sample, exact, limits)


def condition(sample: Sample, exact: Array) -> Array:
    """C_i = |x_dot_i - s| + Σ p_j |x_dot_j - s|."""
    distance = np.abs(sample.vector - sample.mean)
    mean = (sample.y * distance).sum(axis=1, keepdims=True)
    return np.asarray(abs(sample.scale) * (distance + mean))


OP = Op(
    name="log_softmax_jvp",
    summary="tangent y_dot = J x_dot of log_softmax, from y (log-probabilities) or from x",
    forward="log_softmax",
    output="y_dot",
    vector="x_dot",
    formula=formula,
    bound=bound,
    condition=condition,
    wrong_formulas=mistakes.log_softmax_jvp,
)
