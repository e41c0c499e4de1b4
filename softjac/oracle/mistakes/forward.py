"""Mistakes in computing probabilities from logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from softjac.oracle.judging.sample import Sample
from softjac.oracle.mistakes.arithmetic import (
    VECTOR_LENGTHS,
    Array,
    as_computed,
    body,
    column_by_column,
    has_scale,
    log,
    longer,
    misread,
    narrowed,
    ragged,
    rescaled,
    rounded,
    softmax,
    unknown_at,
)
from softjac.oracle.mistakes.shifts import FLOORS, Shift, floored, nothing, shifts
from softjac.oracle.op import Mistake

__all__ = ["EPSILONS", "FAINTER", "forward", "wrong_probabilities"]

Formula = Callable[[Sample], Array]
Held = Callable[[Array, Sample], Array]

# What logits or exponents are clipped to; what is added to a sum.
LIMITS = (
    *(1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0, 88.0, 100.0, 500.0),
    *(700.0, 708.0, 709.0, 745.0),
)
FAR_LIMITS = (1e3, 1e4, 5e4, 65504.0, 1e5, 1e6)
EXPONENTS = (*LIMITS, 64.0, 87.0, 87.33, 87.33654, 88.3762626647949, 88.72)
# What kernels that work in blocks pad a row to.
BLOCKS = (128, 256, 512, 1024)
EPSILONS = (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 2.0**-23, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0)
FAINTER = (2.0**-149, 2.0**-126, 1e-38, 1e-37, 1e-30, 1e-20, 1e-16, 2.0**-52, 1e-15)


def forward(finish: Callable[[Array], Array]) -> tuple[Mistake, ...]:
    """The mistakes, for an op whose output is `finish` of the probabilities."""

    def finished(formula: Formula, sample: Sample) -> Array:
        with np.errstate(all="ignore"):
            return finish(formula(sample))

    found = [
        Mistake(name, partial(finished, formula), layout=layout)
        for name, formula, layout in wrong_probabilities()
    ]
    for name, formula in _of_nothing_else():
        found.append(Mistake(name, partial(finished, formula)))
    for name, change in rescaled():
        found.append(Mistake(name, partial(finished, partial(_changed, change=change)), has_scale))
    for lanes in VECTOR_LENGTHS:
        found += [
            Mistake(name, partial(finished, formula), partial(ragged, lanes))
            for name, formula in _of_tails(lanes)
        ]
        for places in misread(lanes):
            for formula in (partial(_weighed_from, places=places), partial(_taken, places=places)):
                found.append(
                    Mistake(
                        "pointer-not-advanced",
                        partial(finished, formula),
                        partial(longer, lanes),
                    )
                )
    for block in BLOCKS:
        for padded in (_zeros_summed, _zeros_seen, _ones_summed):
            predict = partial(finished, partial(padded, lanes=block))
            found.append(Mistake("tail-leaks-in", predict, partial(ragged, block)))
    return tuple(found)


def wrong_probabilities() -> Iterator[tuple[str, Formula, bool]]:
    """Name, formula, and whether it mixes up the rows of a call."""
    for name, shift, layout in shifts():
        yield name, partial(_normalised, shift=shift), layout
    for name, formula in _of_one_row():
        yield name, formula, False
    for name, formula in _of_many_rows():
        yield name, formula, True


def _of_nothing_else() -> Iterator[tuple[str, Formula]]:
    """Formulas that only a forward op has under these names."""
    yield "mean-for-sum", lambda s: s.y * s.n
    yield "all-zero", lambda s: np.zeros_like(s.z)
    yield "identity", lambda s: s.z


def _of_one_row() -> Iterator[tuple[str, Formula]]:
    """Formulas of a row by itself."""
    for held in (narrowed, rounded):
        yield "no-max-subtraction", partial(_narrow, held=held)
    yield "no-max-subtraction", partial(_normalised, shift=nothing, held=as_computed)
    yield "no-max-subtraction", _less_logarithm
    yield "shift-in-one-place", _numerator_only
    yield "shift-in-one-place", _denominator_only
    for limit in (*LIMITS, *FAR_LIMITS):
        yield "clipped-logits", partial(_clipped, limit=limit)
    for limit in EXPONENTS:
        yield "exp-clamped", partial(_clamped, limit=limit)
    for epsilon in EPSILONS:
        yield "epsilon-in-denominator", partial(_padded, epsilon=epsilon)


def _of_many_rows() -> Iterator[tuple[str, Formula]]:
    """Formulas that mix up the rows of a call."""
    yield "batch-sum", lambda s: np.exp(-s.gap) / np.exp(-s.gap).sum()
    yield "batch-sum", lambda s: softmax(s.z.reshape(1, -1)).reshape(s.z.shape)
    yield "wrong-factor", lambda s: s.y / s.rows
    yield "wrong-axis", lambda s: softmax(s.z.T).T
    yield "wrong-axis", column_by_column(lambda s: s.y)
    yield "wrong-axis", lambda s: np.exp(-s.gap) / np.exp(-s.gap).sum(axis=0, keepdims=True)
    for name, row in (("first-row-only", 0), ("last-row-only", -1)):
        yield name, partial(_divided_by_row, row=row)
        yield name, partial(_shifted_by_row, row=row)
        yield name, partial(_copied_row, row=row)


def _of_tails(lanes: int) -> Iterator[tuple[str, Formula]]:
    """Formulas of what is left after whole vectors of so many lanes."""
    yield "tail-ignored", partial(_tail_unsummed, lanes=lanes)
    yield "tail-ignored", partial(_tail_dropped, lanes=lanes)
    yield "tail-leaks-in", partial(_zeros_summed, lanes=lanes)
    yield "tail-leaks-in", partial(_zeros_summed, lanes=lanes, most=0.0)
    yield "tail-leaks-in", partial(_zeros_seen, lanes=lanes)
    for floor in FLOORS:
        yield "tail-leaks-in", partial(_normalised, shift=partial(floored, floor=floor))
    yield "tail-leaks-in", partial(_ones_summed, lanes=lanes)


def _normalised(sample: Sample, shift: Shift, held: Held = rounded) -> Array:
    """exp(z - shift) over its sum, as the candidate's arithmetic has it; unsure where that is tiny.

    A tiny sum has few bits left, and its reciprocal may overflow where its quotient does not.
    """
    moved = shift(sample)
    weights = held(np.exp(rounded(sample.z - moved, sample)), sample)
    total = held(weights.sum(axis=1, keepdims=True), sample)
    faint = (total < 1e8 * sample.precision.tiny) & (total > 0.0)
    return unknown_at(faint, weights / total)


def _less_logarithm(sample: Sample) -> Array:
    """exp(z - log Σ exp(z)), without the maximum."""
    total = rounded(np.exp(rounded(sample.z, sample)).sum(axis=1, keepdims=True), sample)
    faint = (total < 1e8 * sample.precision.tiny) & (total > 0.0)
    return unknown_at(faint, np.exp(sample.z - log(total)))


def _narrow(sample: Sample, held: Held) -> Array:
    """Without the maximum: exponentials as the storage holds them, their sum as told."""
    weights = narrowed(np.exp(sample.z), sample)
    total = held(weights.sum(axis=1, keepdims=True), sample)
    made = weights / total
    faint = (weights < 2.0**10 * 2.0**-14) if sample.precision.name == "float16" else False
    return unknown_at(faint, made)


def _weighed_from(sample: Sample, places: Callable[[int], Array]) -> Array:
    """Exponentials of logits read from the wrong places."""
    weights = np.exp(-sample.gap)[:, places(sample.n)]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _taken(sample: Sample, places: Callable[[int], Array]) -> Array:
    """The right results, those of the wrong places."""
    return np.asarray(sample.y[:, places(sample.n)])


def _changed(sample: Sample, change: Callable[[Sample], Sample]) -> Array:
    """The probabilities of other rows."""
    return change(sample).y


def _numerator_only(sample: Sample) -> Array:
    """The maximum is taken off above the line only."""
    total = rounded(np.exp(rounded(sample.z, sample)).sum(axis=1, keepdims=True), sample)
    return np.asarray(np.exp(-sample.gap) / total)


def _denominator_only(sample: Sample) -> Array:
    """The maximum is taken off below the line only."""
    total = np.exp(-sample.gap).sum(axis=1, keepdims=True)
    return np.asarray(rounded(np.exp(rounded(sample.z, sample)), sample) / total)


def _clipped(sample: Sample, limit: float) -> Array:
    """The logits are clipped."""
    return softmax(np.clip(sample.z, -limit, limit))


def _clamped(sample: Sample, limit: float) -> Array:
    """The exponents are clamped from below."""
    return softmax(np.maximum(-sample.gap, -limit))


def _padded(sample: Sample, epsilon: float) -> Array:
    """Something is added to the sum."""
    weights = np.exp(-sample.gap)
    return np.asarray(weights / (weights.sum(axis=1, keepdims=True) + epsilon))


def _divided_by_row(sample: Sample, row: int) -> Array:
    """Every row divided by one row's sum."""
    weights = np.exp(-sample.gap)
    return np.asarray(weights / weights[row].sum())


def _shifted_by_row(sample: Sample, row: int) -> Array:
    """Every row shifted by one row's maximum, and divided by that row's sum."""
    moved = rounded(sample.z - sample.z[row].max(), sample)
    weights = rounded(np.exp(moved), sample)
    return np.asarray(weights / weights[row].sum())


def _copied_row(sample: Sample, row: int) -> Array:
    """One row's result for every row."""
    return np.repeat(sample.y[[row]], sample.rows, axis=0)


def _tail_unsummed(sample: Sample, lanes: int) -> Array:
    """The tail is computed, but not in the sum."""
    weights = np.exp(-sample.gap)
    summed = np.where(body(sample, lanes), weights, 0.0)
    return np.asarray(weights / summed.sum(axis=1, keepdims=True))


def _tail_dropped(sample: Sample, lanes: int) -> Array:
    """The tail is neither summed nor computed."""
    return _tail_unsummed(sample, lanes) * body(sample, lanes)


def _zeros_summed(sample: Sample, lanes: int, most: float = np.inf) -> Array:
    """The lanes past the end hold logits 0, which enter the sum; no exponent exceeds `most`."""
    weights = np.exp(-sample.gap)
    exponent = np.minimum(-sample.z.max(axis=1, keepdims=True), most)
    extra = -sample.n % lanes * np.exp(exponent)
    made = weights / (weights.sum(axis=1, keepdims=True) + extra)
    return unknown_at(exponent > 80.0, made)


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
