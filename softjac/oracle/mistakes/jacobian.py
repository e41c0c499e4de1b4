"""Mistakes in the explicit Jacobians."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from softjac.oracle.judging.sample import Sample
from softjac.oracle.mistakes.arithmetic import (
    Array,
    eye,
    has_scale,
    underflow,
    unknown_at,
    unsure,
    with_diagonal,
)
from softjac.oracle.mistakes.forward import wrong_probabilities
from softjac.oracle.mistakes.nameless import (
    nameless_jacobian,
    nameless_log_jacobian,
    nameless_probabilities,
)
from softjac.oracle.op import Mistake

__all__ = ["log_softmax_jacobian", "softmax_jacobian"]

Matrix = Callable[[Array], Array]
"""From `(rows, n)` probabilities the `(rows, n, n)` matrices."""


def softmax_jacobian() -> tuple[Mistake, ...]:
    """Mistakes in diag(y) - y yᵀ."""

    def matrix(diagonal: Matrix, sign: float) -> Matrix:
        return lambda y: with_diagonal(sign * outer(y, y), diagonal(y))

    def outer(left: Array, right: Array) -> Array:
        return np.asarray(left[:, :, None] * right[:, None, :])

    def less(sample: Sample, products: Array) -> Array:
        """diag(y) less what stands for y yᵀ."""
        return _flat(sample, eye(sample.y) * sample.y[:, None, :] - products)

    def of_batch(sample: Sample, reduced: Callable[..., Array]) -> Array:
        return less(sample, reduced(outer(sample.y, sample.y), axis=0))

    def of_others(sample: Sample, others: Matrix, sides: tuple[int, ...]) -> Array:
        """An outer product of which these sides are not the row's own."""
        left, right = (others(sample.y) if side in sides else sample.y for side in (0, 1))
        return less(sample, outer(left, right))

    mixed: tuple[tuple[str, Matrix], ...] = (
        ("batch-reduced", lambda y: y.sum(axis=0, keepdims=True)),
        ("batch-reduced", lambda y: y.mean(axis=0, keepdims=True)),
        ("first-row-only", lambda y: y[:1]),
        ("last-row-only", lambda y: y[-1:]),
    )
    right = matrix(lambda y: y * (1.0 - y), -1.0)
    return (
        _of("diagonal-only", matrix(lambda y: y * (1.0 - y), 0.0)),
        _of("off-diagonal-sign", matrix(lambda y: y * (1.0 - y), 1.0)),
        _of("dot-sign", matrix(lambda y: y * (1.0 + y), 1.0)),
        _of("sign-flipped", matrix(lambda y: -y * (1.0 - y), 1.0)),
        _of("missing-dot", matrix(lambda y: y, 0.0)),
        _of("missing-probability-factor", matrix(lambda y: 1.0 - y, -1.0)),
        _of("log-softmax-formula", lambda y: eye(y) - y[:, None, :]),
        _of("log-softmax-formula", lambda y: eye(y) - y[:, :, None]),
        Mistake("batch-reduced", partial(of_batch, reduced=np.sum), layout=True),
        Mistake("batch-reduced", partial(of_batch, reduced=np.mean), layout=True),
        *(
            Mistake(name, partial(of_others, others=others, sides=sides), layout=True)
            for name, others in mixed
            for sides in ((0,), (1,), (0, 1))
        ),
        *_common(right),
        *(_of("unknown", made, words) for words, made in nameless_jacobian(right)),
    )


def log_softmax_jacobian() -> tuple[Mistake, ...]:
    """Mistakes in δ_ij - p_j."""

    def right(y: Array) -> Array:
        return np.asarray(eye(y) - y[:, None, :])

    def at_logarithms(sample: Sample) -> Array:
        return unsure(sample.log_y, _flat(sample, right(sample.log_y)))

    def through_probabilities(sample: Sample, in_reverse: bool) -> Array:
        lost, faint = underflow(sample)  # 0/0 there; in reverse it comes into every sum of the row
        spoilt = lost | (in_reverse & lost.any(axis=1, keepdims=True))
        made = np.where(spoilt[:, :, None], np.nan, right(sample.y))
        return unknown_at(faint.any(axis=1, keepdims=True), _flat(sample, made))

    return (
        *(
            Mistake("log-of-softmax", partial(through_probabilities, in_reverse=way), _from_logits)
            for way in (True, False)
        ),
        _of("transposed", lambda y: eye(y) - y[:, :, None]),
        _of("off-diagonal-sign", lambda y: eye(y) + y[:, None, :]),
        _of("off-diagonal-sign", lambda y: eye(y) * (1.0 - 2.0 * y[:, None, :]) + y[:, None, :]),
        _of("sign-flipped", lambda y: y[:, None, :] - eye(y)),
        _of("softmax-formula", lambda y: y[:, :, None] * right(y)),
        _of("diagonal-only", lambda y: eye(y) * (1.0 - y[:, None, :])),
        Mistake("logits-for-probabilities", at_logarithms),
        *_common(right),
        *(_of("unknown", made, words) for words, made in nameless_log_jacobian(right)),
    )


def _common(right: Matrix) -> tuple[Mistake, ...]:
    """What either Jacobian can suffer."""

    def at_logits(sample: Sample) -> Array:
        x = sample.given["x"]
        return unsure(x, _flat(sample, right(x)))

    def unscaled(sample: Sample) -> Array:
        return right(sample.y).reshape(sample.rows, -1)

    def of_row(sample: Sample, row: int) -> Array:
        return _flat(sample, right(np.repeat(sample.y[[row]], sample.rows, axis=0)))

    def partly_of_row(sample: Sample, row: int, on: bool) -> Array:
        """One row's diagonal for every row, or all else."""
        own, one = right(sample.y), right(np.repeat(sample.y[[row]], sample.rows, axis=0))
        rest, diagonal = (own, one) if on else (one, own)
        return _flat(sample, with_diagonal(rest, np.diagonal(diagonal, axis1=1, axis2=2)))

    def from_wrong(sample: Sample, formula: Callable[[Sample], Array]) -> Array:
        y = np.ma.asarray(formula(sample))
        made = _flat(sample, right(y.filled(np.nan)))
        mask = np.ma.getmaskarray(y).any(axis=1, keepdims=True)
        return unknown_at(mask, made)

    return (
        _of("identity", eye),
        _of("all-zero", lambda y: 0.0 * eye(y)),
        Mistake("missing-scale", unscaled, has_scale),
        Mistake("logits-for-probabilities", at_logits, _from_logits),
        Mistake("first-row-only", partial(of_row, row=0), layout=True),
        Mistake("last-row-only", partial(of_row, row=-1), layout=True),
        *(
            Mistake(name, partial(partly_of_row, row=row, on=on), layout=True)
            for name, row in (("first-row-only", 0), ("last-row-only", -1))
            for on in (True, False)
        ),
        *(
            Mistake(name, partial(from_wrong, formula=formula), _from_logits, layout)
            for name, formula, layout in wrong_probabilities()
        ),
        *(
            Mistake("unknown", partial(from_wrong, formula=formula), _from_logits, words=words)
            for words, formula in nameless_probabilities()
        ),
    )


def _of(name: str, matrix: Matrix, words: str = "") -> Mistake:
    """A mistake that gives this matrix, times the scale."""
    return Mistake(name, lambda sample: _flat(sample, matrix(sample.y)), words=words)


def _flat(sample: Sample, matrices: Array) -> Array:
    """The scaled matrices, one a row."""
    return np.asarray(sample.scale * matrices.reshape(sample.rows, -1))


def _from_logits(sample: Sample) -> bool:
    """Whether the logits are at hand."""
    return sample.from_logits
