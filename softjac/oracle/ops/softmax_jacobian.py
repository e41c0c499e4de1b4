"""softmax_jacobian: jac[i][j] = y_i (δ_ij - y_j), times the scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import HUGE, NONE, Bound, forward_error, rounded_to_storage
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op

Array = np.ndarray[Any, np.dtype[Any]]


def formula(sample: Sample) -> Array:
    """diag(y) - y yᵀ, each row's flattened; of y as given, whether or not it sums to 1."""
    y = sample.y
    rest = sample.rest if sample.from_logits else 1.0 - y  # 1 - y of a computed y would cancel
    jacobian = -y[:, :, None] * y[:, None, :]
    diagonal = np.arange(sample.n)
    jacobian[:, diagonal, diagonal] = y * rest
    return np.asarray(sample.scale * jacobian.reshape(sample.rows, -1))


def bound(sample: Sample, exact: Array) -> Bound:
    """Off the diagonal one product, u y_i y_j; on it y_i [2 u (1 - y_i) + u y_i + |1 - Σ y_j|].

    The last term is the difference between y_i (1 - y_i) and y_i Σ_{j≠i} y_j, both readings of the
    Jacobian at y; that sum costs n u (1 - y_i) more. From logits every y_i carries ε_i and the
    common δ, by which y_i (δ_ij - y_j) moves y_i (δ_ij - 2 y_j), and their products. 2 F for the
    product, 2 F for a subnormal y_i. Rows and columns of logits that are -inf are exactly 0.
    """
    u, n = sample.precision.u, sample.n
    y = sample.y
    rest = np.abs(sample.rest)
    outer = y[:, :, None] * y[:, None, :]
    tolerance = 2.0 * u * outer
    on_diagonal = y * (u * ((2.0 + n) * rest + 2.0 * y) + sample.defect)
    directions: tuple[Array, ...] = ()
    windows: tuple[Array, ...] = ()
    likely: tuple[Array, ...] = ()
    diagonal = np.arange(n)
    if sample.from_logits:
        forward = forward_error(sample)
        common = forward.window[:, None]
        own = np.minimum(y * forward.element * (1.0 + common), HUGE)
        whole = own + y * common
        tolerance += own[:, :, None] * y[:, None, :] + y[:, :, None] * own[:, None, :]
        tolerance += whole[:, :, None] * whole[:, None, :]
        on_diagonal += own * np.maximum(rest, y) + whole**2
        moves = -2.0 * outer
        moves[:, diagonal, diagonal] += y
        directions = (sample.scale * moves.reshape(sample.rows, -1),)
        windows, likely = (forward.window,), (forward.likely,)
    tolerance[:, diagonal, diagonal] = on_diagonal
    scale = abs(sample.scale)
    tolerance = scale * tolerance.reshape(sample.rows, -1)
    if scale != 1.0:
        tolerance += u * np.abs(exact)
    tolerance += 4.0 * sample.precision.tiny * max(1.0, scale)
    zero = sample.masked[:, :, None] | sample.masked[:, None, :]
    tolerance = np.where(zero.reshape(sample.rows, -1), NONE, tolerance)
    return rounded_to_storage(sample, exact, Bound(tolerance, directions, windows, likely))


def condition(sample: Sample, exact: Array) -> Array:
    """C_ij = |jac_ij|."""
    return np.abs(exact)


OP = Op(
    name="softmax_jacobian",
    summary="Jacobian jac[i][j] = y_i (δ_ij - y_j) of softmax, from y or from x",
    forward="softmax",
    output="jac",
    vector=None,
    formula=formula,
    bound=bound,
    condition=condition,
    wrong_formulas=mistakes.softmax_jacobian,
)
