"""What has no name is told in words: the formula, or where the failures lie."""

from __future__ import annotations

import pytest

from softjac import verify
from tests.mutants.registry import MUTANTS

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}

FORMULAS = {
    "unnormalised": "exp(x - max x), not divided by its sum: the same on 100% of ",
    "hardmax": "1 at the largest logit, shared by equal ones, and 0 elsewhere",
    "online_not_rescaled": "a running sum is not rescaled when the maximum, found anew after each "
    "element, rises",
    "online_rescaled_backwards": "a running sum is rescaled by the inverse",
    "flash_numerators_not_rescaled": "exponentials keep the maximum of their time, found anew "
    "after each 64 elements",
    "log_shift_alone": "x - max x alone, without the logarithm of the sum",
    "jacobian_diagonal_zero": "the diagonal is 0",
    "numpy_running_normaliser": "each element over the sum up to it",
    "shift_by_middle": "the middle logit is taken off, not the largest",
}

PLACES = {
    "last_by_complement": ("only the last element is wrong, at ", " lengths"),
    "vjp_sum_of_large_terms": ("wrong ", "of the rows, by one number a row, as if the sum that is taken off",),
    "sum_of_large_terms": ("wrong ", "by one number a row, as if the sum of the exponentials were another",),
}


def evidence(name: str, libraries) -> str:
    """What is said of a mutant that has no name but "unknown"."""
    mutant = BY_NAME[name]
    report = verify(mutant.target(libraries), effort="quick", **mutant.arguments())
    [diagnosis] = report.diagnoses
    assert diagnosis.id == "unknown"
    return diagnosis.evidence


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_without_a_name_is_told(name, libraries) -> None:
    """The words are those of the formula that gives the same."""
    assert FORMULAS[name] in evidence(name, libraries)


@pytest.mark.parametrize("name", PLACES)
def test_what_no_formula_explains_is_located(name, libraries) -> None:
    """At which lengths, in which rows and elements."""
    told = evidence(name, libraries)
    beginning, *others = PLACES[name]
    assert told.startswith(beginning)
    assert all(words in told for words in others)
