"""Preconditions are read as conditions over whole numbers, and as nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from softjac._errors import CandidateError
from softjac.oracle.candidate import load
from softjac.oracle.description.assume import parse


@pytest.mark.parametrize(
    ("text", "holds", "fails"),
    [
        ("n % 8 == 0", 16, 17),
        ("n >= 1", 1, 0),
        ("n > 3 and n < 9", 8, 9),
        ("n > 3 && n < 9", 4, 3),
        ("n == 2 || n == 4", 4, 3),
        ("!(n == 2)", 3, 2),
        ("n != 2", 3, 2),
        ("not n == 2", 3, 2),
        ("4 <= n < 8", 7, 8),
        ("n & (n - 1) == 0", 8, 9),
        ("(n | 1) - (n ^ 1) == 1 or n == -n", 0, 2),
        ("n // 2 * 2 == n", 6, 7),
        ("+n > -1 and True", 0, -1),
    ],
)
def test_conditions_hold_where_they_should(text: str, holds: int, fails: int) -> None:
    """Python's and C's spellings mean what they say."""
    assumption = parse(text, ["n"])
    assert assumption.holds({"n": holds})
    assert not assumption.holds({"n": fails})
    assert assumption.text == text
    assert assumption.names == {"n"}


def test_strides_and_rows_are_known_by_name() -> None:
    """Every name given may occur."""
    assumption = parse("lddx == n && rows <= 4", ["n", "rows", "lddx"])
    assert assumption.holds({"n": 3, "rows": 4, "lddx": 3})
    assert not assumption.holds({"n": 3, "rows": 4, "lddx": 5})
    assert assumption.names == {"n", "rows", "lddx"}


def test_division_by_zero_means_no() -> None:
    """A condition that cannot be worked out does not hold."""
    assert not parse("n % rows == 0", ["n", "rows"]).holds({"n": 4, "rows": 0})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("n % 8", "is a number, not a condition"),
        ("n", "is a number, not a condition"),
        ("n / 2 > 1", "write // for division"),
        ("m > 1", "there is no m; known are n"),
        ("n >", "cannot be parsed"),
        ("", "cannot be parsed"),
        ("n ** 9 > 1", "is not allowed"),
        ("n << 9 > 1", "is not allowed"),
        ("n.real > 1", "is not allowed"),
        ("n > 1.5", "is not allowed"),
        ("n in (1, 2)", "is not allowed"),
        ("n is 3", "is not allowed"),
        ("(n > 1) > 0", "expected a number, got the condition"),
        ("n and n > 1", "expected a condition, got the number"),
        ("__import__('os').system('true') == 0", "is not allowed"),
        ("[n for n in [1]] == n", "is not allowed"),
        ("(lambda: n)() > 0", "is not allowed"),
        ("n > 1; n", "cannot be parsed"),
        ("n > " + "(" * 300 + "1" + ")" * 300, "longer than"),
    ],
)
def test_anything_else_is_an_error_that_says_so(text: str, reason: str) -> None:
    """What is no such condition is refused in one line."""
    with pytest.raises(CandidateError) as error:
        parse(text, ["n"])
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_long_chain_is_only_long() -> None:
    """What is deep but within the limit is worked out."""
    assert parse("n == " + "-" * 400 + "n", ["n"]).holds({"n": 3})


def test_preconditions_speak_of_strides(tmp_path: Path) -> None:
    """By the parameters' names; where a call has none of its own, rows lie n apart."""
    source = tmp_path / "strided.c"
    prototype = "void f(const float *x, size_t ldx, float *y, size_t ldy, size_t rows, size_t n)"
    source.write_text(f"#include <stddef.h>\n{prototype} {{ }}\n")
    candidate = load(
        f"{source}:f", op="softmax", prototype=prototype, assume=["ldx % 8 == 0", "n < 99"]
    )
    assert candidate.strides == {"x", "y"}
    assert candidate.limits_strides
    assert candidate.allows(16, 3)
    assert candidate.allows(5, 3, {"ldx": 8, "ldy": 9})
    assert not candidate.allows(16, 3, {"ldx": 17, "ldy": 16})
    assert not candidate.allows(17, 3)
