"""Two mistakes in one formula: one that can be made beside any other, and that other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import evidence
from softjac.oracle.explaining.formulas import ENOUGH, mistakes_of, share_of
from softjac.oracle.failure import counted
from softjac.oracle.judging.sample import Sample
from softjac.oracle.mistakes.arithmetic import log, rounded
from softjac.oracle.op import Mistake, Op
from softjac.oracle.trial import Trial

__all__ = ["explain_by_pair"]

# What the first makes of these is no pair.
ALONE = ("all-zero", "wrong-factor")

Array = np.ndarray[Any, np.dtype[Any]]
Beside = Callable[[Mistake], Mistake]


def explain_by_pair(trial: Trial) -> list[tuple[str, float, str]]:
    """Two names, of the pair that explains most of the failing values; nothing where none does."""
    items = evidence(trial)
    if not any(item.failed.any() for item in items):
        return []
    best: list[tuple[str, float, str]] = []
    for first, beside in _beside_any(trial):
        for mistake in mistakes_of(trial):
            if mistake.id in (first, *ALONE):
                continue
            share, rows = share_of(beside(_or_right(mistake, trial.op)), items)
            if share >= ENOUGH and (not best or share > best[0][1]):
                of = f"give the same on {share:.0%} of {counted(rows, 'failing row')}"
                words = f"{first} and {mistake.id} together {of}"
                best = [(first, share, words), (mistake.id, share, words)]
    return best


def _beside_any(trial: Trial) -> Iterator[tuple[str, Beside]]:
    """The mistakes that can be made beside any other, and what each makes of the other."""
    if trial.candidate.takes_scale:
        yield "missing-scale", _unscaled
        if trial.op.output != "y" and "x" in trial.candidate.inputs:
            yield "missing-scale", _without_factor
    if trial.op.output == "y":
        yield "no-max-subtraction", _unshifted
    else:
        yield "sign-flipped", _flipped


def _or_right(mistake: Mistake, op: Op) -> Mistake:
    """The mistake where it means anything, elsewhere the right formula."""

    def predict(sample: Sample) -> Array:
        return mistake.predict(sample) if mistake.applies(sample) else op.formula(sample)

    return Mistake(mistake.id, predict, layout=mistake.layout)


def _unscaled(mistake: Mistake) -> Mistake:
    """The mistake, made of logits that are not scaled."""
    return replace(mistake, predict=lambda sample: mistake.predict(sample.unscaled))


def _without_factor(mistake: Mistake) -> Mistake:
    """The mistake, made of scaled logits, without the factor that a derivative has."""
    return replace(mistake, predict=lambda sample: mistake.predict(sample) / sample.scale)


def _unshifted(mistake: Mistake) -> Mistake:
    """The mistake, made of exponentials of the logits as they are, overflow included."""

    def predict(sample: Sample) -> Array:
        return mistake.predict(sample.with_gap(-log(rounded(np.exp(sample.z), sample))))

    return replace(mistake, predict=predict)


def _flipped(mistake: Mistake) -> Mistake:
    """The mistake with the other sign."""
    return replace(mistake, predict=lambda sample: np.negative(mistake.predict(sample)))
