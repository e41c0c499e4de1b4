"""Enclosures against an independent route: mpmath in several hundred digits."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest

from softjac.oracle import enclosure

DIGITS = 700
INFINITY = math.inf
ROWS = {
    "ordinary": [0.3, -1.7, 2.2, 0.0],
    "one": [3.0],
    "saturated": [40.0, 0.0, -700.0],
    "offset": [1e15, 1e15 + 2, 1e15 - 4],
    "tied": [1.0, 1.0, -600.0, 1.0],
    "masked": [-INFINITY, 0.5, -INFINITY, 1.5],
    "tiny": [5e-324, -1e-300, 0.0],
    "far": [1e300, 0.0, -1e300],
}
VECTORS = {
    "ordinary": [0.7, -0.1, 1.1, -2.3],
    "constant": [0.1, 0.1, 0.1, 0.1],
    "one-hot": [1.0, 0.0, 0.0, 0.0],
    "offset": [1e10, 1e10 + 1e-5, 1e10, 1e10],
    "wide": [1e200, -1e-200, 3.0, 1e-300],
}
SCALES = [1.0, 0.3, -2.0]


def probabilities(z: list[Any]) -> list[Any]:
    """Softmax of numbers of mpmath, None where masked."""
    top = max(value for value in z if value is not None)
    weights = [mpmath.mpf(0) if value is None else mpmath.exp(value - top) for value in z]
    total = mpmath.fsum(weights)
    return [weight / total for weight in weights]


def exactly(row: list[float], scale: float = 1.0) -> list[Any]:
    """Scaled float64 numbers as numbers of mpmath, None for -inf."""
    return [None if v == -INFINITY else mpmath.mpf(v) * mpmath.mpf(scale) for v in row]


def assert_tight(balls: list[Any], exact: list[Any]) -> None:
    """(high, low) is the exact value to 2^-100, or to less than the smallest subnormal."""
    high, low = enclosure.split(balls)
    for got, rest, value in zip(high, low, exact, strict=True):
        error = abs(mpmath.mpf(float(got)) + mpmath.mpf(float(rest)) - value)
        assert error <= max(abs(value) * mpmath.mpf(2) ** -99, mpmath.mpf(2) ** -1074)
        rounded = max(abs(value) * mpmath.mpf(2) ** -53, mpmath.mpf(2) ** -1075)
        assert abs(mpmath.mpf(float(got)) - value) <= rounded


@pytest.fixture(autouse=True)
def _digits() -> Any:
    """Enough digits for every cancellation here."""
    with mpmath.workdps(DIGITS):
        yield


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ROWS)
def test_forward(name: str, scale: float) -> None:
    """Probabilities and log-probabilities are mpmath's; masked ones are 0 and -inf."""
    x = ROWS[name]
    p = probabilities(exactly(x, scale))
    assert_tight(enclosure.softmax(x, scale), p)
    kept = [i for i, v in enumerate(x) if v != -INFINITY]
    logs = enclosure.log_softmax(x, scale)
    assert_tight([logs[i] for i in kept], [mpmath.log(p[i]) for i in kept])
    high, low = enclosure.split(logs)
    assert all(high[i] == -INFINITY and low[i] == 0 for i in range(len(x)) if i not in kept)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("name", ROWS)
def test_products_from_logits(name: str, vector: str, scale: float) -> None:
    """VJP and JVP from logits are mpmath's, a constant vector's exactly 0."""
    x = ROWS[name]
    v = VECTORS[vector][: len(x)]
    p, w, c = probabilities(exactly(x, scale)), exactly(v), mpmath.mpf(scale)
    mean, total = mpmath.fdot(p, w), mpmath.fsum(w)
    assert_tight(
        enclosure.softmax_vjp(x=x, dy=v, scale=scale),
        [c * a * (b - mean) for a, b in zip(p, w, strict=True)],
    )
    assert_tight(enclosure.log_softmax_jvp(x=x, x_dot=v, scale=scale), [c * (b - mean) for b in w])
    assert_tight(
        enclosure.log_softmax_vjp(x=x, dy=v, scale=scale),
        [c * (b - a * total) for a, b in zip(p, w, strict=True)],
    )
    if vector == "constant":
        assert not np.any(enclosure.split(enclosure.softmax_jvp(x=x, x_dot=v)))


@pytest.mark.parametrize("vector", VECTORS)
def test_products_from_the_result_as_given(vector: str) -> None:
    """From a result the answer is the literal formula, even where y does not sum to 1."""
    y = [1.0, 2.0**-60, 5e-324, 0.0]
    v = VECTORS[vector]
    p, w = exactly(y), exactly(v)
    mean, total = mpmath.fdot(p, w), mpmath.fsum(w)
    assert_tight(enclosure.softmax_vjp(y, v), [a * (b - mean) for a, b in zip(p, w, strict=True)])
    logs = [-1e-20, -50.0, -700.0, -INFINITY]
    p = [mpmath.mpf(0) if u is None else mpmath.exp(u) for u in exactly(logs)]
    mean = mpmath.fdot(p, w)
    assert_tight(
        enclosure.log_softmax_vjp(logs, v),
        [b - a * total for a, b in zip(p, w, strict=True)],
    )
    assert_tight(enclosure.log_softmax_jvp(logs, v), [b - mean for b in w])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ROWS)
def test_jacobians(name: str, scale: float) -> None:
    """Jacobians, from logits and from a result, are mpmath's: rows are outputs."""
    x = ROWS[name]
    c = mpmath.mpf(scale)
    p = probabilities(exactly(x, scale))
    for balls, exact in zip(
        enclosure.softmax_jacobian(x=x, scale=scale),
        [[c * a * ((i == j) - b) for j, b in enumerate(p)] for i, a in enumerate(p)],
        strict=True,
    ):
        assert_tight(balls, exact)
    for i, balls in enumerate(enclosure.log_softmax_jacobian(x=x, scale=scale)):
        assert_tight(balls, [c * ((i == j) - b) for j, b in enumerate(p)])
    given = [float(value) for value in p]
    for i, balls in enumerate(enclosure.softmax_jacobian(given)):
        y = exactly(given)
        assert_tight(balls, [y[i] * ((i == j) - b) for j, b in enumerate(y)])


@pytest.mark.parametrize("bad", [math.nan, INFINITY])
def test_rows_without_an_answer_are_nan(bad: float) -> None:
    """A NaN, +inf, a vector with an infinity, or nothing but -inf: every element is NaN."""
    x, v = [0.0, bad, 1.0], [1.0, 2.0, 3.0]
    for balls in (
        enclosure.softmax(x),
        enclosure.log_softmax(x),
        enclosure.softmax_vjp(x=x, dy=v),
        enclosure.softmax_vjp([0.5, 0.25, 0.25], [1.0, -bad, 0.0]),
        enclosure.log_softmax_jvp(x=v, x_dot=x),
        enclosure.softmax([-INFINITY] * 3),
    ):
        assert np.all(np.isnan(enclosure.split(balls)[0]))
    assert np.isnan(enclosure.split(enclosure.softmax_jacobian(x=x)[1])[0]).tolist() == [True] * 3


def test_empty_rows() -> None:
    """No class, no answer: empty lists."""
    assert enclosure.softmax([]) == []
    assert enclosure.log_softmax_vjp([], []) == []
    assert enclosure.softmax_jacobian([]) == []
    assert enclosure.split([])[0].shape == (0,)


def test_split_refuses_what_is_not_tight() -> None:
    """A ball too wide for two float64 numbers is a defect of this module, not an answer."""
    from flint import arb

    with pytest.raises(AssertionError, match="tight"):
        enclosure.split([arb(1, 1e-20)])
