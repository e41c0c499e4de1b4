"""The catalogue holds one usable entry for every diagnosis of the contract, and no other."""

from __future__ import annotations

import re

import pytest

from softjac.oracle.catalogue import CATALOGUE
from softjac.oracle.catalogue.behaviour import BEHAVIOUR
from softjac.oracle.catalogue.derivative import DERIVATIVE
from softjac.oracle.catalogue.forward import FORWARD
from softjac.oracle.catalogue.layout import LAYOUT

IDENTIFIERS = set(
    """
    diagonal-only missing-dot dot-sign identity sign-flipped wrong-factor mean-for-sum
    missing-scale fused-cross-entropy swapped-arguments missing-probability-factor all-zero
    softmax-formula log-softmax-formula log-of-softmax softmax-twice logits-for-probabilities
    off-diagonal-sign transposed offset-sensitive no-max-subtraction max-from-constant partial-max
    batch-max batch-sum batch-reduced first-row-only last-row-only wrong-axis shift-in-one-place
    clipped-logits epsilon-in-denominator exp-clamped inaccurate-exp low-precision
    low-precision-sum lane-error pointer-not-advanced tail-ignored tail-not-written tail-leaks-in
    output-not-written accumulates row-stride unaligned-access out-of-bounds-read
    out-of-bounds-write input-modified alias-unsafe index-overflow size-specialised crash
    crash-on-empty raises exits hang wrong-shape wrong-dtype stale-state reused-output
    nondeterministic not-thread-safe fp-environment-changed nan-swallowed masked-row-policy unknown
    """.split()  # noqa: SIM905 - sixty-six names read better as text than as a list
)


def test_identifiers_are_those_of_the_contract() -> None:
    """Every identifier of the contract has an entry, and there is no other entry."""
    assert set(CATALOGUE) == IDENTIFIERS


def test_families_are_disjoint() -> None:
    """No identifier stands in two families, where one would hide the other."""
    families = (DERIVATIVE, FORWARD, LAYOUT, BEHAVIOUR)
    assert sum(len(family) for family in families) == len(CATALOGUE)


@pytest.mark.parametrize("identifier", sorted(CATALOGUE))
def test_entry_is_complete(identifier: str) -> None:
    """An entry has a title of one sentence, an explanation of two to five, and a fix."""
    entry = CATALOGUE[identifier]
    assert sentences(entry.title) == 1
    assert 2 <= sentences(entry.explanation) <= 5
    assert sentences(entry.fix) >= 1
    assert all(entry.seen_in)


def sentences(text: str) -> int:
    """The number of sentences; a text that does not end one has none."""
    return len(re.findall(r"[.?]\)?(?:\s|$)", text)) if text.endswith((".", ".)")) else 0
