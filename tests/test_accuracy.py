"""Accuracy in every component, proven by ball arithmetic, and the open bugs it closes elsewhere."""

from __future__ import annotations

import importlib
import math
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import softjac
from softjac.oracle import enclosure

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
accuracy: Any = importlib.import_module("accuracy")
accuracy_rows: Any = importlib.import_module("accuracy_rows")


def allowed(n: int) -> float:
    """What the reference promises, in units of u C."""
    return 8.0 if n <= 1000 else 8.0 + 2.0 * math.log2(n)


def assert_accurate(dtype: str, n: int, seed: int, only: Any = lambda name: True) -> None:
    """Every op keeps its promise on every row that is chosen."""
    ops = [op for op in accuracy_rows.OPS if n <= 100 or not op.endswith("jacobian")]
    with jax.enable_x64(dtype == "float64"):
        for name, exact in accuracy_rows.cases(dtype, n, seed):
            if only(name):
                for op in ops:
                    got = accuracy.function("softjac", op)(exact.x, exact.v)
                    assert accuracy_rows.error(op, got, exact) <= allowed(n), (op, name)


@pytest.mark.parametrize("n", [2, 3, 10, 100])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_component_is_accurate(dtype: str, n: int) -> None:
    """Saturated, offset, tied, masked and spiked rows stay within 8 u C, from the logits on."""
    assert_accurate(dtype, n, seed=n)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_thousand_classes_are_as_accurate(dtype: str) -> None:
    """The sums cost nothing: 8 u C at n = 1000 too."""
    chosen = ("uniform x spike", "dominant x", "half x normal", "saturated x offset", "wide x norm")
    assert_accurate(dtype, 1000, seed=0, only=lambda name: name.startswith(chosen))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_jacobian_of_a_thousand_classes(dtype: str) -> None:
    """Each of 10^6 elements of the written-out Jacobian, on a saturated row, within 8 u C."""
    with jax.enable_x64(dtype == "float64"):
        exact = dict(accuracy_rows.cases(dtype, 1000))["saturated x normal"]
        got = accuracy.function("softjac", "softmax_jacobian")(exact.x, exact.v)
        assert accuracy_rows.error("softmax_jacobian", got, exact) <= 8


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_sixteen_bit_results_are_rounded_once(dtype: str) -> None:
    """Sixteen-bit types are computed in float32: the error is half a unit in the last place."""
    with jax.enable_x64(False):
        for name, exact in accuracy_rows.cases(dtype, 33):
            for op in (op for op in accuracy_rows.OPS if not op.endswith("jacobian")):
                got = accuracy.function("softjac", op)(exact.x, exact.v)
                assert accuracy_rows.error(op, got, exact) <= 1.01, (op, name)


def test_beyond_the_largest_number_infinity_is_right() -> None:
    """A float16 pull-back of more than 65520 is infinite; NaN, or the wrong sign, is an error."""
    exact = accuracy_rows.Exact(
        np.zeros(300, np.float16), np.full(300, 60000, np.float16), "float16"
    )
    exact.v[0] = -60000.0
    high, _ = exact.answer("log_softmax_vjp")
    assert high[0] < -65520
    assert abs(high[1]) < 65520
    got = np.asarray(accuracy.function("softjac", "log_softmax_vjp")(exact.x, exact.v))
    assert np.isneginf(got[0])
    assert accuracy_rows.error("log_softmax_vjp", got, exact) <= 1.01
    for wrong in (np.nan, np.inf):
        assert accuracy_rows.error("log_softmax_vjp", np.r_[wrong, got[1:]], exact) > 8


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_long_rows_with_a_spike(dtype: str) -> None:
    """A uniform row with a spiked cotangent at n = 50257 stays within 8 + 2 log2 n."""
    assert_accurate(dtype, 50257, seed=0, only=lambda name: name == "uniform x spike at the top")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_million_classes_with_a_spike(dtype: str) -> None:
    """A uniform row of 10^6 classes with a spiked cotangent: value and VJP within the bound."""
    name = "uniform x spike at the top"
    with jax.enable_x64(dtype == "float64"):
        exact = dict(accuracy_rows.cases(dtype, 10**6))[name]
        for op in ("softmax", "softmax_vjp"):
            got = accuracy.function("softjac", op)(exact.x, exact.v)
            assert accuracy_rows.error(op, got, exact) <= allowed(10**6), op


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 5, 17, 64, 333, 1000, 4097, 50257])
def test_every_length_on_every_row(dtype: str, n: int) -> None:
    """The promise on all rows and vectors, several seeds."""
    for seed in range(1 if n > 4000 else 5):
        assert_accurate(dtype, n, seed)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_million_classes(dtype: str) -> None:
    """Uniform and dominated rows of 10^6 classes with a spiked cotangent."""
    chosen = ("uniform x spike at the top", "dominant x normal", "normal x offset")
    assert_accurate(dtype, 10**6, seed=0, only=lambda name: name in chosen)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_closed_forms_from_a_result_as_given(dtype: str) -> None:
    """Given y, exactly as it is, each closed form is within 8 u C of a reading of its Jacobian.

    Rows of y sum to 1 only nearly, and a constant taken off the vector first then changes the
    product by that constant times Σ y - 1: between the readings with its least and its greatest
    entry taken off, all are right.
    """

    def reading(y: list[Fraction], v: list[Fraction], c: Fraction) -> list[Fraction]:
        mean = sum(p * (w - c) for p, w in zip(y, v, strict=True))
        return [p * (w - c - mean) for p, w in zip(y, v, strict=True)]

    with jax.enable_x64(dtype == "float64"):
        for name, exact in accuracy_rows.cases(dtype, 8):
            rounded = softjac.softmax(exact.x)
            y = [Fraction(float(value)) for value in rounded]
            v = [Fraction(float(value)) for value in exact.v]
            got = [Fraction(float(value)) for value in softjac.softmax_vjp(rounded, exact.v)]
            present = [w for p, w in zip(y, v, strict=True) if p > 0]
            bounds = zip(reading(y, v, min(present)), reading(y, v, max(present)), strict=True)
            outside = [
                float(max(min(ends) - value, value - max(ends), 0))
                for value, ends in zip(got, bounds, strict=True)
            ]
            condition = exact.condition("softmax_vjp", exact.p)
            bound = 8 * accuracy_rows.UNIT[dtype] * condition + exact.flushed("softmax_vjp")
            assert np.all(outside <= bound), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_closed_forms_from_a_result_as_given(dtype: str) -> None:
    """Given log-probabilities exactly as they are, VJP and Jacobian are those of exp(y)."""
    unit, floor = accuracy_rows.UNIT[dtype], accuracy_rows.FLOOR[dtype]
    with jax.enable_x64(dtype == "float64"):
        for name, exact in accuracy_rows.cases(dtype, 12):
            y = softjac.log_softmax(exact.x)
            given, v = np.asarray(y, float).tolist(), exact.v.astype(float)
            rows = enclosure.log_softmax_jacobian(y=given)
            parts = enclosure.split([value for row in rows for value in row])
            high, low = (part.reshape(12, 12) for part in parts)
            error = np.abs((np.asarray(softjac.log_softmax_jacobian(y), float) - high) - low)
            assert np.all(error <= 8 * unit * np.abs(high) + 2 * floor), name
            condition = np.abs(high).T @ np.abs(v)
            high, low = enclosure.split(enclosure.log_softmax_vjp(y=given, dy=v.tolist()))
            error = np.abs((np.asarray(softjac.log_softmax_vjp(y, exact.v), float) - high) - low)
            assert np.all(error <= 8 * unit * condition + exact.flushed("log_softmax_vjp")), name


# Open bugs of other libraries: what the peer answers, and what is right.

TAIL = 4.248354255291589e-18
SMALL = 5.551115123125775e-17
GAP = 37.42994775023705


def vjp(function: Any, x: list[float]) -> list[float]:
    """The VJP at x of the cotangent [1, 0], in float64."""
    with jax.enable_x64(True):
        _, pull = jax.vjp(function, jnp.array(x))
        return [float(value) for value in pull(jnp.array([1.0, 0.0]))[0]]


@pytest.mark.parametrize(
    ("ours", "peer", "x", "expected"),
    [
        pytest.param(softjac.softmax, jax.nn.softmax, [40.0, 0.0], TAIL, id="jax-40344-softmax"),
        pytest.param(
            softjac.log_softmax, jax.nn.log_softmax, [40.0, 0.0], TAIL, id="jax-40344-log_softmax"
        ),
        pytest.param(softjac.softmax, jax.nn.softmax, [GAP, 0.0], SMALL, id="jax-40386"),
        pytest.param(softjac.log_softmax, jax.nn.log_softmax, [GAP, 0.0], SMALL, id="jax-40384"),
    ],
)
def test_the_tail_that_jax_loses(ours: Any, peer: Any, x: list[float], expected: float) -> None:
    """jax.nn gives 0 for the VJP's first component; it is as large as the second."""
    unit = 2.0**-53
    assert vjp(ours, x) == pytest.approx([expected, -expected], rel=8 * unit, abs=0)
    theirs = vjp(peer, x)
    assert theirs[1] == pytest.approx(-expected, rel=1e-12, abs=0)
    if theirs[0] != 0.0:
        pytest.skip(f"jax.nn is right in jax {jax.__version__}: it gives {theirs[0]}")


def test_the_tail_that_torch_loses() -> None:
    """torch.softmax gives 0 for the VJP's first component (pytorch#195684)."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    z = torch.tensor([GAP, 0.0], dtype=torch.float64, requires_grad=True)
    torch.softmax(z, -1).backward(torch.tensor([1.0, 0.0], dtype=torch.float64))
    assert z.grad.tolist()[0] == 0.0
    assert vjp(softjac.softmax, [GAP, 0.0])[0] == pytest.approx(SMALL, rel=1e-15, abs=0)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_large_scaled_logits_under_jit(op: str) -> None:
    """Fusing a product into the subtraction gives NaN in jax.nn under jit (jax#37234), not here."""
    ours, peer = getattr(softjac, op), getattr(jax.nn, op)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 64)) * 1e21, jnp.float32)
    scale = jnp.float32(1 / 0.7)
    eager = peer(x * scale)
    assert np.all(np.isfinite(eager)), "without fusion there is no NaN"
    by_scale = jax.jit(lambda x, c: ours(x, scale=c))(x, scale)
    by_product = jax.jit(lambda x, c: ours(x * c))(x, scale)
    np.testing.assert_array_equal(by_product, eager)
    assert np.array_equal(
        by_scale == by_scale.max(-1, keepdims=True), eager == eager.max(-1)[:, None]
    )
    assert np.all(np.isfinite(by_scale))
    theirs = jax.jit(lambda x, c: peer(x * c))(x, scale)
    if np.all(np.isfinite(theirs)):
        pytest.skip("this XLA does not fuse the product: jax.nn is right here too")
    assert np.any(np.isnan(theirs) | np.isinf(theirs))


def test_jacobians_of_a_batch_by_forward_mode() -> None:
    """XLA for the CPU gets jax.nn's wrong from 64 rows of 64 classes on, as the oracle found."""
    x = np.random.default_rng(0).normal(size=(67, 64)).astype(np.float32)
    x[np.arange(67), np.arange(67) % 64] += 20.0
    shifted = x.astype(np.float64) - x.max(-1, keepdims=True)
    p = np.exp(shifted) / np.exp(shifted).sum(-1, keepdims=True)
    expected = np.eye(64) - p[:, None, :]
    ours = jax.jit(jax.vmap(jax.jacfwd(softjac.log_softmax)))(x)
    np.testing.assert_allclose(ours, expected, rtol=2e-6, atol=0)
    explicit = jax.jit(lambda x: softjac.log_softmax_jacobian(softjac.log_softmax(x)))(x)
    np.testing.assert_allclose(explicit, ours, rtol=2e-6, atol=0)
    theirs = jax.jit(jax.vmap(jax.jacfwd(jax.nn.log_softmax)))(x)
    if np.max(np.abs(theirs - expected)) < 1e-3:
        pytest.skip("this XLA has jax.nn's right too")
    assert np.max(np.abs(theirs - expected)) > 0.5
