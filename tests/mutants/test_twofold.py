"""Two faults at once are both named, and of one fault no second is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from softjac import verify
from tests.mutants.registry import MUTANTS
from tests.mutants.specimen import Mutant

TWOFOLD = [mutant for mutant in MUTANTS if mutant.both]
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
SINGLE = ("vjp_diagonal", "long_rows_dense", "scale_ignored", "vjp_static_products")


def named(mutant: Mutant, libraries: dict[Path, Path]) -> list[str]:
    """What a mutant is called, at quick."""
    report = verify(mutant.target(libraries), effort="quick", **mutant.arguments())
    return [diagnosis.id for diagnosis in report.diagnoses]


@pytest.mark.parametrize("mutant", TWOFOLD, ids=lambda mutant: mutant.name)
def test_both_faults_are_named(mutant, libraries) -> None:
    """The names are those of its tag, in whatever order, and no others but what one entails."""
    found = named(mutant, libraries)
    assert set(mutant.diagnoses) <= set(found)
    assert set(found) <= {*mutant.diagnoses, "crash-on-empty"}  # reading past the end of nothing


@pytest.mark.parametrize("name", SINGLE)
def test_one_fault_has_one_name(name, libraries) -> None:
    """Row strides, threads and scales are not blamed for what is wrong without them."""
    assert named(BY_NAME[name], libraries) == [BY_NAME[name].diagnoses[0]]
