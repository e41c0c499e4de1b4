"""exp, as log_softmax_jacobian shows it: off the diagonal an entry is -exp(y_j)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from native_isas import available, library, run

# Below this every result rounds to 0: the logarithm of half the smallest subnormal number.
LOWEST = {np.float32: -103.972084, np.float64: -745.133219101941}
# All negative float32 arguments to the lowest, and -0: bit patterns from that of -0.
FIRST, LAST = 0x80000000, int(np.float32(-104.0).view(np.uint32))


def exp(lib: Any, d: Any) -> Any:
    """The library's exponential of d <= 0."""
    rows = np.stack([np.zeros_like(d), d], -1)
    return -run(lib, "log_softmax_jacobian", rows)[:, 0, 1]


def worst_ulp(got: Any, exact: Any) -> float:
    """The largest error in units of the last place of the correctly rounded result."""
    rounded = exact.astype(got.dtype)
    return float(np.max(np.abs(got.astype(exact.dtype) - exact) / np.spacing(rounded)))


def float32_arguments(bits: Any) -> Any:
    """The float32 numbers of these bit patterns."""
    return np.asarray(bits, np.uint32).view(np.float32)


@pytest.mark.parametrize("isa", available())
def test_float32_exp_is_within_one_ulp(isa: str) -> None:
    """Every 2000th argument, subnormal results included, is within 1 ulp of the exact value."""
    d = float32_arguments(np.arange(FIRST, LAST, 1999, dtype=np.int64))
    assert worst_ulp(exp(library(isa), d), np.exp(d.astype(np.float64))) <= 1


def test_float64_exp_is_within_one_ulp() -> None:
    """Random arguments over the whole range are within 1 ulp of the value in extended precision."""
    rng = np.random.default_rng(0)
    d = -rng.random(200_000) * 745.2
    assert worst_ulp(exp(library(), d), np.exp(d.astype(np.longdouble))) <= 1
    d = -np.exp(rng.uniform(-40, 6.6, 200_000))
    assert worst_ulp(exp(library(), d), np.exp(d.astype(np.longdouble))) <= 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_are_zero_exactly_where_they_round_to_zero(dtype: Any) -> None:
    """The last argument with a result above 0 is the one of half the smallest number."""
    last = dtype(LOWEST[dtype])
    ladder = [last]
    for _ in range(20):
        ladder.append(np.nextafter(ladder[-1], dtype(-np.inf)))
    for _ in range(20):
        ladder.insert(0, np.nextafter(ladder[0], dtype(0)))
    d = np.array(ladder, dtype)
    half = np.finfo(dtype).smallest_subnormal.astype(np.longdouble) / 2
    want = np.exp(d.astype(np.longdouble)) > half
    assert np.array_equal(exp(library(), d) > 0, want)
    assert want.any()
    assert not want.all()


@pytest.mark.parametrize("value", [-1e5, -3e6, -1e30, -np.inf])
def test_arguments_far_below_give_zero(value: float) -> None:
    """Rounding by a magic number fails far out; the result is 0 there all the same."""
    for dtype in (np.float32, np.float64):
        assert exp(library(), np.array([value], dtype)) == 0


@pytest.mark.exhaustive
def test_float32_exp_over_all_arguments() -> None:
    """Each of the 1.1e9 arguments is within 1 ulp on the best ISA."""
    lib, worst = library(), 0.0
    for start in range(FIRST, LAST + 1, 1 << 22):
        d = float32_arguments(np.arange(start, min(start + (1 << 22), LAST + 1), dtype=np.int64))
        worst = max(worst, worst_ulp(exp(lib, d), np.exp(d.astype(np.float64))))
    print(f"worst error of exp in float32: {worst:.4f} ulp")
    assert worst <= 1


@pytest.mark.exhaustive
def test_float64_exp_over_many_arguments() -> None:
    """10^8 random arguments are within 1 ulp on the best ISA."""
    lib, worst, rng = library(), 0.0, np.random.default_rng(1)
    for _ in range(100):
        d = -rng.random(1_000_000) * 745.2
        worst = max(worst, worst_ulp(exp(lib, d), np.exp(d.astype(np.longdouble))))
    print(f"worst error of exp in float64: {worst:.4f} ulp")
    assert worst <= 1
