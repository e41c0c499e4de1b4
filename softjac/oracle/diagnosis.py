"""Which known mistake explains the failures: behaviour first, then formulas, then patterns.

A formula's mistake is named only if it gives, within the bound, what the candidate gave on at least
95 % of the failing rows, and would have failed on no row that passed; where nothing else is found,
also one that gives it on all of them, as where a path for some rows is wrong. A wrong name is worse
than none: what has no name is told in words, the formula or else where the failures lie. Of two
faults both are named where one is such that the other shows beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from softjac.oracle.catalogue import CATALOGUE
from softjac.oracle.explaining.formulas import (
    explain_by_condition,
    explain_by_formula,
    explain_in_words,
)
from softjac.oracle.explaining.pairs import explain_by_pair
from softjac.oracle.explaining.second_fault import explain_second_fault
from softjac.oracle.explaining.symptoms import explain_by_chance, explain_by_symptom
from softjac.oracle.explaining.unexplained import whereabouts
from softjac.oracle.findings import Diagnosis
from softjac.oracle.patterns import explain_by_history, explain_by_pattern
from softjac.oracle.trial import Trial

__all__ = ["RANK", "diagnose"]

# Access and liveness before state before layout before formula before range before precision.
RANK = {
    identifier: rank
    for rank, identifiers in enumerate(
        (
            "out-of-bounds-write out-of-bounds-read unaligned-access input-modified",
            "crash-on-empty",
            "hang exits raises crash wrong-shape wrong-dtype",
            "fp-environment-changed not-thread-safe nondeterministic stale-state reused-output",
            "accumulates tail-not-written output-not-written",
            "alias-unsafe",
            "pointer-not-advanced tail-ignored tail-leaks-in",
            "first-row-only last-row-only batch-sum batch-reduced batch-max wrong-axis",
            "transposed row-stride lane-error",
            "diagonal-only missing-dot dot-sign identity sign-flipped mean-for-sum missing-scale",
            "fused-cross-entropy swapped-arguments missing-probability-factor all-zero",
            "softmax-formula log-softmax-formula softmax-twice logits-for-probabilities",
            "off-diagonal-sign wrong-factor",
            "max-from-constant shift-in-one-place no-max-subtraction",
            "clipped-logits exp-clamped log-of-softmax epsilon-in-denominator",
            "partial-max",
            "index-overflow size-specialised",
            "masked-row-policy nan-swallowed",
            "offset-sensitive low-precision-sum inaccurate-exp low-precision",
            "unknown",
        )
    )
    for identifier in identifiers.split()
}


# Where these are seen, wrong values are theirs, unless a formula explains them.
SPOIL_VALUES = {
    *("accumulates", "first-row-only", "nondeterministic", "output-not-written", "raises"),
    *("reused-output", "stale-state", "tail-not-written", "wrong-dtype", "wrong-shape"),
}


def diagnose(trial: Trial) -> list[Diagnosis]:
    """The mistakes that explain what failed, the likeliest first."""
    if not trial.failures:
        return []
    with np.errstate(all="ignore"):  # what wrong results are computed with overflows
        found = _explanations(trial)
        if all(identifier == "unknown" for identifier, _, _ in found):
            by_condition = explain_by_condition(trial, among_rows=bool(found))
            found = explain_in_words(trial) or _likeliest(by_condition) or found
    if not found:
        found.append(("unknown", 1.0, whereabouts(trial)))
    return [_named(*item) for item in _ordered(found)]


def _explanations(trial: Trial) -> list[tuple[str, float, str]]:
    """What was seen to happen, and what explains wrong values."""
    found = list(explain_by_symptom(trial))
    if any(f.kind in ("value", "relation") and f.check != "threads" for f in trial.failures):
        known = {identifier for identifier, _, _ in found}
        deeper = explain_by_history(trial) or _by_formula(trial) or explain_by_chance(trial)
        if not deeper and not known & SPOIL_VALUES:
            deeper = explain_by_pattern(trial)
        deeper += explain_second_fault(trial)
        found += [item for item in deeper if item[0] not in known]
    return found


def _by_formula(trial: Trial) -> list[tuple[str, float, str]]:
    """One formula, or two together."""
    return _likeliest(explain_by_formula(trial)) or explain_by_pair(trial)


def _likeliest(found: list[tuple[str, float, str]]) -> list[tuple[str, float, str]]:
    """Of formulas that each explain the failures, one: they are no faults beside one another."""
    return sorted(found, key=lambda item: (item[1] < 0.995, RANK[item[0]]))[:1]


def _ordered(found: Iterable[tuple[str, float, str]]) -> list[tuple[str, float, str]]:
    """One entry an identifier, by rank, then by what it explains."""
    best: dict[str, tuple[str, float, str]] = {}
    for item in found:
        if item[0] not in best or item[1] > best[item[0]][1]:
            best[item[0]] = item
    return sorted(best.values(), key=lambda item: (RANK[item[0]], -item[1]))


def _named(identifier: str, explains: float, evidence: str) -> Diagnosis:
    """A diagnosis with the catalogue's words."""
    entry = CATALOGUE[identifier]
    return Diagnosis(identifier, entry.title, explains, evidence, entry.fix)
