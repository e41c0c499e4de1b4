"""The kernels' answers against formulas in extended precision."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from native_isas import DTYPES, library, operands, run

from softjac import native

Array = np.ndarray[Any, np.dtype[Any]]
SIZES = (*range(1, 301, 7), 2, 3, 10, 16, 17, 64, 65, 128, 1000, 1024, 8192, 8193, 50257)
ROUNDOFF = {"f32": 2.0**-24, "f64": 2.0**-53, "bf16": 2.0**-24, "f16": 2.0**-24}
STORED = {"f32": 0.0, "f64": 0.0, "bf16": 2.0**-8, "f16": 2.0**-11}
SMALLEST = {"f32": 2.0**-126, "f64": 2.0**-1022, "bf16": 2.0**-126, "f16": 2.0**-24}
# 16 additions in a lane, 8 of lanes, the tree and one of blocks; exp and a few roundings.
SUM = 32
EXP = 8


def wide(array: Any) -> Array:
    """The array in extended precision, exactly."""
    return np.asarray(array).astype(np.float64).astype(np.longdouble)


def judged(got: Any, want: Array, bound: Array, suffix: str) -> float:
    """The worst error over its bound, where the storage rounds once more."""
    largest = float(ml_dtypes.finfo(DTYPES[suffix]).max)
    want = np.where(np.abs(want) > largest, np.copysign(np.inf, want), want)
    finite = np.isfinite(want)
    assert np.array_equal(wide(got)[~finite], want[~finite])
    size = np.abs(want[finite])
    allowed = ROUNDOFF[suffix] * bound[finite] + STORED[suffix] * size + 2 * SMALLEST[suffix]
    return float(np.max(np.abs(wide(got)[finite] - want[finite]) / allowed, initial=0))


def forward(x: Array, scale: float = 1.0) -> tuple[Array, Array, Array, Array]:
    """Probabilities, log-probabilities, distances from the maximum, and 1 - the largest y."""
    distance = x * scale - np.max(x * scale, -1, keepdims=True)
    total = np.exp(distance).sum(-1, keepdims=True)
    rest = np.where(distance == 0, 0, np.exp(distance)).sum(-1, keepdims=True)
    ties = (distance == 0).sum(-1, keepdims=True) - 1
    return (
        np.exp(distance) / total,
        distance - np.log1p(rest + ties),
        -distance,
        (rest + ties) / total,
    )


@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize("scale", [1.0, 0.5, -2.0])
def test_forward_ops_stay_within_their_bounds(suffix: str, scale: float) -> None:
    """softmax and log_softmax are within (distance + mean distance + a constant) roundings."""
    for n in SIZES:
        (x,) = operands("softmax", 3, n, suffix)
        if scale < 0:
            x = np.where(np.isinf(x), x.dtype.type(0), x)
        y, log_y, r, rest = forward(wide(x), scale)
        with np.errstate(invalid="ignore"):
            rho = np.where(y == 0, 0, y * r).sum(-1, keepdims=True)
            got = run(library(), "softmax", x, scale=scale)
            bound = np.where(y == 0, 0, y * (r + rho + SUM + EXP))
            assert judged(got, y, bound, suffix) <= 1, n
            got = run(library(), "log_softmax", x, scale=scale)
            bound = np.where(y == 0, 0, 3 * np.abs(log_y) + r + rho + (SUM + EXP) * rest)
            assert judged(got, log_y, bound, suffix) <= 1, n


@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize("op", ["softmax_vjp", "softmax_jvp"])
def test_products_keep_every_component(op: str, suffix: str) -> None:
    """VJP and JVP are accurate relative to y (|t - s| + mean of |t - s|), the tails included."""
    for n in SIZES:
        first, t = operands(op, 3, n, suffix)
        y, t_wide = wide(first), wide(t)
        k = np.argmax(y, -1)[:, None]
        dominant = np.take_along_axis(y, k, -1) >= 0.5
        mean = np.sum(y * t_wide, -1, keepdims=True)
        centre = np.where(dominant, np.take_along_axis(t_wide, k, -1), mean)
        e = t_wide - centre
        s = np.sum(y * e, -1, keepdims=True)
        deviation = np.sum(y * np.abs(e - s), -1, keepdims=True)
        # The two readings of the Jacobian at a y that does not quite sum to 1.
        reading = (np.abs(mean) + np.abs(centre)) * np.abs(1 - y.sum(-1, keepdims=True))
        want = y * (e - s)
        condition = y * (np.abs(e - s) + deviation)
        limit = condition * (32 + 2 * np.log2(n)) + y * reading / ROUNDOFF[suffix]
        assert judged(run(library(), op, first, t), want, limit, suffix) <= 1, n


@pytest.mark.parametrize("suffix", DTYPES)
def test_log_products_stay_within_their_bounds(suffix: str) -> None:
    """The VJP and JVP of log_softmax are within the error of exp and of their sums."""
    for n in SIZES:
        log_y, t = operands("log_softmax_vjp", 3, n, suffix)
        ell, t_wide = wide(log_y), wide(t)
        y = np.exp(ell)
        exp_error = np.where(y == 0, 0, y * (np.abs(np.where(y == 0, 0, ell)) + EXP))
        total = np.sum(t_wide, -1, keepdims=True)
        size = np.sum(np.abs(t_wide), -1, keepdims=True)
        bound = 3 * np.abs(t_wide) + exp_error * np.abs(total) + y * SUM * size
        got = run(library(), "log_softmax_vjp", log_y, t)
        assert judged(got, t_wide - y * total, bound, suffix) <= 1, n
        mean = np.sum(y * t_wide, -1, keepdims=True)
        spread = np.abs(t_wide - mean)
        want = t_wide - mean
        sums = np.sum((exp_error + SUM * y) * (spread + np.abs(mean)), -1, keepdims=True)
        reading = 2 * np.abs(mean) * np.abs(1 - y.sum(-1, keepdims=True)) / ROUNDOFF[suffix]
        bound = 4 * spread + sums + reading
        got = run(library(), "log_softmax_jvp", log_y, t)
        assert judged(got, want, bound, suffix) <= 1, n


@pytest.mark.parametrize("suffix", DTYPES)
def test_jacobians_are_right_entry_by_entry(suffix: str) -> None:
    """Each entry is within a few roundings, on the diagonal of a dominant class too."""
    for n in (1, 2, 3, 9, 16, 17, 65, 130):
        (y,) = operands("softmax_jacobian", 3, n, suffix)
        y_wide, eye = wide(y), np.eye(n)
        rest = np.sum(y_wide[:, None, :] * (1 - eye), -1)
        complement = np.where(y_wide >= 0.5, rest, 1 - y_wide)
        outer = y_wide[:, :, None] * y_wide[:, None, :]
        want = eye * (y_wide * complement)[:, :, None] - (1 - eye) * outer
        got = run(library(), "softmax_jacobian", y)
        assert judged(got, want, 12 * np.abs(want), suffix) <= 1, n
        (log_y,) = operands("log_softmax_jacobian", 3, n, suffix)
        ell = wide(log_y)
        p = np.exp(ell)[:, None, :]
        want = eye * -np.expm1(ell)[:, None, :] - (1 - eye) * p
        error = np.where(p == 0, 1, np.abs(np.where(p == 0, 0, ell[:, None, :])) + EXP)
        got = run(library(), "log_softmax_jacobian", log_y)
        assert judged(got, want, error * np.abs(want), suffix) <= 1, n


@pytest.mark.parametrize("scale", [0.37, 3.3, -1.7])
@pytest.mark.parametrize("suffix", ["f32", "f64"])
def test_a_factor_keeps_the_tails_of_logits_with_an_offset(suffix: str, scale: float) -> None:
    """Times a factor, logits far from 0 give what they give near 0, to a few roundings."""
    near = np.round(np.random.default_rng(0).standard_normal((3, 500)) * 1024) / 256
    for offset in (0, 2.0**14):
        x = (near + offset).astype(DTYPES[suffix])
        y, log_y, r, _ = forward(wide(near), float(np.float32(scale)) if suffix == "f32" else scale)
        bound = EXP + SUM + 4 * r
        assert judged(run(library(), "softmax", x, scale=scale), y, bound * y, suffix) <= 1
        assert judged(run(library(), "log_softmax", x, scale=scale), log_y, bound, suffix) <= 1


def test_the_fused_vjp_has_the_bits_of_the_composition() -> None:
    """softmax_vjp_from_logits is softmax and softmax_vjp, without the memory in between."""
    for suffix in ("f32", "f64"):
        for n in (1, 3, 10, 64, 1000, 20000):
            x, t = operands("softmax_vjp_from_logits", 4, n, suffix)
            composed = run(library(), "softmax_vjp", run(library(), "softmax", x), t)
            fused = run(library(), "softmax_vjp_from_logits", x, t)
            assert fused.tobytes() == composed.tobytes(), n


def test_saturated_row_keeps_both_components() -> None:
    """At logits [40, 0] the pull-back of [1, 0] is ±4.248354255291589e-18, not 0."""
    for dtype in (np.float32, np.float64):
        x, dy = np.array([[40, 0]], dtype), np.array([[1, 0]], dtype)
        dx = native.softmax_vjp(native.softmax(x), dy)
        assert np.allclose(dx, [[4.248354255291589e-18, -4.248354255291589e-18]], rtol=1e-6, atol=0)


@pytest.mark.parametrize("value", [0.1, -7.3, 1e4, 1e30])
def test_constant_cotangent_gives_exactly_zero(value: float) -> None:
    """J times a constant vector is 0 to the last bit."""
    for n in (1, 2, 9, 16, 17, 100, 3000, 50257):
        x = operands("softmax", 3, n, "f32")[0]
        assert not np.any(native.softmax_vjp(native.softmax(x), np.full_like(x, value))), n


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("n", [2, 5, 16, 17, 100, 5000, 300_000])
def test_rows_that_are_not_numbers_follow_jax(op: str, n: int) -> None:
    """NaN, +inf and -inf alone give one quiet NaN everywhere; -inf on some gives 0 or -inf."""
    x = np.zeros((5, n), np.float32)
    x[0, n // 2] = np.nan
    x[1, n - 1] = np.inf
    x[2] = -np.inf
    x[3, 0] = -np.inf
    x[4, : n - 1] = -np.inf
    y = getattr(native, op)(x)
    assert set(y[:3].view(np.uint32).ravel()) == {0x7FC00000}
    masked, one = (0, 1) if op == "softmax" else (-np.inf, 0)
    assert y[3, 0] == masked
    assert np.all(np.isfinite(y[3, 1:]))
    assert np.all(y[4, :-1] == masked)
    assert y[4, -1] == one


def test_nan_row_among_many_spoils_no_other() -> None:
    """A row of NaN in a batch leaves its neighbours as they are alone."""
    x = operands("softmax", 9, 100, "f32")[0]
    want = native.softmax(x)
    x[4, 50] = np.nan
    got = native.softmax(x)
    assert np.all(np.isnan(got[4]))
    rows = [0, 1, 2, 3, 5, 6, 7, 8]
    assert got[rows].tobytes() == want[rows].tobytes()


def test_cross_entropy_and_its_derivative() -> None:
    """Labels and one-hot targets agree with the definition and with each other, scaled too."""
    rng = np.random.default_rng(0)
    for suffix, dtype in DTYPES.items():
        tolerance = 40 * ROUNDOFF[suffix] + 2 * STORED[suffix]
        for n in (1, 2, 10, 17, 1000):
            x = (rng.standard_normal((6, n)) * 4).astype(dtype)
            labels = rng.integers(n, size=6)
            x[1, labels[1]] += dtype.type(25)
            target = np.zeros((6, n), dtype)
            target[np.arange(6), labels] = 1
            y, log_y, _, _ = forward(wide(x), 0.7)
            want = -np.take_along_axis(log_y, labels[:, None], -1)[:, 0]
            slope = wide(0.7) * (y - wide(target))
            for kind in (labels, target):
                loss, dx = native.cross_entropy_with_derivative(x, kind, scale=0.7)
                assert np.allclose(wide(loss), want, rtol=tolerance, atol=tolerance), (suffix, n)
                assert np.allclose(wide(dx), slope, rtol=tolerance, atol=tolerance), (suffix, n)
                assert loss.tobytes() == native.cross_entropy(x, kind, scale=0.7).tobytes()


def test_cross_entropy_keeps_the_tails() -> None:
    """At a dominant label neither the loss nor y - 1 is lost in rounding."""
    x = np.array([[40.0, 0.0]], np.float32)
    for target in (np.array([0]), np.array([[1.0, 0.0]], np.float32)):
        loss, dx = native.cross_entropy_with_derivative(x, target)
        small = 4.248354255291589e-18
        assert np.allclose(loss, [small], rtol=1e-6, atol=0)
        assert np.allclose(dx, [[-small, small]], rtol=1e-6, atol=0)
    masked = np.array([[0.0, -np.inf]], np.float32)
    assert native.cross_entropy(masked, np.array([[1.0, 0.0]], np.float32)) == [0]


@pytest.mark.parametrize("suffix", ["f32", "f64"])
def test_long_rows_agree_with_short_ones(suffix: str) -> None:
    """A row beyond the cache, read once for maximum and sum, has the values of the definition."""
    n = 300_000
    for order in (1, -1):
        x = np.linspace(-30, 20, n).astype(DTYPES[suffix])[None, ::order].copy()
        y, log_y, r, _ = forward(wide(x))
        rho = np.sum(y * r)
        got = run(library(), "softmax", x)
        assert judged(got, y, y * (r + rho + SUM + EXP), suffix) <= 1
        got = run(library(), "log_softmax", x)
        assert judged(got, log_y, 3 * np.abs(log_y) + r + rho + SUM + EXP, suffix) <= 1
