"""Mistakes in the explicit Jacobians."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from softjac.oracle.mistakes.arithmetic import Array
from softjac.oracle.op import Mistake
from softjac.oracle.sample import Sample

__all__ = ["log_softmax_jacobian", "softmax_jacobian"]


def softmax_jacobian() -> tuple[Mistake, ...]:
    """Mistakes in diag(y) - y yᵀ."""

    def jacobian(diagonal: Callable[[Array], Array], sign: float) -> Callable[[Sample], Array]:
        def predict(sample: Sample) -> Array:
            y, on = sample.y, np.arange(sample.n)
            made = sign * y[:, :, None] * y[:, None, :]
            made[:, on, on] = diagonal(y)
            return np.asarray(sample.scale * made.reshape(sample.rows, -1))

        return predict

    return (
        Mistake("diagonal-only", jacobian(lambda y: y * (1.0 - y), 0.0)),
        Mistake("off-diagonal-sign", jacobian(lambda y: y * (1.0 - y), 1.0)),
        Mistake("sign-flipped", jacobian(lambda y: -y * (1.0 - y), 1.0)),
        Mistake("missing-dot", jacobian(lambda y: y, 0.0)),
        Mistake("missing-dot", jacobian(lambda y: y, -1.0)),
        Mistake("all-zero", lambda s: np.zeros((s.rows, s.n * s.n))),
    )


def log_softmax_jacobian() -> tuple[Mistake, ...]:
    """Mistakes in δ_ij - p_j."""

    def jacobian(off: Callable[[Array], Array], sign: float = 1.0) -> Callable[[Sample], Array]:
        def predict(sample: Sample) -> Array:
            made = np.eye(sample.n) * sign - off(sample.y)
            return np.asarray(sample.scale * made.reshape(sample.rows, -1))

        return predict

    def softmax_form(sample: Sample) -> Array:
        y = sample.y
        made = y[:, :, None] * (np.eye(sample.n) - y[:, None, :])
        return np.asarray(sample.scale * made.reshape(sample.rows, -1))

    def broadcast(y: Array) -> Array:
        return np.broadcast_to(y[:, None, :], (*y.shape, y.shape[1]))

    return (
        Mistake("transposed", jacobian(lambda y: np.swapaxes(broadcast(y), 1, 2))),
        Mistake("off-diagonal-sign", jacobian(lambda y: -broadcast(y))),
        Mistake("sign-flipped", jacobian(lambda y: -broadcast(y), -1.0)),
        Mistake("softmax-formula", softmax_form),
        Mistake("diagonal-only", jacobian(lambda y: broadcast(y) * np.eye(y.shape[1]))),
        Mistake("missing-dot", jacobian(lambda y: 0.0 * broadcast(y))),
        Mistake("all-zero", lambda s: np.zeros((s.rows, s.n * s.n))),
    )
