"""Mistakes in the products with a Jacobian: VJPs and JVPs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from softjac.oracle.judging.sample import Sample
from softjac.oracle.mistakes.arithmetic import (
    VECTOR_LENGTHS,
    Array,
    body,
    column_by_column,
    has_scale,
    longer,
    misread,
    ragged,
    softmax,
    underflow,
    unknown_at,
    unsure,
)
from softjac.oracle.mistakes.forward import wrong_probabilities
from softjac.oracle.mistakes.nameless import nameless_probabilities, nameless_product
from softjac.oracle.op import Mistake

__all__ = ["log_softmax_jvp", "log_softmax_vjp", "softmax_product"]

Formula = Callable[[Sample], Array]


def _scaled(predict: Callable[[Sample], Array]) -> Callable[[Sample], Array]:
    """The prediction with the scale's factor; what is masked keeps its NaN, as a first factor."""
    return lambda sample: predict(sample) * sample.scale


def _from_logits(sample: Sample) -> bool:
    """Whether the logits are at hand."""
    return sample.from_logits


@dataclass(frozen=True, slots=True)
class Product:
    """A product J v as people compute it: one number a row, then one formula an element."""

    number: Callable[[Array, Array], Array]
    combine: Callable[[Sample, Array, Array], Array]

    def of(self, sample: Sample) -> Array:
        """The right number."""
        return self.number(sample.y, sample.vector)

    def __call__(self, sample: Sample, number: Array) -> Array:
        """The elements for some other number."""
        return self.combine(sample, sample.vector, number)


def _weighted(y: Array, v: Array) -> Array:
    """Σ y_j v_j, `(rows, 1)`."""
    return np.asarray((y * v).sum(axis=1, keepdims=True))


def _plain(y: Array, v: Array) -> Array:
    """Σ v_j, `(rows, 1)`."""
    return np.asarray(v.sum(axis=1, keepdims=True))


SOFTMAX = Product(_weighted, lambda s, v, number: s.scale * s.y * (v - number))
LOG_VJP = Product(_plain, lambda s, v, number: s.scale * (v - s.y * number))
LOG_JVP = Product(_weighted, lambda s, v, number: s.scale * (v - number))


def _product(form: Product) -> tuple[Mistake, ...]:
    """Mistakes any of the products can have: signs, factors, rows mixed up, lanes and tails."""
    return (
        Mistake("dot-sign", lambda s: form(s, -form.of(s))),
        Mistake(
            "missing-dot" if form is SOFTMAX else "identity",
            lambda s: form(s, np.zeros((s.rows, 1))),
        ),
        Mistake("off-diagonal-sign", lambda s: _off_diagonal_flipped(form, s)),
        Mistake("mean-for-sum", lambda s: form(s, form.of(s) / s.n)),
        Mistake("sign-flipped", lambda s: -form(s, form.of(s))),
        Mistake("missing-scale", lambda s: form(s, form.of(s)) / s.scale, has_scale),
        Mistake("missing-scale", lambda s: form(s, form.of(s) / s.scale), has_scale),
        Mistake("missing-scale", lambda s: form(s, form.of(s) * s.scale) / s.scale, has_scale),
        Mistake("missing-scale", partial(_at_unscaled, form), _has_scaled_logits),
        Mistake("missing-scale", lambda s: _at_unscaled(form, s) / s.scale, _has_scaled_logits),
        Mistake("wrong-factor", lambda s: form(s, form.of(s)) * s.scale, has_scale),
        Mistake("wrong-factor", lambda s: form(s, form.of(s)) / s.scale**2, has_scale),
        Mistake("wrong-factor", partial(_at_divided, form), _has_scaled_logits),
        Mistake("fused-cross-entropy", _scaled(lambda s: s.y - s.vector)),
        Mistake("fused-cross-entropy", _scaled(lambda s: s.vector - s.y)),
        Mistake("all-zero", lambda s: np.zeros_like(s.y)),
        Mistake("batch-reduced", lambda s: form(s, form.of(s).sum()), layout=True),
        Mistake("batch-reduced", lambda s: form(s, form.of(s).mean()), layout=True),
        Mistake("wrong-factor", lambda s: form(s, form.of(s)) / s.n),
        Mistake("wrong-factor", lambda s: form(s, form.of(s) * s.n / max(s.n - 1, 1))),
        Mistake("wrong-factor", lambda s: form(s, form.of(s)) / s.rows, layout=True),
        Mistake("first-row-only", partial(_of_row, form, row=0), layout=True),
        Mistake("last-row-only", partial(_of_row, form, row=-1), layout=True),
        Mistake("first-row-only", lambda s: form(s, form.of(s)[:1]), layout=True),
        Mistake("last-row-only", lambda s: form(s, form.of(s)[-1:]), layout=True),
        Mistake("wrong-axis", lambda s: form(s, _across(form, s)), layout=True),
        Mistake("wrong-axis", lambda s: form(s, _strided(form, s)), layout=True),
        Mistake("wrong-axis", column_by_column(lambda s: form(s, form.of(s))), layout=True),
        *(made for lanes in VECTOR_LENGTHS for made in _located(form, lanes)),
        *nameless_product(form, form.of),
    )


def _has_scaled_logits(sample: Sample) -> bool:
    """Whether it would show that the logits were not scaled."""
    return sample.from_logits and has_scale(sample)


def _at_unscaled(form: Product, sample: Sample) -> Array:
    """The product, scaled, at the probabilities of logits that are not."""
    wrong = sample.with_probabilities(softmax(sample.given["x"]))
    return unsure(sample.given["x"], form(wrong, form.of(wrong)))


def _at_divided(form: Product, sample: Sample) -> Array:
    """The derivative of softmax(x / scale)."""
    wrong = sample.with_probabilities(softmax(sample.given["x"] / sample.scale))
    return unsure(sample.given["x"], form(wrong, form.of(wrong)) / sample.scale**2)


def _off_diagonal_flipped(form: Product, sample: Sample) -> Array:
    """The product with a Jacobian whose elements off the diagonal have the other sign."""
    diagonal = (sample.y if form is SOFTMAX else 1.0) * sample.vector * (1.0 - sample.y)
    return np.asarray(2.0 * sample.scale * diagonal - form(sample, form.of(sample)))


def _of_row(form: Product, sample: Sample, row: int) -> Array:
    """The product with one row's Jacobian for every row."""
    wrong = sample.with_probabilities(np.repeat(sample.y[[row]], sample.rows, axis=0))
    return form(wrong, form.of(wrong))


def _across(form: Product, sample: Sample) -> Array:
    """The number summed over the rows instead of over the classes, `(1, n)`."""
    return form.number(sample.y.T, sample.vector.T).T


def _strided(form: Product, sample: Sample) -> Array:
    """The number of what lies a whole number of rows apart, as a reshape to `(n, rows)` has it."""
    shape = (sample.n, sample.rows)
    return form.number(sample.y.reshape(shape).T, sample.vector.reshape(shape).T)


def _located(form: Product, lanes: int) -> tuple[Mistake, ...]:
    """Mistakes in the loop over vectors of so many lanes, and in what is left after it."""

    def without_tail(sample: Sample) -> Array:
        kept = body(sample, lanes)
        return form.number(sample.y * kept, sample.vector * kept)

    def without_last(sample: Sample) -> Array:
        kept = np.arange(sample.n) < sample.n - 1
        return form.number(sample.y * kept, sample.vector * kept)

    left, many = partial(ragged, lanes), partial(longer, lanes)
    found = [
        Mistake("tail-ignored", lambda s: form(s, without_tail(s)), left),
        Mistake("tail-ignored", lambda s: form(s, without_last(s)), left),
        Mistake("tail-ignored", lambda s: form(s, form.of(s)) * body(s, lanes), left),
        Mistake("tail-ignored", lambda s: form(s, without_tail(s)) * body(s, lanes), left),
    ]
    for places in misread(lanes):
        for predict in _misreading(form, places):
            found.append(Mistake("pointer-not-advanced", predict, many))
    return tuple(found)


def _misreading(form: Product, places: Callable[[int], Array]) -> Iterator[Formula]:
    """The product with one operand, or all of them, read from the wrong places."""

    def vector(sample: Sample) -> Array:
        return np.asarray(sample.vector[:, places(sample.n)])

    def y(sample: Sample) -> Array:
        return np.asarray(sample.y[:, places(sample.n)])

    def astray(sample: Sample) -> Sample:
        return sample.with_probabilities(y(sample))

    yield lambda s: form.combine(s, vector(s), form.of(s))
    yield lambda s: form(s, form.number(s.y, vector(s)))
    yield lambda s: form(s, form.number(y(s), s.vector))
    yield lambda s: form(s, form.number(y(s), vector(s)))
    yield lambda s: form(astray(s), form.of(s))
    yield lambda s: form(astray(s), form.of(astray(s)))
    yield lambda s: form.combine(s, vector(s), form.number(s.y, vector(s)))
    yield lambda s: form(s, form.of(s))[:, places(s.n)]


def softmax_product() -> tuple[Mistake, ...]:
    """Mistakes in y (v - Σ y v)."""

    def again(sample: Sample) -> Array:
        twice = softmax(sample.y)
        return np.asarray(twice * (sample.vector - _weighted(twice, sample.vector)))

    def logits(sample: Sample) -> Array:
        x = sample.given["x"]
        return unsure(x, x * (sample.vector - _weighted(x, sample.vector)))

    return (
        Mistake("diagonal-only", _scaled(lambda s: s.y * (1.0 - s.y) * s.vector)),
        *_product(SOFTMAX),
        Mistake("identity", _scaled(lambda s: s.vector)),
        Mistake("swapped-arguments", _scaled(lambda s: s.vector * (s.y - s.mean))),
        Mistake("missing-probability-factor", _scaled(lambda s: s.vector - s.mean)),
        Mistake("missing-probability-factor", lambda s: SOFTMAX(s, _plain(s.y, s.vector))),
        Mistake("missing-probability-factor", _scaled(lambda s: s.y * s.vector - s.mean)),
        Mistake("missing-probability-factor", _scaled(lambda s: s.vector - s.y * s.mean)),
        Mistake("log-softmax-formula", lambda s: LOG_VJP(s, LOG_VJP.of(s))),
        Mistake("softmax-twice", _scaled(again)),
        Mistake("logits-for-probabilities", _scaled(logits), _from_logits),
        *_from_wrong(SOFTMAX),
    )


def log_softmax_vjp() -> tuple[Mistake, ...]:
    """Mistakes in v - p Σ v."""
    return (
        *_product(LOG_VJP),
        *_logarithmic(LOG_VJP),
        Mistake("transposed", lambda s: LOG_JVP(s, LOG_JVP.of(s))),
    )


def log_softmax_jvp() -> tuple[Mistake, ...]:
    """Mistakes in v - Σ p v."""
    return (
        *_product(LOG_JVP),
        *_logarithmic(LOG_JVP),
        Mistake("transposed", lambda s: LOG_VJP(s, LOG_VJP.of(s))),
    )


def _from_wrong(form: Product) -> tuple[Mistake, ...]:
    """The right product of probabilities that were got from the logits in a wrong way."""

    def predict(sample: Sample, formula: Formula) -> Array:
        y = np.ma.asarray(formula(sample))
        wrong = sample.with_probabilities(y.filled(np.nan))
        mask = np.ma.getmaskarray(y).any(axis=1, keepdims=True)
        return unknown_at(mask, form(wrong, form.of(wrong)))

    named = (
        Mistake(name, partial(predict, formula=formula), _from_logits, layout)
        for name, formula, layout in wrong_probabilities()
    )
    nameless = (
        Mistake("unknown", partial(predict, formula=formula), _from_logits, words=words)
        for words, formula in nameless_probabilities()
    )
    return (*named, *nameless)


def _logarithmic(form: Product) -> tuple[Mistake, ...]:
    """Mistakes in the products of log_softmax: of its formula, and of what `y` holds."""

    def read_as_probabilities(sample: Sample, given: Array) -> Array:
        number = form.number(given, sample.vector)
        made = sample.vector - (given * number if form is LOG_VJP else number)
        return unsure(given, sample.scale * made)

    def through_probabilities(sample: Sample) -> Array:
        lost, faint = underflow(sample)
        spoilt = lost.any(axis=1, keepdims=True) if form is LOG_VJP else lost
        mask = faint.any(axis=1, keepdims=True) & ~spoilt
        made = np.where(spoilt, np.nan, form(sample, form.of(sample)))
        return unknown_at(mask, made)

    return (
        Mistake("log-of-softmax", through_probabilities),
        Mistake("softmax-formula", lambda s: SOFTMAX(s, SOFTMAX.of(s))),
        Mistake("diagonal-only", _scaled(lambda s: (1.0 - s.y) * s.vector)),
        Mistake("missing-probability-factor", _scaled(lambda s: s.vector - _plain(s.y, s.vector))),
        Mistake("logits-for-probabilities", lambda s: read_as_probabilities(s, s.log_y)),
        Mistake(
            "logits-for-probabilities",
            lambda s: read_as_probabilities(s, s.given["x"]),
            _from_logits,
        ),
        *_from_wrong(form),
    )
