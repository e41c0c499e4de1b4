"""What a derivative may be off by that a library took, of a forward function people wrote.

Two things in such functions are no fault of theirs and cost rounding in the derivative alone:
the maximum taken off, x - max(x), through which the derivative goes as well, where it cancels but
for rounding; and `exp(log_softmax(x))`, whose derivative has two roundings of each probability.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from softjac.oracle.bounds import HUGE, Bound, forward_error
from softjac.oracle.op import Op
from softjac.oracle.sample import Sample

__all__ = ["library_bound"]

Array = np.ndarray[Any, np.dtype[Any]]


def library_bound(op: Op, sample: Sample, exact: Array) -> Bound:
    """The bound of an op's derivative, from logits, that a library took."""
    if op.output == "y_dot":
        return _forward(op, sample, exact)
    bound = op.bound(sample, exact)
    if not op.logarithmic:
        bound = _two_probabilities(op, sample, bound)
    return _backward(sample, exact, bound)


def _two_probabilities(op: Op, sample: Sample, bound: Bound) -> Bound:
    """Backward through exp, then through log_softmax: dx_i = ŷ_i v_i - ỹ_i Σ ŷ_j v_j.

    ŷ = exp(ℓ) and ỹ = exp(x - max) / Σ have an ε_i and a δ each. One ε_i less the other no longer
    meets v_i - s as a factor: y_i (|ε̂_i v_i| + |ε̃_i s|) takes the place of y_i |ε_i (v_i - s)|.
    Of the two δ one moves s alone, which may move by |s| δ already. In a Jacobian the one of ỹ is
    left: it moves -y_i y_j, and with the common one of y_i (δ_ij - 2 y_j) that is y_i on the
    diagonal, by half their difference.
    """
    forward = forward_error(sample)
    if op.vector is None:
        diagonal = np.zeros((sample.rows, sample.n, sample.n))
        places = np.arange(sample.n)
        diagonal[:, places, places] = sample.scale * sample.y
        return replace(
            bound,
            directions=(*bound.directions, diagonal.reshape(sample.rows, -1)),
            windows=(*bound.windows, forward.window),
            likely=(*bound.likely, forward.likely),
        )
    v, s = np.abs(sample.vector), np.abs(sample.mean)
    element = forward.element * (1.0 + forward.window[:, None])
    subnormal = np.where(sample.y < 2.0 * sample.precision.tiny, 2.0 * sample.precision.tiny, 0.0)
    apart = np.minimum(sample.y * element + subnormal, HUGE) * (v + s)
    apart *= abs(sample.scale) * (1.0 + sample.precision.u_out)
    return replace(bound, tolerance=bound.tolerance + np.where(sample.masked, 0.0, apart))


def _forward(op: Op, sample: Sample, exact: Array) -> Bound:
    """Forward mode: the tangent is t_i = v_i - v_k, k the largest logit, rounded by η_i = u |t_i|.

    J t = J v, so that the op's bound holds for t; J η adds w_i (η_i + Σ y_j η_j), with w = y for
    softmax and w = 1 for log_softmax. With b the largest logit of a block t_i is v_i - v_b, and
    v_b - v_k joins it in the product: at most 2 M_i and M_i, M_i = max |v_j - v_k| over x_j ≥ x_i.
    Each is rounded once, and three times more as a factor of an exponential, of a rescaling and
    of 1/Σ: η_i = 12 u M_i. Of q equal maxima libraries take the mean, q u max |v_j| off.
    """
    shifted = sample.vector - np.take_along_axis(sample.vector, sample.top, axis=1)
    moved = sample.with_vector(shifted)
    bound = op.bound(moved, exact)
    ones = np.ones_like(sample.gap)
    equal = _accumulated(ones, sample.gap, np.add) + _accumulated(ones, -sample.gap, np.add)
    equal -= sample.n
    above = partial(_accumulated, key=sample.gap, join=np.maximum)
    eta = 12.0 * above(np.abs(shifted))
    eta += above(np.where(equal > 1.0, equal, 0.0)) * above(np.abs(sample.vector))
    eta *= sample.precision.u
    rounded = eta + (sample.y * eta).sum(axis=1, keepdims=True)
    weights = 1.0 if op.logarithmic else sample.y
    tolerance = bound.tolerance + abs(sample.scale) * weights * rounded
    return replace(bound, tolerance=tolerance)


def _backward(sample: Sample, exact: Array, bound: Bound) -> Bound:
    """Backward: what x - max(x) receives, g_i, goes to x_i, and -Σ g_i to the largest logit.

    The g_i are a VJP and sum to 0 but for their errors, which therefore all meet at the maximum, or
    at the equal ones. Where the maxima are those of blocks, or of an online sum, what comes back
    through the rescaling cancels each block's Σ g_i, and errors meet at each of these: those of
    logits no larger, whatever the blocks. Over x_j ≤ x_i, Σ tolerance_j + Σ_k window_k |Σ_j d_kj|
    at most, and u Σ |g_j| for each of these terms, for the sums themselves.
    """
    wide = (sample.rows, -1, sample.n)  # each row of a Jacobian is a VJP
    below = partial(_accumulated, key=-sample.gap[:, None, :], join=np.add)
    own = bound.tolerance.reshape(wide)
    errors = below(own)
    for direction, window in zip(bound.directions, bound.windows, strict=True):
        errors += window[:, None, None] * np.abs(below(direction.reshape(wide)))
    size = (np.abs(exact) + bound.own()).reshape(wide)
    errors += below(np.ones_like(size)) * sample.precision.u * below(size)
    tolerance = own + np.where(sample.masked[:, None, :], 0.0, errors)
    return replace(bound, tolerance=tolerance.reshape(bound.tolerance.shape))


def _accumulated(values: Array, key: Array, join: np.ufunc) -> Array:
    """`values` joined over all j with key_j ≤ key_i, for each i of the last axis."""
    key = np.broadcast_to(key, values.shape)
    order = np.argsort(key, axis=-1, kind="stable")
    ranked = np.take_along_axis(key, order, axis=-1)
    is_last = np.ones_like(ranked, bool)
    is_last[..., :-1] = ranked[..., :-1] != ranked[..., 1:]
    n = key.shape[-1]
    places = np.where(is_last, np.arange(n), n)
    last = np.minimum.accumulate(places[..., ::-1], axis=-1)[..., ::-1]  # of the equal ones
    joined = join.accumulate(np.take_along_axis(values, order, axis=-1), axis=-1)
    result = np.empty_like(joined)
    np.put_along_axis(result, order, np.take_along_axis(joined, last, axis=-1), axis=-1)
    return result
