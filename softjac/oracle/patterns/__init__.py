"""Failures with no known formula: where they sit, how long the rows are, how large the errors."""

from __future__ import annotations

from softjac.oracle.explaining.evidence import evidence
from softjac.oracle.patterns import (
    circumstances,
    exponential,
    maximum,
    places,
    precision,
    sizes,
    sums,
    unset,
    weights,
)
from softjac.oracle.trial import Trial

__all__ = ["explain_by_history", "explain_by_pattern"]

Explained = tuple[str, float, str]

# The narrower before the wider.
PATTERNS = (
    unset.sums,
    sizes.strides,
    circumstances.layout,
    circumstances.gaps,
    circumstances.masked,
    sizes.offsets,
    circumstances.fresh,
    weights.rows,
    maximum.of_calls,
    weights.places,
    sizes.between,
    sizes.round_lengths,
    maximum.maximum,
    places.last,
    places.tail,
    places.lane,
    places.exchanged,
    places.largest,
    precision.few_bits,
    precision.of_sum,
    sums.stalls,
    sizes.lengths,
    precision.offset,
    exponential.exponential,
    sums.rounding,
    precision.twice,
    precision.narrower,
    places.diagonal,
    circumstances.rows,
)


def explain_by_history(trial: Trial) -> list[Explained]:
    """Whether what is wrong here is right in a new process; C candidates start one at no cost."""
    if trial.candidate.kind != "c" and not trial.fails("state"):
        return []
    items = evidence(trial)
    for pattern in (circumstances.fresh, circumstances.refilled, circumstances.following):
        found = list(pattern(trial, items))
        if found:
            return found
    return []


def explain_by_pattern(trial: Trial) -> list[Explained]:
    """The first pattern that holds for every failing row."""
    items = evidence(trial)
    failing = [item for item in items if item.failed.any()]
    if not failing:
        return list(sizes.lengths(trial, items))
    for pattern in PATTERNS:
        found = next(pattern(trial, items), None)
        if found is not None:
            return [found]
    return []
