"""What a derivative may be off by that a library took through the maximum: of x - max(x).

People write softmax with the maximum taken off and let a library differentiate it. The derivative
then goes through the maximum as well, where it cancels but for rounding, and that rounding is no
fault of theirs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from softjac.oracle.bounds import Bound
from softjac.oracle.op import Op
from softjac.oracle.sample import Sample

__all__ = ["through_maximum"]

Array = np.ndarray[Any, np.dtype[Any]]


def through_maximum(op: Op, sample: Sample, exact: Array) -> Bound:
    """The bound of an op's derivative, from logits, of a function with x - max(x) in it."""
    if op.output == "y_dot":
        return _forward(op, sample, exact)
    return _backward(sample, exact, op.bound(sample, exact))


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
