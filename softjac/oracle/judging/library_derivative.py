"""What a derivative may be off by that a library took, of a forward function people wrote.

Two things in such functions are no fault of theirs and cost rounding in the derivative alone:
the maximum taken off, x - max(x), through which the derivative goes as well, where it cancels but
for rounding; and `exp(log_softmax(x))`, whose derivative has two roundings of each probability.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from softjac.oracle.judging.bounds import HUGE, Bound, forward_error
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op

__all__ = ["library_bounds"]

Array = np.ndarray[Any, np.dtype[Any]]


def library_bounds(op: Op, sample: Sample, exact: Array) -> Iterator[Bound]:
    """The bounds of an op's derivative, from logits, that a library took: a row is held to one.

    They are not added up: each stays as narrow as what it allows for.
    """
    if op.output == "y_dot":
        yield _forward(op, sample, exact)
        return
    bound = op.bound(sample, exact)
    yield _backward(sample, exact, bound)
    if op.name == "softmax_vjp":
        yield _two_probabilities(sample, bound)


def _forward(op: Op, sample: Sample, exact: Array) -> Bound:
    """Forward mode: the tangent is t_i = v_i - v_k, k the largest logit, rounded by η_i = u |t_i|.

    J t = J v, so that the op's bound holds for t; J η adds w_i (η_i + Σ y_j η_j), with w = y for
    softmax and w = 1 for log_softmax.
    """
    shifted = sample.vector - np.take_along_axis(sample.vector, sample.top, axis=1)
    moved = sample.with_vector(shifted)
    bound = op.bound(moved, exact)
    eta = sample.precision.u * np.abs(shifted)
    rounded = eta + (sample.y * eta).sum(axis=1, keepdims=True)
    weights = 1.0 if op.logarithmic else sample.y
    tolerance = bound.tolerance + abs(sample.scale) * weights * rounded
    return replace(bound, tolerance=tolerance)


def _backward(sample: Sample, exact: Array, bound: Bound) -> Bound:
    """Backward: what x - max(x) receives, g_i, goes to x_i, and -Σ g_i to the largest logit.

    The g_i are a VJP and sum to 0 but for their errors, which therefore all meet at the maximum,
    or at the equal ones: Σ tolerance_j + Σ_k window_k |Σ_j d_kj| at most, and n u Σ |g_j| for the
    sum itself.
    """
    wide = (sample.rows, -1, sample.n)  # each row of a Jacobian is a VJP
    errors = bound.tolerance.reshape(wide).sum(axis=2, keepdims=True)
    for direction, window in zip(bound.directions, bound.windows, strict=True):
        sums = direction.reshape(wide).sum(axis=2, keepdims=True)
        errors = errors + window[:, None, None] * np.abs(sums)
    size = (np.abs(exact) + bound.own()).reshape(wide).sum(axis=2, keepdims=True)
    errors = errors + sample.n * sample.precision.u * size
    largest = (sample.gap == 0.0)[:, None, :]
    tolerance = bound.tolerance.reshape(wide) + np.where(largest, errors, 0.0)
    return replace(bound, tolerance=tolerance.reshape(bound.tolerance.shape))


def _two_probabilities(sample: Sample, bound: Bound) -> Bound:
    """Backward through exp, then through log_softmax: dx_i = ŷ_i v_i - ỹ_i Σ ŷ_j v_j.

    ŷ = exp(ℓ) and ỹ = exp(x - max) / Σ have an ε_i and a δ each: y_i (|ε̂_i v_i| + |ε̃_i s|) takes
    the place of y_i |ε̂_i (v_i - s)|, and is larger by y_i |s| (ε̂_i + ε̃_i) at most. Of the two δ
    one moves s alone, which may move by |s| δ already. With the one-hot vectors of a Jacobian
    nothing cancels, y_i (1 - ỹ_i) and -y_i ỹ_j, and the op's own bound holds.
    """
    forward = forward_error(sample)
    twice = sample.y * (forward.element + forward.quotient) * (1.0 + forward.window[:, None])
    twice += np.where(sample.y < 2.0 * sample.precision.tiny, 4.0 * sample.precision.tiny, 0.0)
    apart = np.minimum(twice, HUGE) * np.abs(sample.mean)
    apart *= abs(sample.scale) * (1.0 + sample.precision.u_out)
    return replace(bound, tolerance=bound.tolerance + np.where(sample.masked, 0.0, apart))
