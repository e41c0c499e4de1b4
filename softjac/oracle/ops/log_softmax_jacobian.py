"""log_softmax_jacobian: jac[i][j] = δ_ij - p_j, p = exp(y), times the scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import HUGE, Bound, exp_error, forward_error, rounded_to_storage
from softjac.oracle.judging.sample import Sample, sum_of_others
from softjac.oracle.op import Op

Array = np.ndarray[Any, np.dtype[Any]]


def formula(sample: Sample) -> Array:
    """δ_ij - p_j, each row's flattened."""
    jacobian = np.eye(sample.n) - sample.y[:, None, :] + np.zeros((sample.rows, sample.n, 1))
    return np.asarray(sample.scale * jacobian.reshape(sample.rows, -1))


def bound(sample: Sample, exact: Array) -> Bound:
    """p_j (κ(|ℓ_j|) + 1) u for the exponential, u (1 - p_i) more on the diagonal.

    The diagonal may be a sum over the others, with their errors, n u (1 - p_i) and |1 - Σ p_j|;
    where p_k ≥ 1/2 also -expm1(ℓ_k), within 8 u (1 - p_k). From logits p_j carries ε_j and the
    common δ.
    """
    u, n = sample.precision.u, sample.n
    p = sample.y
    level = np.where(np.isfinite(sample.log_y), np.abs(sample.log_y), 0.0)
    column = p * u * (exp_error(level) + 1.0)
    directions: tuple[Array, ...] = ()
    windows: tuple[Array, ...] = ()
    likely: tuple[Array, ...] = ()
    ones = np.ones((1, n, 1))
    if sample.from_logits:
        forward = forward_error(sample)
        column = column + p * forward.element * (1.0 + forward.window[:, None])
        directions = ((-sample.scale * p[:, None, :] * ones).reshape(sample.rows, -1),)
        windows, likely = (forward.window,), (forward.likely,)
    rest = np.abs(np.where(sample.is_top, -np.expm1(np.minimum(sample.log_y, 0.0)), 1.0 - p))
    tolerance = column[:, None, :] * ones
    diagonal = np.arange(n)
    summed = (np.where(sample.is_top, 8.0, 0.0) + n) * u * rest + sample.defect
    summed += sum_of_others(np.minimum(column, HUGE))
    tolerance[:, diagonal, diagonal] += 2.0 * u * rest + summed
    scale = abs(sample.scale)
    tolerance = scale * tolerance.reshape(sample.rows, -1)
    if scale != 1.0:
        tolerance += u * np.abs(exact)
    tolerance += 2.0 * sample.precision.tiny * max(1.0, scale)
    return rounded_to_storage(sample, exact, Bound(tolerance, directions, windows, likely))


def condition(sample: Sample, exact: Array) -> Array:
    """C_ij = |jac_ij|."""
    return np.abs(exact)


OP = Op(
    name="log_softmax_jacobian",
    summary="Jacobian jac[i][j] = δ_ij - exp(y_j) of log_softmax, from y (log-probabilities) or x",
    forward="log_softmax",
    output="jac",
    vector=None,
    formula=formula,
    bound=bound,
    condition=condition,
    wrong_formulas=mistakes.log_softmax_jacobian,
)
