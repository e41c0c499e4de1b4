"""Every check that can fail has a mutant that it alone catches."""

from __future__ import annotations

import pytest

from softjac.oracle import checks
from softjac.oracle.verdict import replay, verify
from tests.mutants.registry import MUTANTS

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
ALONE = {
    "values": "chunks_lose_their_maximum",
    "invariants": "zero_past_the_scratch",
    "empty": "first_of_none",
    "memory": "numpy_memory_order",
    "output": "numpy_double_result",
    "state": "scratch_shrinks_late",
    "threads": "vjp_static_products",
    "environment": "leaves_flush_to_zero",
    "aliasing": "vjp_clears_shared_output",
    "nonfinite": "masked_row_zero",
}


def test_every_check_is_there() -> None:
    """Each check but the one that only reports has its mutant below."""
    assert set(checks.CHECKS) - {"resources"} == set(ALONE)


@pytest.mark.parametrize("check", ALONE)
def test_without_its_check_the_mutant_survives(check, monkeypatch) -> None:
    """The mutant is refuted by this check alone, and survives when that is switched off."""
    mutant = BY_NAME[ALONE[check]]
    report = verify(mutant.target(), effort="quick", **mutant.arguments())
    assert [result.name for result in report.checks if result.status == "fail"] == [check]
    left = {name: run for name, run in checks.CHECKS.items() if name != check}
    monkeypatch.setattr("softjac.oracle.verdict.CHECKS", left)
    assert verify(mutant.target(), effort="quick", **mutant.arguments()).verdict == "verified"


@pytest.mark.parametrize(
    "name", ["numpy_input_put_back", "numpy_arena_for_large", "numpy_maximum_in_the_module"]
)
def test_what_earlier_or_other_calls_show_is_shown_again(name) -> None:
    """The replay of a fault that no call shows by itself makes the others, too."""
    mutant = BY_NAME[name]
    report = verify(mutant.target(), effort="quick", **mutant.arguments())
    again = replay(report.counterexamples[0].replay, mutant.target(), **mutant.arguments())
    assert again.verdict == "refuted"
    assert [d.id for d in again.diagnoses] == [d.id for d in report.diagnoses]
