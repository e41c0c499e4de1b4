"""Mistakes in computing log-probabilities from logits, beside those of probabilities."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from softjac.oracle.judging.sample import Sample
from softjac.oracle.mistakes.arithmetic import (
    VECTOR_LENGTHS,
    Array,
    as_computed,
    has_scale,
    log,
    narrowed,
    ragged,
    rescaled,
    rounded,
    unknown_at,
)
from softjac.oracle.mistakes.forward import EPSILONS, FAINTER
from softjac.oracle.mistakes.shifts import Shift, floored, nothing, own_maximum, shifts
from softjac.oracle.op import Mistake

__all__ = [
    "log_of_padded",
    "log_of_softmax",
    "log_of_stored_softmax",
    "log_of_wrong_sums",
    "log_rescaled",
    "log_shifted_once",
]

Held = Callable[[Array, Sample], Array]


def log_of_softmax(sample: Sample) -> Array:
    """log(softmax(x)): -inf where a probability underflows, unsure where it is subnormal."""
    kept = rounded(sample.y, sample)
    tiny = sample.precision.tiny
    return unknown_at((sample.y < 1e3 * tiny) & (sample.y > 1e-10 * tiny), log(kept))


def log_of_stored_softmax(sample: Sample) -> Array:
    """The same where probabilities are stored in 16 bits; unsure where they are subnormal there."""
    kept = narrowed(sample.y, sample)
    least = 2.0**-14 if sample.precision.name == "float16" else sample.precision.tiny
    return unknown_at((sample.y < least) & (sample.y > least * 2.0**-12), log(kept))


def log_shifted_once() -> tuple[Mistake, ...]:
    """z - log Σ exp(z - max): the maximum is not put back; or it is taken off outside alone."""
    return (
        Mistake("shift-in-one-place", lambda s: s.z - s.log_sum),
        Mistake("shift-in-one-place", lambda s: s.log_y - s.z.max(axis=1, keepdims=True)),
    )


def log_of_padded() -> tuple[Mistake, ...]:
    """log(softmax(x) + ε); and log(max(softmax(x), ε)), which adds nothing."""

    def added(sample: Sample, epsilon: float) -> Array:
        return np.asarray(np.log(sample.y + epsilon))

    def raised(sample: Sample, epsilon: float) -> Array:
        return np.asarray(np.log(np.maximum(sample.y, epsilon)))

    return tuple(
        Mistake(name, partial(formula, epsilon=epsilon))
        for epsilon in (*FAINTER, *EPSILONS)
        for name, formula in (("epsilon-in-denominator", added), ("log-of-softmax", raised))
    )


def log_of_wrong_sums() -> tuple[Mistake, ...]:
    """z - shift - log Σ exp(z - shift): the shift is not the maximum, or the sum another."""
    found = [
        Mistake(name, partial(_log_shifted, shift=shift), layout=layout)
        for name, shift, layout in shifts()
    ]
    found += [
        Mistake(name, partial(_log_by_row, row=row), layout=True)
        for name, row in (("first-row-only", 0), ("last-row-only", -1))
    ]
    floored_at_0 = partial(_log_shifted, shift=partial(floored, floor=0.0))
    found += [
        Mistake("tail-leaks-in", floored_at_0, partial(ragged, lanes)) for lanes in VECTOR_LENGTHS
    ]
    unshifted = partial(_log_shifted, shift=nothing, held=as_computed)
    found.append(Mistake("no-max-subtraction", unshifted))
    for epsilon in EPSILONS:
        padded = partial(_log_shifted, shift=own_maximum, padding=epsilon)
        found.append(Mistake("epsilon-in-denominator", padded))
    return tuple(found)


def log_rescaled() -> tuple[Mistake, ...]:
    """The right formula on logits that are scaled in another way."""
    return tuple(
        Mistake(name, partial(_changed, change=change), has_scale) for name, change in rescaled()
    )


def _changed(sample: Sample, change: Callable[[Sample], Sample]) -> Array:
    """The log-probabilities of other rows."""
    return change(sample).log_y


def _log_by_row(sample: Sample, row: int) -> Array:
    """Every row shifted by one row's maximum, and less the logarithm of that row's sum."""
    moved = rounded(sample.z - sample.z[row].max(), sample)
    return np.asarray(moved - np.log(np.exp(moved[row]).sum()))


def _log_shifted(sample: Sample, shift: Shift, padding: float = 0.0, held: Held = rounded) -> Array:
    """A logarithm of shifted terms; unsure where the sum is tiny, or rounding hides the mistake."""
    moved = shift(sample)
    terms = held(np.exp(rounded(sample.z - moved, sample)), sample)
    total = held(held(terms.sum(axis=1, keepdims=True), sample) + padding, sample)
    faint = (total < 1e8 * sample.precision.tiny) & (total > 0.0)
    level = log(total)
    made = sample.z - moved - level
    unit = sample.precision.u + sample.precision.u_out
    blurred = 16.0 * unit * (1.0 + np.abs(sample.z) + np.abs(moved) + np.abs(level))
    hidden = np.isfinite(made) & (np.abs(made - sample.log_y) <= blurred)
    return np.ma.masked_array(unknown_at(faint, made), mask=faint | hidden)
