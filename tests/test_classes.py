"""Sums over the classes, and the exponential that is summed: known roundings, whatever XLA does."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from softjac._classes import Classes, _cut
from softjac._exponential import exponential

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


@jax.jit
def total(terms: Any) -> Any:
    """The accurate sum of a row."""
    return Classes((0,)).accurate_sum(lambda terms: (terms,), terms)[0]


@jax.jit
def in_pairs(terms: Any) -> Any:
    """The faster sum of a row."""
    return Classes((0,)).sum_in_pairs(lambda terms: (terms,), terms)[0]


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1000, 4097, 50257])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sum_rounds_once_for_many_terms(dtype: str, n: int) -> None:
    """Off by log2(n)/4 + 3 roundings, in pairs log2(n) + 1: equal, random and spiked terms."""
    rng = np.random.default_rng(n)
    rows = [np.full(n, 0.1), rng.random(n), np.r_[1.0, rng.random(n - 1) * 1e-3]]
    with jax.enable_x64(dtype == "float64"):
        for row in rows:
            terms = row.astype(dtype)
            exact = sum(map(Fraction, terms.astype(float).tolist()))
            for add, roundings in ((total, math.log2(n) / 4 + 3), (in_pairs, math.log2(n) + 1)):
                error = abs(Fraction(float(add(terms)[0])) / exact - 1)
                assert error <= roundings * UNIT[dtype]


def test_no_term_is_rounded_more_often_than_promised() -> None:
    """log2(n)/4 + 3 times, in pairs log2(n) + 3, at every n: counted along the parts of the sum."""
    deeper: dict[str, Any] = {
        "exact": lambda _count: 1,
        "pairs": lambda count: (count - 1).bit_length(),
    }
    for n in [*range(1, 3000), 32768, 50257, 128256, 10**6]:
        for name, promised in (("exact", math.log2(n) / 4 + 3), ("pairs", math.log2(n) + 3)):
            roundings, computed = np.zeros(n, int), True
            while computed or len(roundings) > 1:
                count, length = _cut(len(roundings), computed=computed)
                parts = roundings[: count * length].reshape(count, length)
                sums = parts.max(axis=0) + (deeper[name](count) if count > 1 else 0)
                roundings, computed = np.concatenate([sums, roundings[count * length :]]), False
            assert roundings[0] <= promised, n


def test_what_is_no_number_stays_in_the_sum() -> None:
    """Infinity and NaN come through; so does an overflow."""
    for row, expected in [
        ([1, np.inf], np.inf),
        ([-np.inf, 1, 2], -np.inf),
        ([3e38, 3e38], np.inf),
    ]:
        assert total(jnp.float32(row))[0] == expected
    assert np.isnan(total(jnp.float32([np.inf, -np.inf]))[0])
    assert np.isnan(total(jnp.float32([np.nan, 1]))[0])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_exponential_is_within_two_units(dtype: str) -> None:
    """exp(d + error) over the whole range, the error counted; 0 where it underflows; NaN stays."""
    deepest = -87.0 if dtype == "float32" else -708.0
    d = np.r_[0.0, np.linspace(deepest, 0, 2000), -np.logspace(-8, 0, 200)].astype(dtype)
    error = (d * UNIT[dtype] * 0.9).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        got = np.asarray(jax.jit(exponential)(d, error), float)
        ends = np.asarray(exponential(jnp.array([-jnp.inf, jnp.nan, 4 * deepest], dtype), jnp.nan))
    with mpmath.workdps(40):
        for value, x, lost in zip(got, d, error, strict=True):
            exact = mpmath.exp(mpmath.mpf(float(x)) + mpmath.mpf(float(lost)))
            assert abs(float(value) / exact - 1) <= 2 * UNIT[dtype]
    np.testing.assert_array_equal(ends, [0.0, np.nan, 0.0])
