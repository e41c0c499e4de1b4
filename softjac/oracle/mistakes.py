"""The formulas people write instead of the right one: what each gives on a sample.

Each is taken from a bug that was shipped or published; `catalogue.py` says where. Those that differ
from the right formula only by overflow are computed in the candidate's own precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from softjac.oracle.op import Mistake
from softjac.oracle.sample import Sample

__all__ = [
    "VECTOR_LENGTHS",
    "forward",
    "log",
    "log_of_softmax",
    "log_softmax",
    "log_softmax_jacobian",
    "logarithmic_product",
    "softmax",
    "softmax_jacobian",
    "softmax_product",
]

Array = np.ndarray[Any, np.dtype[Any]]

VECTOR_LENGTHS = (4, 8, 16, 32, 64)


def softmax(z: Array) -> Array:
    """Softmax of rows."""
    weights = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def log_softmax(z: Array) -> Array:
    """Log-softmax of rows."""
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def log(probabilities: Array) -> Array:
    """log, with log 0 = -inf."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(probabilities))


def rounded(values: Array, sample: Sample) -> Array:
    """Values as the candidate's arithmetic holds them: overflow and underflow included."""
    if sample.precision.name == "float64":
        return values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return values.astype(np.float32).astype(np.float64)


def log_of_softmax(sample: Sample) -> Array:
    """log(softmax(x)), where a probability that underflows becomes -inf."""
    return log(rounded(sample.y, sample))


def _scaled(predict: Callable[[Sample], Array]) -> Callable[[Sample], Array]:
    """The prediction with the scale's factor."""
    return lambda sample: sample.scale * predict(sample)


def _has_scale(sample: Sample) -> bool:
    """Whether a lost scale would show."""
    return sample.scale != 1.0


def _has_rows(sample: Sample) -> bool:
    """Whether a mix-up of rows would show."""
    return sample.rows > 1


def _from_logits(sample: Sample) -> bool:
    """Whether the logits are at hand."""
    return sample.from_logits


def forward(finish: Callable[[Array], Array]) -> tuple[Mistake, ...]:
    """Mistakes in computing probabilities; `finish` turns them into the op's output."""

    def made(identifier: str, weigh: Callable[[Sample], Array], applies: Any = None) -> Mistake:
        def predict(sample: Sample) -> Array:
            with np.errstate(all="ignore"):
                return finish(weigh(sample))

        return Mistake(identifier, predict, applies or (lambda sample: True))

    def normalised(sample: Sample, shift: Array) -> Array:
        weights = rounded(np.exp(rounded(sample.z - shift, sample)), sample)
        return np.asarray(weights / rounded(weights.sum(axis=1, keepdims=True), sample))

    def unscaled(sample: Sample) -> Array:
        return softmax(sample.given["x"])

    def batch_sum(sample: Sample) -> Array:
        weights = np.exp(sample.z - sample.z.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum())

    def batch_reduced(sample: Sample) -> Array:
        weights = np.exp(sample.z - sample.z.max())
        return np.asarray(weights / weights.sum())

    def numerator_only(sample: Sample) -> Array:
        total = rounded(np.exp(rounded(sample.z, sample)).sum(axis=1, keepdims=True), sample)
        return np.asarray(np.exp(-sample.gap) / total)

    def denominator_only(sample: Sample) -> Array:
        total = np.exp(-sample.gap).sum(axis=1, keepdims=True)
        return np.asarray(rounded(np.exp(rounded(sample.z, sample)), sample) / total)

    found = [
        made("missing-scale", unscaled, _has_scale),
        made("no-max-subtraction", lambda s: normalised(s, np.zeros((s.rows, 1)))),
        made("batch-max", lambda s: normalised(s, np.full((s.rows, 1), s.z.max())), _has_rows),
        made("batch-sum", batch_sum, _has_rows),
        made("batch-reduced", batch_reduced, _has_rows),
        made("first-row-only", lambda s: np.repeat(s.y[:1], s.rows, axis=0), _has_rows),
        made("last-row-only", lambda s: np.repeat(s.y[-1:], s.rows, axis=0), _has_rows),
        made("wrong-axis", lambda s: softmax(s.z.T).T, _has_rows),
        made("shift-in-one-place", numerator_only),
        made("shift-in-one-place", denominator_only),
        made("all-zero", lambda s: np.zeros_like(s.z)),
        made("identity", lambda s: s.z),
    ]
    for floor in (0.0, 1.1754944e-38, -1.0, -10.0, -100.0, -1e3, -1e4, -5e4, -65504.0):
        found.append(
            made(
                "max-from-constant",
                lambda s, floor=floor: normalised(
                    s, np.maximum(s.z.max(axis=1, keepdims=True), floor)
                ),
            )
        )
    for limit in (1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 88.0, 100.0, 500.0):
        found.append(
            made("clipped-logits", lambda s, limit=limit: softmax(np.clip(s.z, -limit, limit)))
        )
        found.append(
            made("exp-clamped", lambda s, limit=limit: softmax(np.maximum(-s.gap, -limit)))
        )
    for limit in (64.0, 87.0, 87.33, 87.33654, 88.3762626647949, 88.72):
        found.append(
            made("exp-clamped", lambda s, limit=limit: softmax(np.maximum(-s.gap, -limit)))
        )
    for epsilon in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3):
        found.append(
            made(
                "epsilon-in-denominator",
                lambda s, epsilon=epsilon: np.exp(-s.gap)
                / (np.exp(-s.gap).sum(axis=1, keepdims=True) + epsilon),
            )
        )
    return tuple(found)


def softmax_product() -> tuple[Mistake, ...]:
    """Mistakes in dx = y (v - s)."""

    def with_mean(mean: Callable[[Sample], Array]) -> Callable[[Sample], Array]:
        return _scaled(lambda s: s.y * (s.vector - mean(s)))

    def again(sample: Sample) -> Array:
        twice = softmax(sample.y)
        return np.asarray(
            twice * (sample.vector - (twice * sample.vector).sum(axis=1, keepdims=True))
        )

    def logits(sample: Sample) -> Array:
        x = np.where(np.isfinite(sample.given["x"]), sample.given["x"], 0.0)
        return np.asarray(x * (sample.vector - (x * sample.vector).sum(axis=1, keepdims=True)))

    return (
        Mistake("diagonal-only", _scaled(lambda s: s.y * (1.0 - s.y) * s.vector)),
        Mistake("missing-dot", _scaled(lambda s: s.y * s.vector)),
        Mistake("dot-sign", with_mean(lambda s: -s.mean)),
        Mistake("identity", _scaled(lambda s: s.vector)),
        Mistake("sign-flipped", _scaled(lambda s: s.y * (s.mean - s.vector))),
        Mistake("mean-for-sum", with_mean(lambda s: s.mean / s.n)),
        Mistake("missing-scale", lambda s: s.y * (s.vector - s.mean), _has_scale),
        Mistake("fused-cross-entropy", _scaled(lambda s: s.y - s.vector)),
        Mistake("fused-cross-entropy", _scaled(lambda s: s.vector - s.y)),
        Mistake("swapped-arguments", _scaled(lambda s: s.vector * (s.y - s.mean))),
        Mistake("missing-probability-factor", _scaled(lambda s: s.vector - s.mean)),
        Mistake("all-zero", lambda s: np.zeros_like(s.y)),
        Mistake("log-softmax-formula", _scaled(lambda s: s.vector - s.y * _total(s))),
        Mistake("softmax-twice", _scaled(again)),
        Mistake("logits-for-probabilities", _scaled(logits), _from_logits),
        *_rows_mixed(lambda s, mean: s.scale * s.y * (s.vector - mean), lambda s: s.mean),
    )


def logarithmic_product() -> tuple[Mistake, ...]:
    """Mistakes in dx = v - p Σ v and in y_dot = v - Σ p v."""
    return (
        Mistake("softmax-formula", _scaled(lambda s: s.y * (s.vector - s.mean))),
        Mistake("missing-dot", _scaled(lambda s: s.vector)),
        Mistake("diagonal-only", _scaled(lambda s: (1.0 - s.y) * s.vector)),
        Mistake("dot-sign", _scaled(lambda s: s.vector + s.y * _total(s))),
        Mistake("missing-scale", lambda s: s.vector - s.y * _total(s), _has_scale),
        Mistake("sign-flipped", _scaled(lambda s: s.y * _total(s) - s.vector)),
        Mistake("missing-probability-factor", _scaled(lambda s: s.vector - _total(s))),
        Mistake("mean-for-sum", _scaled(lambda s: s.vector - s.y * _total(s) / s.n)),
        Mistake("fused-cross-entropy", _scaled(lambda s: s.y - s.vector)),
        Mistake("all-zero", lambda s: np.zeros_like(s.y)),
        *_rows_mixed(lambda s, total: s.scale * (s.vector - s.y * total), _total),
    )


def _total(sample: Sample) -> Array:
    """Σ v_j, `(rows, 1)`."""
    return np.asarray(sample.vector.sum(axis=1, keepdims=True))


def _rows_mixed(
    combine: Callable[[Sample, Array], Array], number: Callable[[Sample], Array]
) -> tuple[Mistake, ...]:
    """Rows mixed up in the one number a row has: of the batch, of the first, of the last."""
    return (
        Mistake("batch-sum", lambda s: combine(s, number(s).sum()), _has_rows),
        Mistake("batch-reduced", lambda s: combine(s, number(s).mean()), _has_rows),
        Mistake("first-row-only", lambda s: combine(s, number(s)[:1]), _has_rows),
        Mistake("last-row-only", lambda s: combine(s, number(s)[-1:]), _has_rows),
    )


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
