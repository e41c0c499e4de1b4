"""Every check that can fail has a mutant that it alone catches."""

from __future__ import annotations

import pytest

from softjac.oracle import checks
from softjac.oracle.verdict import verify
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
