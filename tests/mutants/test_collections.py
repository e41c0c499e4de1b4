"""The collections of mutants and of right implementations are complete and their tags valid."""

from __future__ import annotations

import ctypes
from collections import Counter
from pathlib import Path

import pytest

from softjac.oracle.catalogue import CATALOGUE
from tests.mutants.direct import OUTPUTS
from tests.mutants.registry import HONEST, MUTANTS

CHECKS = {
    "values", "invariants", "empty", "memory", "output", "state", "threads", "resources",
    "environment", "aliasing", "nonfinite", "accuracy",
}  # fmt: skip


def test_collections_are_large_enough() -> None:
    """There are at least 150 mutants in C and Python together, and 60 right implementations."""
    assert len(MUTANTS) >= 150
    assert len(HONEST) >= 60
    for specimens in (MUTANTS, HONEST):
        assert {s.kind for s in specimens} == {"c", "cpp", "py"}
        assert {s.op for s in specimens} == OUTPUTS.keys()
        assert {s.dtype for s in specimens} == {"float32", "float64", "bfloat16", "float16"}


def test_names_are_unique() -> None:
    """No two specimens share a name."""
    counts = Counter(specimen.name for specimen in [*MUTANTS, *HONEST])
    assert max(counts.values()) == 1


def test_every_tag_is_read() -> None:
    """Each line of tags in the sources became a specimen; none was lost by the reader."""
    sources = {s.source for s in [*MUTANTS, *HONEST]}
    lines = [line for source in sources for line in source.read_text().splitlines()]
    tagged = [line for line in lines if line.lstrip("/ ").startswith(("@softmax", "@log_softmax"))]
    assert len(tagged) == len(MUTANTS) + len(HONEST)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_tags_are_valid(mutant) -> None:
    """A mutant says what is wrong, which check must fail, and a diagnosis of the catalogue."""
    assert mutant.text.endswith(".")
    assert mutant.checks
    assert set(mutant.checks) <= CHECKS
    assert set(mutant.diagnoses) <= CATALOGUE.keys()
    assert mutant.verdict in ("refuted", "inconclusive")
    assert mutant.effort in ("quick", "standard", "thorough")


def test_every_diagnosis_has_a_mutant() -> None:
    """Each diagnosis of the catalogue is the best name of at least one mutant."""
    assert {mutant.diagnoses[0] for mutant in MUTANTS} == CATALOGUE.keys()


def test_every_public_bug_is_rebuilt() -> None:
    """Each public issue that the catalogue names has a mutant that rebuilds it."""
    places = {place for entry in CATALOGUE.values() for place in entry.seen_in if "#" in place}
    assert places <= {place for mutant in MUTANTS for place in mutant.seen_in}


def test_symbols_exist(libraries: dict[Path, Path]) -> None:
    """Each C specimen is a symbol of the library built from its file."""
    for specimen in [*MUTANTS, *HONEST]:
        if specimen.prototype:
            assert hasattr(ctypes.CDLL(str(libraries[specimen.source])), specimen.name)
