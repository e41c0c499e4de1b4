"""The formulas people write instead of the right one: what each gives on a sample.

Each is taken from a bug that was shipped or published; `catalogue.py` says where. Those that differ
from the right formula only by overflow are computed in the candidate's own precision.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
    "log_softmax_jvp",
    "log_softmax_vjp",
    "softmax",
    "softmax_jacobian",
    "softmax_product",
]

Array = np.ndarray[Any, np.dtype[Any]]

VECTOR_LENGTHS = (4, 8, 16, 32, 64)

# Parts of a row that a maximum is taken of by mistake.
HALF = slice(0, -2)
PARTS = (HALF, slice(0, 1), slice(1, None), slice(0, -1), slice(0, None, 2), slice(1, None, 2))


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
        if isinstance(probabilities, np.ma.MaskedArray):
            return np.ma.masked_array(np.log(probabilities.data), mask=probabilities.mask)
        return np.asarray(np.log(probabilities))


def rounded(values: Array, sample: Sample) -> Array:
    """Values as the candidate's arithmetic holds them: overflow and underflow included."""
    if sample.precision.name == "float64":
        return values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return values.astype(np.float32).astype(np.float64)


def log_of_softmax(sample: Sample) -> Array:
    """log(softmax(x)): -inf where a probability underflows, unsure where it is subnormal."""
    kept = rounded(sample.y, sample)
    tiny = sample.precision.tiny
    return np.ma.masked_array(log(kept), mask=(sample.y < 1e3 * tiny) & (sample.y > 1e-10 * tiny))


def _scaled(predict: Callable[[Sample], Array]) -> Callable[[Sample], Array]:
    """The prediction with the scale's factor."""
    return lambda sample: sample.scale * predict(sample)


def _has_scale(sample: Sample) -> bool:
    """Whether a lost scale would show."""
    return sample.scale != 1.0


def _from_logits(sample: Sample) -> bool:
    """Whether the logits are at hand."""
    return sample.from_logits


def forward(finish: Callable[[Array], Array]) -> tuple[Mistake, ...]:
    """Mistakes in computing probabilities; `finish` turns them into the op's output."""

    def made(
        identifier: str,
        weigh: Callable[[Sample], Array],
        applies: Callable[[Sample], bool] = lambda sample: True,
        layout: bool = False,
    ) -> Mistake:
        def predict(sample: Sample) -> Array:
            with np.errstate(all="ignore"):
                return finish(weigh(sample))

        return Mistake(identifier, predict, applies, layout)

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
        made("no-max-subtraction", lambda s: _normalised(s, np.zeros((s.rows, 1)))),
        made("batch-max", lambda s: _normalised(s, np.full((s.rows, 1), s.z.max())), layout=True),
        made("batch-sum", batch_sum, layout=True),
        made("batch-sum", batch_reduced, layout=True),
        made("mean-for-sum", lambda s: s.y * s.n),
        made("first-row-only", lambda s: _of_row(s, 0), layout=True),
        made("last-row-only", lambda s: _of_row(s, -1), layout=True),
        made("first-row-only", lambda s: _shifted_by_row(s, 0), layout=True),
        made("last-row-only", lambda s: _shifted_by_row(s, -1), layout=True),
        made("first-row-only", lambda s: np.repeat(s.y[:1], s.rows, axis=0), layout=True),
        made("last-row-only", lambda s: np.repeat(s.y[-1:], s.rows, axis=0), layout=True),
        made("wrong-axis", lambda s: softmax(s.z.T).T, layout=True),
        made("shift-in-one-place", numerator_only),
        made("shift-in-one-place", denominator_only),
        made("all-zero", lambda s: np.zeros_like(s.z)),
        made("identity", lambda s: s.z),
    ]
    for floor in (0.0, 1.1754944e-38, -1.0, -10.0, -100.0, -1e3, -1e4, -5e4, -65504.0):
        found.append(
            made(
                "max-from-constant",
                lambda s, floor=floor: _normalised(
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
                lambda s, epsilon=epsilon: (
                    np.exp(-s.gap) / (np.exp(-s.gap).sum(axis=1, keepdims=True) + epsilon)
                ),
            )
        )
    for lanes in VECTOR_LENGTHS:
        found += [
            made(identifier, lambda s, weigh=weigh, lanes=lanes: weigh(s, lanes), applies)
            for identifier, weigh, applies in (
                ("tail-ignored", _tail_unsummed, lambda s, lanes=lanes: s.n % lanes != 0),
                ("tail-ignored", _tail_dropped, lambda s, lanes=lanes: s.n % lanes != 0),
                ("tail-leaks-in", _zeros_summed, lambda s, lanes=lanes: s.n % lanes != 0),
                ("tail-leaks-in", _zeros_seen, lambda s, lanes=lanes: s.n % lanes != 0),
                ("tail-leaks-in", _ones_summed, lambda s, lanes=lanes: s.n % lanes != 0),
                ("partial-max", _body_max, lambda s, lanes=lanes: s.n > lanes),
                ("partial-max", _first_vector_max, lambda s, lanes=lanes: s.n > lanes),
            )
        ]
    for part in PARTS:
        found.append(made("partial-max", lambda s, part=part: _part_max(s, part), _several))
    return tuple(found)


def _of_row(sample: Sample, row: int) -> Array:
    """Every row divided by one row's sum."""
    weights = np.exp(-sample.gap)
    return np.asarray(weights / weights[row].sum())


def _shifted_by_row(sample: Sample, row: int) -> Array:
    """Every row shifted by one row's maximum, and divided by that row's sum."""
    weights = np.exp(sample.z - sample.z[row].max())
    return np.asarray(weights / weights[row].sum())


def _body(sample: Sample, lanes: int) -> Array:
    """Which elements lie in whole vectors."""
    return np.asarray(np.arange(sample.n) < sample.n // lanes * lanes)


def _normalised(sample: Sample, shift: Array) -> Array:
    """exp(z - shift) over its sum, as the candidate's arithmetic has it; unsure where that is tiny.

    A tiny sum has few bits left, and its reciprocal may overflow where its quotient does not.
    """
    weights = rounded(np.exp(rounded(sample.z - shift, sample)), sample)
    total = rounded(weights.sum(axis=1, keepdims=True), sample)
    unsure = (total < 1e8 * sample.precision.tiny) & (total > 0.0)
    return np.ma.masked_array(weights / total, mask=np.broadcast_to(unsure, weights.shape))


def _tail_unsummed(sample: Sample, lanes: int) -> Array:
    """The tail is computed, but not in the sum."""
    weights = np.exp(-sample.gap)
    return np.asarray(weights / (weights * _body(sample, lanes)).sum(axis=1, keepdims=True))


def _tail_dropped(sample: Sample, lanes: int) -> Array:
    """The tail is neither summed nor computed."""
    return _tail_unsummed(sample, lanes) * _body(sample, lanes)


def _zeros_summed(sample: Sample, lanes: int) -> Array:
    """The lanes past the end hold logits 0, which enter the sum."""
    weights = np.exp(-sample.gap)
    extra = -sample.n % lanes * np.exp(-sample.z.max(axis=1, keepdims=True))
    return np.asarray(weights / (weights.sum(axis=1, keepdims=True) + extra))


def _zeros_seen(sample: Sample, lanes: int) -> Array:
    """The lanes past the end hold logits 0, which enter the maximum and the sum."""
    shift = np.maximum(sample.z.max(axis=1, keepdims=True), 0.0)
    weights = np.exp(sample.z - shift)
    extra = -sample.n % lanes * np.exp(-shift)
    return np.asarray(weights / (weights.sum(axis=1, keepdims=True) + extra))


def _ones_summed(sample: Sample, lanes: int) -> Array:
    """The lanes past the end enter the sum with weight 1."""
    weights = np.exp(-sample.gap)
    return np.asarray(weights / (weights.sum(axis=1, keepdims=True) + -sample.n % lanes))


def _body_max(sample: Sample, lanes: int) -> Array:
    """The maximum leaves out the tail."""
    seen = np.where(_body(sample, lanes), sample.z, -np.inf)
    return _normalised(sample, seen.max(axis=1, keepdims=True))


def _several(sample: Sample) -> bool:
    """Whether there is anything a maximum can leave out."""
    return sample.n > 1


def _part_max(sample: Sample, part: slice) -> Array:
    """The maximum is that of a part of the row: a slice in halves of it, or in elements."""
    seen = sample.z[:, : sample.n // 2] if part == HALF else sample.z[:, part]
    return _normalised(sample, seen.max(axis=1, keepdims=True))


def _first_vector_max(sample: Sample, lanes: int) -> Array:
    """The maximum is that of the first vector."""
    return _normalised(sample, sample.z[:, :lanes].max(axis=1, keepdims=True))


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


def product(form: Product) -> tuple[Mistake, ...]:
    """Mistakes any of the products can have: signs, factors, rows mixed up, lanes and tails."""
    return (
        Mistake("dot-sign", lambda s: form(s, -form.of(s))),
        Mistake("missing-dot", lambda s: form(s, np.zeros((s.rows, 1)))),
        Mistake("mean-for-sum", lambda s: form(s, form.of(s) / s.n)),
        Mistake("sign-flipped", lambda s: -form(s, form.of(s))),
        Mistake("missing-scale", lambda s: form(s, form.of(s)) / s.scale, _has_scale),
        Mistake("fused-cross-entropy", _scaled(lambda s: s.y - s.vector)),
        Mistake("fused-cross-entropy", _scaled(lambda s: s.vector - s.y)),
        Mistake("all-zero", lambda s: np.zeros_like(s.y)),
        Mistake("batch-sum", lambda s: form(s, form.of(s).sum()), layout=True),
        Mistake("batch-reduced", lambda s: form(s, form.of(s).mean()), layout=True),
        Mistake("first-row-only", lambda s: form(s, form.of(s)[:1]), layout=True),
        Mistake("last-row-only", lambda s: form(s, form.of(s)[-1:]), layout=True),
        Mistake("wrong-axis", lambda s: form(s, _across(form, s)), layout=True),
        *(made for lanes in VECTOR_LENGTHS for made in _located(form, lanes)),
    )


def _across(form: Product, sample: Sample) -> Array:
    """The number summed over the rows instead of over the classes, `(1, n)`."""
    return form.number(sample.y.T, sample.vector.T).T


def _located(form: Product, lanes: int) -> tuple[Mistake, ...]:
    """Mistakes in the loop over vectors of so many lanes, and in what is left after it."""

    def stuck(sample: Sample) -> Array:
        return sample.vector[:, np.arange(sample.n) % lanes]

    def body(sample: Sample) -> Array:
        return np.arange(sample.n) < sample.n // lanes * lanes

    def longer(sample: Sample) -> bool:
        return sample.n > lanes

    def ragged(sample: Sample) -> bool:
        return sample.n % lanes != 0

    def without_tail(sample: Sample) -> Array:
        kept = body(sample)
        return form.number(sample.y * kept, sample.vector * kept)

    return (
        Mistake(
            "pointer-not-advanced",
            lambda s: form.combine(s, stuck(s), form.of(s)),
            longer,
        ),
        Mistake("pointer-not-advanced", lambda s: form(s, form.number(s.y, stuck(s))), longer),
        Mistake(
            "pointer-not-advanced",
            lambda s: form.combine(s, stuck(s), form.number(s.y, stuck(s))),
            longer,
        ),
        Mistake("tail-ignored", lambda s: form(s, without_tail(s)), ragged),
        Mistake("tail-ignored", lambda s: form(s, form.of(s)) * body(s), ragged),
        Mistake("tail-ignored", lambda s: form(s, without_tail(s)) * body(s), ragged),
    )


def softmax_product() -> tuple[Mistake, ...]:
    """Mistakes in y (v - Σ y v)."""

    def again(sample: Sample) -> Array:
        twice = softmax(sample.y)
        return np.asarray(twice * (sample.vector - _weighted(twice, sample.vector)))

    def logits(sample: Sample) -> Array:
        x = np.where(np.isfinite(sample.given["x"]), sample.given["x"], 0.0)
        return np.asarray(x * (sample.vector - _weighted(x, sample.vector)))

    return (
        Mistake("diagonal-only", _scaled(lambda s: s.y * (1.0 - s.y) * s.vector)),
        *product(SOFTMAX),
        Mistake("identity", _scaled(lambda s: s.vector)),
        Mistake("swapped-arguments", _scaled(lambda s: s.vector * (s.y - s.mean))),
        Mistake("missing-probability-factor", _scaled(lambda s: s.vector - s.mean)),
        Mistake("log-softmax-formula", lambda s: LOG_VJP(s, LOG_VJP.of(s))),
        Mistake("softmax-twice", _scaled(again)),
        Mistake("logits-for-probabilities", _scaled(logits), _from_logits),
    )


def log_softmax_vjp() -> tuple[Mistake, ...]:
    """Mistakes in v - p Σ v."""
    return (
        *product(LOG_VJP),
        *_logarithmic(LOG_VJP),
        Mistake("transposed", lambda s: LOG_JVP(s, LOG_JVP.of(s))),
    )


def log_softmax_jvp() -> tuple[Mistake, ...]:
    """Mistakes in v - Σ p v."""
    return (
        *product(LOG_JVP),
        *_logarithmic(LOG_JVP),
        Mistake("transposed", lambda s: LOG_VJP(s, LOG_VJP.of(s))),
    )


def _logarithmic(form: Product) -> tuple[Mistake, ...]:
    """Mistakes in the products of log_softmax: of its formula, and of what `y` holds."""

    def as_probabilities(sample: Sample) -> Array:
        y = np.where(np.isfinite(sample.log_y), sample.log_y, 0.0)
        number = form.number(y, sample.vector)
        return np.asarray(
            sample.scale * (sample.vector - (y * number if form is LOG_VJP else number))
        )

    return (
        Mistake("softmax-formula", lambda s: SOFTMAX(s, SOFTMAX.of(s))),
        Mistake("diagonal-only", _scaled(lambda s: (1.0 - s.y) * s.vector)),
        Mistake("missing-probability-factor", _scaled(lambda s: s.vector - _plain(s.y, s.vector))),
        Mistake("logits-for-probabilities", as_probabilities),
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
