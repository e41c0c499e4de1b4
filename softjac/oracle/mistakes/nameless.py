"""Formulas that have no name of their own, each told in words: the report says what was computed.

An online sum is written for a running maximum M: after each element, or each block, it is the
largest logit so far. What these give where a logit is -inf is left open: some think of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from softjac.oracle.judging.sample import Sample
from softjac.oracle.mistakes.arithmetic import (
    Array,
    eye,
    log,
    rounded,
    softmax,
    unknown_at,
    unsure,
    with_diagonal,
)
from softjac.oracle.op import Mistake

__all__ = [
    "nameless_forward",
    "nameless_jacobian",
    "nameless_log_forward",
    "nameless_log_jacobian",
    "nameless_probabilities",
    "nameless_product",
]

Formula = Callable[[Sample], Array]
Told = tuple[str, Formula]
Matrix = Callable[[Array], Array]

# Elements after which a running maximum is looked at again; lanes, or parts, with one each.
BLOCKS = (1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 8192)
LANES = (2, 4, 8, 16, 32, 64)
LIMITS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


def nameless_forward() -> tuple[Mistake, ...]:
    """What softmax may give, in words."""
    return _told(nameless_probabilities())


def nameless_log_forward() -> tuple[Mistake, ...]:
    """What log_softmax may give, in words."""
    return _told((*_logarithms(), *((words, _log_of(f)) for words, f in nameless_probabilities())))


def nameless_product(form: Callable[[Sample, Array], Array], of: Formula) -> tuple[Mistake, ...]:
    """What a product may give, in words: form(sample, number) at another number than of(sample)."""

    def right(sample: Sample) -> Array:
        return form(sample, of(sample))

    def without_own(sample: Sample) -> Array:
        return np.asarray(form(sample, of(sample) - sample.y * sample.vector))

    def bounded(sample: Sample, limit: float) -> Array:
        return np.clip(right(sample), -limit, limit)

    def shortened(sample: Sample, limit: float) -> Array:
        whole = right(sample)
        size = np.sqrt((whole * whole).sum(axis=1, keepdims=True))
        return np.asarray(whole * np.minimum(1.0, limit / size))

    def vector_bounded(sample: Sample, limit: float) -> Array:
        other = sample.with_vector(np.clip(sample.vector, -limit, limit))
        return np.asarray(form(other, of(other)))

    def at_exponentials(sample: Sample) -> Array:
        other = sample.with_probabilities(np.exp(sample.y))
        return np.asarray(form(other, of(other)))

    found: list[Told] = [
        ("exponentials of the probabilities stand in their place", at_exponentials),
        ("the right result times its probability once more", lambda s: s.y * right(s)),
        ("the right result times 1 - y", lambda s: right(s) * (1.0 - s.y)),
        ("the right result without its sign", lambda s: np.abs(right(s))),
        ("an element's own term is left out of the sum that is taken off", without_own),
        (
            "the largest element of the vector is taken off, not the mean",
            lambda s: form(s, s.vector.max(axis=1, keepdims=True)),
        ),
        (
            "the probabilities are squared in the sum that is taken off",
            lambda s: form(s, (s.y * s.y * s.vector).sum(axis=1, keepdims=True)),
        ),
        (
            "the unweighted mean is taken off",
            lambda s: form(s, s.vector.mean(axis=1, keepdims=True)),
        ),
        ("the sum that is taken off is never below 0", lambda s: form(s, np.maximum(of(s), 0.0))),
    ]
    for limit in LIMITS:
        found += [
            (f"the result is clipped to ±{limit:g}", partial(bounded, limit=limit)),
            (f"the result is shortened to length {limit:g}", partial(shortened, limit=limit)),
            (f"the vector is clipped to ±{limit:g}", partial(vector_bounded, limit=limit)),
        ]
    return _told(found)


def nameless_jacobian(right: Matrix) -> Iterator[tuple[str, Matrix]]:
    """What softmax's Jacobian, which is right(y), may be, in words."""

    def outer(y: Array) -> Array:
        return np.asarray(y[:, :, None] * y[:, None, :])

    yield "the outer product alone: y is never added to the diagonal", lambda y: -outer(y)
    yield "y on the diagonal, right elsewhere", lambda y: with_diagonal(right(y), y)
    yield "1 - y on the diagonal and 0 elsewhere", lambda y: eye(y) * (1.0 - y[:, None, :])
    yield "1 - y on the diagonal, right elsewhere", lambda y: with_diagonal(right(y), 1.0 - y)
    yield "-y_i y_i off the diagonal", lambda y: eye(y) * y[:, None, :] - (y * y)[:, :, None]
    yield "y_i (δ_ij - 1)", lambda y: y[:, :, None] * (eye(y) - 1.0)
    yield "δ_ij - y_i y_j", lambda y: eye(y) - outer(y)
    yield from _spared(right)


def nameless_log_jacobian(right: Matrix) -> Iterator[tuple[str, Matrix]]:
    """What log_softmax's Jacobian, which is right(y), may be, in words."""
    yield "1 on the diagonal, right elsewhere", lambda y: with_diagonal(right(y), np.ones_like(y))
    yield "-p_j alone: 1 is never added to the diagonal", lambda y: right(y) - eye(y)
    yield from _spared(right)


def _told(found: Iterable[Told]) -> tuple[Mistake, ...]:
    """Mistakes without a name."""
    return tuple(Mistake("unknown", formula, words=words) for words, formula in found)


def _log_of(formula: Formula) -> Formula:
    """The logarithm of what a formula gives."""
    return lambda sample: log(formula(sample))


def _weights(sample: Sample) -> Array:
    """exp(z - max z)."""
    return np.exp(-sample.gap)


def _total(sample: Sample) -> Array:
    """Σ exp(z_j - max z), `(rows, 1)`."""
    return np.asarray(_weights(sample).sum(axis=1, keepdims=True))


def nameless_probabilities() -> Iterator[Told]:
    """Words and formula of what people write in place of exp(z - max z) / Σ exp(z_j - max z)."""
    yield "exp(x - max x), not divided by its sum", _weights
    yield "the sigmoid of each logit", lambda s: 1.0 / (1.0 + np.exp(-s.z))
    yield "1 everywhere", lambda s: unknown_at(~np.isfinite(s.z), np.ones_like(s.z))
    yield "1/n everywhere", lambda s: np.full_like(s.z, 1.0 / s.n)
    yield "1 at the largest logit and 0 elsewhere", lambda s: 1.0 * (s.gap == 0.0)
    yield "1 at the largest logit, shared by equal ones, and 0 elsewhere", _shared
    yield "1 at the first largest logit and 0 elsewhere", _first_largest
    yield "softmax of the logits with the other sign", lambda s: softmax(-s.z)
    yield "softmax of the logits without their sign", lambda s: softmax(np.abs(s.z))
    yield "softmax of half the logits", lambda s: softmax(0.5 * s.z)
    yield "softmax of twice the logits", lambda s: softmax(2.0 * s.z)
    yield "powers of 2 in place of e", lambda s: softmax(np.log(2.0) * s.z)
    yield "powers of 10 in place of e", lambda s: softmax(np.log(10.0) * s.z)
    yield "each element over the sum up to it", lambda s: _weights(s) / _weights(s).cumsum(axis=1)
    yield "each element over the sum of the others", lambda s: s.y / s.rest
    yield "divided by the root of the sum", lambda s: _weights(s) / np.sqrt(_total(s))
    yield "divided by the root of the sum of squares", _over_length
    yield "equal largest logits are counted once in the sum", _ties_once
    for words, reduced in _shifts():
        yield words, partial(_shifted_by, reduced=reduced)
    for block in BLOCKS:
        after = "after each element" if block == 1 else f"after each {block} elements"
        running = partial(_running, block=block)
        yield (
            f"a running sum is not rescaled when the maximum, found anew {after}, rises",
            partial(_summed_at, running=running),
        )
        yield (
            f"a running sum is rescaled by the inverse when the maximum, found anew {after}, rises",
            partial(_summed_at, running=running, inverse=True),
        )
        yield (
            f"exponentials keep the maximum of their time, found anew {after}; the sum does not",
            partial(_kept_at, running=running),
        )
    for lanes in LANES:
        yield (
            f"the sums of {lanes} lanes, each below its own maximum, are added as they are",
            partial(_summed_at, running=partial(_of_lane, lanes=lanes)),
        )
        yield (
            f"the sums of {lanes} equal parts, each below its own maximum, are added as they are",
            partial(_summed_at, running=partial(_of_part, parts=lanes)),
        )


def _logarithms() -> Iterator[Told]:
    """Formulas in place of z - max z - log Σ exp(z_j - max z)."""
    yield "x - max x alone, without the logarithm of the sum", lambda s: -s.gap
    yield "the sum is taken off, not its logarithm", lambda s: -s.gap - _total(s)
    yield "a logarithm to base 2", lambda s: -s.gap - np.log2(_total(s))
    yield "a logarithm to base 10", lambda s: -s.gap - np.log10(_total(s))
    yield "the whole to base 2", lambda s: s.log_y / np.log(2.0)
    yield "the logarithm of the sum is added", lambda s: -s.gap + s.log_sum
    for words, reduced in _shifts():
        yield words, partial(_log_shifted_by, reduced=reduced)


def _shifts() -> Iterator[tuple[str, Callable[..., Array]]]:
    """What is taken off the logits instead of the largest."""
    for noun, reduced in (("smallest", np.min), ("mean", np.mean), ("middle", _middle)):
        yield f"the {noun} logit is taken off, not the largest", reduced


def _over_length(sample: Sample) -> Array:
    """Exponentials over their Euclidean length."""
    weights = _weights(sample)
    return np.asarray(weights / np.sqrt((weights * weights).sum(axis=1, keepdims=True)))


def _shared(sample: Sample) -> Array:
    """Equal shares of 1 at the largest logits, 0 elsewhere."""
    largest = sample.gap == 0.0
    return np.asarray(largest / largest.sum(axis=1, keepdims=True))


def _first_largest(sample: Sample) -> Array:
    """1 at the first of the largest logits, 0 elsewhere."""
    return np.asarray(1.0 * (np.arange(sample.n) == sample.gap.argmin(axis=1)[:, None]))


def _ties_once(sample: Sample) -> Array:
    """Of equal largest logits one enters the sum."""
    ties = (sample.gap == 0.0).sum(axis=1, keepdims=True)
    return np.asarray(_weights(sample) / (_total(sample) - ties + 1.0))


def _middle(z: Array, *, axis: int, keepdims: bool) -> Array:
    """Half of the smallest and the largest."""
    return np.asarray(
        0.5 * (z.min(axis=axis, keepdims=keepdims) + z.max(axis=axis, keepdims=keepdims))
    )


def _shifted_by(sample: Sample, reduced: Callable[..., Array]) -> Array:
    """Softmax shifted by another number than the maximum, overflow included."""
    shift = reduced(sample.z, axis=1, keepdims=True)
    weights = rounded(np.exp(rounded(sample.z - shift, sample)), sample)
    return unsure(sample.z, weights / rounded(weights.sum(axis=1, keepdims=True), sample))


def _log_shifted_by(sample: Sample, reduced: Callable[..., Array]) -> Array:
    """log_softmax shifted by another number than the maximum, overflow included."""
    moved = rounded(sample.z - reduced(sample.z, axis=1, keepdims=True), sample)
    total = rounded(np.exp(moved), sample).sum(axis=1, keepdims=True)
    return unsure(sample.z, moved - log(rounded(total, sample)))


def _running(z: Array, block: int) -> Array:
    """The running maximum after each block, at each element of it."""
    last = np.minimum(np.arange(z.shape[1]) // block * block + block, z.shape[1]) - 1
    return np.asarray(np.maximum.accumulate(z, axis=1)[:, last])


def _of_lane(z: Array, lanes: int) -> Array:
    """The maximum of each element's lane."""
    found = np.empty_like(z)
    for lane in range(min(lanes, z.shape[1])):
        found[:, lane::lanes] = z[:, lane::lanes].max(axis=1, keepdims=True)
    return found


def _of_part(z: Array, parts: int) -> Array:
    """The maximum of each element's part of the row."""
    size = -(-z.shape[1] // parts)
    found = np.empty_like(z)
    for start in range(0, z.shape[1], size):
        part = z[:, start : start + size]
        found[:, start : start + size] = part.max(axis=1, keepdims=True)
    return found


def _summed_at(
    sample: Sample, running: Callable[[Array], Array], *, inverse: bool = False
) -> Array:
    """exp(z - max) over Σ exp(z_j - M_j), each term times exp(max - M_j) for the inverse."""
    moved = sample.z - running(sample.z)
    if inverse:
        moved = 2.0 * moved + sample.gap
    total = rounded(np.exp(moved), sample).sum(axis=1, keepdims=True)
    return unsure(sample.z, _weights(sample) / rounded(total, sample))


def _kept_at(sample: Sample, running: Callable[[Array], Array]) -> Array:
    """exp(z_i - M_i) over the right sum."""
    return unsure(sample.z, np.exp(sample.z - running(sample.z)) / _total(sample))


def _spared(right: Matrix) -> Iterator[tuple[str, Matrix]]:
    """A part of the right matrix that stays 0."""
    yield "the diagonal is 0", lambda y: with_diagonal(right(y), np.zeros_like(y))
    yield "0 below the diagonal", lambda y: np.triu(right(y))
    yield "0 above the diagonal", lambda y: np.tril(right(y))
    yield "0 below the diagonal and on it", lambda y: np.triu(right(y), 1)
    yield "0 above the diagonal and on it", lambda y: np.tril(right(y), -1)
