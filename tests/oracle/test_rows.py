"""Rows that a call must hold: kernels that are wrong for them alone are refuted."""

from __future__ import annotations

from pathlib import Path

import pytest

from softjac.oracle.verdict import verify

SOURCE = Path(__file__).with_name("rows.c")
MANY = "(const float *x, float *y, size_t rows, size_t n)"


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("starts_at_mask", "values"),
        ("clamps_masked", "values"),
        ("stops_at_masked_row", "nonfinite"),
        ("counts_in_8_bits", "values"),
    ],
)
def test_a_kernel_wrong_for_some_rows_only_is_refuted(name: str, check: str) -> None:
    """The rows that show it are among those of the smallest effort."""
    report = verify(
        f"{SOURCE}:{name}", op="softmax", prototype=f"void {name}{MANY}", effort="quick"
    )
    assert report.verdict == "refuted"
    assert check in {result.name for result in report.checks if result.status == "fail"}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("right", MANY), ("sums_for_every_element", "(const float *x, float *y, size_t n)")],
)
def test_the_right_ones_are_verified(name: str, parameters: str) -> None:
    """The same rows refute neither the plain kernel nor one that sums for every element."""
    prototype = f"void {name}{parameters}"
    report = verify(f"{SOURCE}:{name}", op="softmax", prototype=prototype, effort="quick")
    assert report.verdict == "verified", [c for c in report.checks if c.status == "fail"]


def test_lengths_that_the_preconditions_exclude_are_replaced() -> None:
    """Where only multiples of 1024 are allowed, several of them are tried, also beyond 65536."""
    prototype = f"void right{MANY}"
    report = verify(
        f"{SOURCE}:right", op="softmax", prototype=prototype, assume=("n % 1024 == 0",),
        effort="quick",
    )  # fmt: skip
    assert report.verdict == "verified", report.limits
    assert any("n up to 66560" in limit for limit in report.limits)
