"""softmax and log_softmax where jax.nn has them: the same behaviour, point by point."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import softjac

OPS = ["softmax", "log_softmax"]
UNIT = 2.0**-24


def both(op: str) -> tuple[Any, Any]:
    """Ours and JAX's."""
    return getattr(softjac, op), getattr(jax.nn, op)


def normal(*shape: int) -> Any:
    """Normal numbers in float32."""
    return jnp.asarray(np.random.default_rng(list(shape)).normal(size=shape), jnp.float32)


def assert_as_jax(op: str, got: Any, theirs: Any, n: int) -> None:
    """Equal within what jax.nn may err on n moderate logits: each exponential, and the sum."""
    assert (got.shape, got.dtype, got.weak_type) == (theirs.shape, theirs.dtype, theirs.weak_type)
    relative = (n + 16) * UNIT
    np.testing.assert_allclose(got, theirs, rtol=relative, atol=relative if "log" in op else 0)


@pytest.mark.parametrize("axis", [-1, 0, 1, -3, (0, 1), (-1, 0), (2, 1, 0), None, ()])
@pytest.mark.parametrize("op", OPS)
def test_axes(op: str, axis: Any) -> None:
    """An axis is any integer, a tuple of them, or None for all; NumPy's integers too."""
    ours, theirs = both(op)
    x = normal(3, 4, 5)
    assert_as_jax(op, ours(x, axis), theirs(x, axis), 60)
    if isinstance(axis, int):
        np.testing.assert_array_equal(ours(x, np.int64(axis)), ours(x, axis))


@pytest.mark.parametrize("axis", [3, -4, (0, 3), (1, 1), (1, -2)])
@pytest.mark.parametrize("op", OPS)
def test_wrong_axes_are_refused(op: str, axis: Any) -> None:
    """An axis outside the array or named twice is a ValueError, as in jax.nn, and named."""
    ours, theirs = both(op)
    for function in (ours, theirs):
        with pytest.raises(ValueError, match="axis"):
            function(normal(3, 4, 5), axis)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 3), (2, 0, 3)])
@pytest.mark.parametrize("op", OPS)
def test_empty_arrays(op: str, shape: tuple[int, ...]) -> None:
    """Empty axes, of classes or of rows, give empty results, and so do their derivatives."""
    ours, theirs = both(op)
    x = jnp.zeros(shape)
    assert_as_jax(op, ours(x), theirs(x), 0)
    assert jax.vjp(ours, x)[1](x)[0].shape == shape
    assert jax.jvp(ours, [x], [x])[1].shape == shape
    y = ours(x)
    assert getattr(softjac, f"{op}_vjp")(y, x).shape == shape
    assert getattr(softjac, f"{op}_jacobian")(y).shape == (*shape, shape[-1])


PROMOTED = ["int8", "uint8", "int32", "float16", "bfloat16", "float32", "float64"]


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # jax.nn, on integers
@pytest.mark.parametrize("wide", [False, True], ids=["x32", "x64"])
@pytest.mark.parametrize("op", OPS)
def test_dtypes_and_promotion(op: str, wide: bool) -> None:
    """Integers count as the default float; every float keeps its dtype; weak types stay weak."""
    ours, theirs = both(op)
    with jax.enable_x64(wide):
        arguments = [np.ones(3, jnp.dtype(name)) for name in PROMOTED]
        arguments += [jnp.asarray(2.0) * jnp.ones(3), jnp.full(3, 2.0)]
        for x in arguments:
            got, expected = ours(x), theirs(x)
            assert (got.dtype, got.weak_type) == (expected.dtype, expected.weak_type), x.dtype
        for scalar in (1.0, 2, jnp.float32(3)):
            got, expected = ours(scalar, axis=None), theirs(scalar, axis=None)
            assert (got.dtype, got.weak_type) == (expected.dtype, expected.weak_type)


@pytest.mark.parametrize("x", [np.ones(3, complex), np.ones(3, bool)], ids=["complex", "bool"])
@pytest.mark.parametrize("op", OPS)
def test_logits_are_real_numbers(op: str, x: Any) -> None:
    """Complex and boolean logits are refused, with the dtype in the message."""
    with pytest.raises(softjac.ArgumentError, match=x.dtype.name.rstrip("128")):
        getattr(softjac, op)(x)


@pytest.mark.parametrize(
    "row", [[jnp.inf, 1.0], [jnp.inf, jnp.inf], [jnp.nan, 1.0], [-jnp.inf, -jnp.inf]]
)
@pytest.mark.parametrize("op", OPS)
def test_nonfinite_rows_are_nan(op: str, row: list[float]) -> None:
    """+inf, NaN and rows of -inf alone give NaN everywhere, as jax.nn documents; others do not."""
    ours, theirs = both(op)
    x = jnp.array([row, [0.0, 1.0]])
    assert np.all(np.isnan(ours(x)[0]))
    assert np.all(np.isnan(theirs(x)[0]))
    assert_as_jax(op, ours(x)[1], theirs(x)[1], 2)


@pytest.mark.parametrize("op", OPS)
def test_masked_logits(op: str) -> None:
    """Logits of -inf have probability 0 and leave the rest as if they were not there."""
    ours, theirs = both(op)
    x = normal(4, 9).at[:, ::2].set(-jnp.inf)
    assert_as_jax(op, ours(x), theirs(x), 9)
    np.testing.assert_allclose(ours(x)[:, 1::2], ours(x[:, 1::2]), rtol=16 * UNIT)


@pytest.mark.parametrize("op", OPS)
def test_derivatives_of_masked_logits_are_clean(op: str) -> None:
    """No NaN anywhere: derivative 0 for softmax at -inf, dx = dy for log_softmax, as in JAX."""
    ours, theirs = both(op)
    x, v = normal(4, 9).at[:, ::2].set(-jnp.inf), normal(4, 9)
    got, expected = jax.vjp(ours, x)[1](v)[0], jax.vjp(theirs, x)[1](v)[0]
    np.testing.assert_allclose(got, expected, rtol=0, atol=32 * UNIT * 9)
    if op == "softmax":
        assert not np.any(got[:, ::2])
    else:
        np.testing.assert_array_equal(got[:, ::2], v[:, ::2])
    for derivative in (jax.jacfwd, jax.jacrev, jax.hessian):
        assert np.all(np.isfinite(derivative(ours)(x[0])))


@pytest.mark.parametrize("shape", [(4, 9), (9,), (4, 1)])
@pytest.mark.parametrize("op", OPS)
def test_where(op: str, shape: tuple[int, ...]) -> None:
    """`where` leaves entries out: 0, or -inf, with derivative 0; whole rows too; it broadcasts."""
    ours, theirs = both(op)
    x, v = normal(4, 9), normal(9, 4).T
    keep = jnp.asarray(np.random.default_rng(0).random(shape) < 0.5).at[0].set(True)
    got = ours(x, where=keep)
    assert_as_jax(op, got, theirs(x, where=keep), 9)
    left_out = ~np.broadcast_to(keep, (4, 9))
    assert np.all(got[left_out] == (0 if op == "softmax" else -np.inf))
    for derivative in (
        jax.vjp(lambda x: ours(x, where=keep), x)[1](v)[0],
        jax.jvp(lambda x: ours(x, where=keep), [x], [v])[1],
        jax.vjp(lambda x: ours(jnp.where(left_out, jnp.nan, x), where=keep), x)[1](v)[0],
    ):
        assert not np.any(derivative[left_out])
        assert np.all(np.isfinite(derivative))


@pytest.mark.parametrize("op", OPS)
def test_rows_masked_whole(op: str) -> None:
    """A row that `where` masks whole is 0, or -inf, with derivative 0, mapped over masks too."""
    ours, theirs = both(op)
    x, keep = normal(4), jnp.array([[True, False, True, True], [False] * 4])
    mapped = jax.vmap(lambda row: ours(x, where=row))(keep)
    np.testing.assert_array_equal(mapped[1], np.full(4, 0 if op == "softmax" else -np.inf))
    np.testing.assert_array_equal(mapped[1], theirs(x, where=keep[1]))
    pulled = jax.vjp(lambda x: ours(x, where=keep), jnp.stack([x, x]))[1](jnp.ones((2, 4)))[0]
    assert np.all(np.isfinite(pulled))
    assert not np.any(pulled[1])


@pytest.mark.parametrize("op", OPS)
def test_what_does_not_fit_is_refused(op: str) -> None:
    """Eight-bit floats, tangents of integers, complex scales and masks of another length."""
    ours, x = getattr(softjac, op), normal(2, 3)
    with pytest.raises(softjac.ArgumentError, match="float8"):
        ours(x.astype("float8_e4m3fn"))
    with pytest.raises(softjac.ArgumentError, match="real"):
        ours(np.zeros(3, jax.dtypes.float0))
    with pytest.raises(softjac.ArgumentError, match="real number"):
        ours(x, scale=1j)
    with pytest.raises(softjac.ArgumentError, match=r"where of shape \(5,\)"):
        ours(x, where=jnp.ones(5, bool))


@pytest.mark.parametrize("op", OPS)
def test_donated_logits(op: str) -> None:
    """The result may take the place of the logits."""
    ours, x = getattr(softjac, op), normal(3, 40)
    expected = ours(x)
    got = jax.jit(ours, donate_argnums=0)(x + 0)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("op", OPS)
def test_where_broadcasts_the_logits_too(op: str) -> None:
    """A mask with more rows than the logits gives a row for each of its own."""
    ours = getattr(softjac, op)
    x, keep = normal(4), jnp.tri(4, dtype=bool)
    each = jnp.stack([ours(x, where=row) for row in keep])
    np.testing.assert_allclose(ours(x, where=keep), each, rtol=16 * UNIT)
    with pytest.raises(softjac.ArgumentError, match="boolean"):
        ours(x, where=jnp.ones(4))


@pytest.mark.parametrize("scale", [0.5, 1.0, 3, -2.0, 0.0, 1e-30, 30.0])
@pytest.mark.parametrize("op", OPS)
def test_scale_multiplies_the_logits(op: str, scale: float) -> None:
    """`scale` means softmax(scale * x), of any sign, whether a number, an array or traced."""
    ours = getattr(softjac, op)
    x = jnp.array([0.25, -1.5, 1.0, 0.75, -jnp.inf])
    with jax.enable_x64(True):
        product = jnp.where(jnp.isinf(x), x, scale * x.astype("float64"))
        expected = ours(product)
    got = ours(x, scale=scale)
    # The difference from the maximum is rounded, multiplied, and rounded: 3 u of what it is.
    spread = float(np.ptp(product[:4]))
    rtol = min(8 + 3 * spread, 1e9) * UNIT
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=2.0**-126)
    np.testing.assert_array_equal(ours(x, scale=jnp.float32(scale)), got)
    np.testing.assert_allclose(jax.jit(lambda c: ours(x, scale=c))(scale), got, rtol=8 * UNIT)


@pytest.mark.parametrize("op", OPS)
def test_scale_is_one_number(op: str) -> None:
    """An array of scales is refused, and the message says what to do."""
    with pytest.raises(softjac.ArgumentError, match=r"jax\.vmap"):
        getattr(softjac, op)(normal(3, 4), scale=normal(3, 1))


def test_scale_neither_overflows_nor_vanishes() -> None:
    """Logits far apart with a tiny scale are told apart; near ones with a huge scale too."""
    far = softjac.softmax(jnp.array([3e38, -3e38]), scale=1e-37)
    np.testing.assert_allclose(far[1] / far[0], np.exp(-60.0), rtol=(32 + 2 * 60) * UNIT)
    near = softjac.softmax(jnp.array([1e-30, 0.0]), scale=1e30)
    np.testing.assert_allclose(near[1] / near[0], np.exp(-1.0), rtol=32 * UNIT)


@pytest.mark.parametrize(
    "op", [f"{forward}{way}" for forward in OPS for way in ("", "_vjp", "_jvp", "_jacobian")]
)
def test_padding_with_neutral_entries_changes_nothing(op: str) -> None:
    """Logits -inf, probabilities 0, vectors 0 at the end: exact zeros there, the same elsewhere."""
    ours = getattr(softjac, op)
    with jax.enable_x64(True):
        x, v = (jnp.asarray(normal(3, 20) * 3, "float64") for _ in range(2))
        logits = [x, jnp.pad(x, ((0, 0), (0, 12)), constant_values=-jnp.inf)]
        rows = [v, jnp.pad(v, ((0, 0), (0, 12)))]
        arguments = logits
        if op not in OPS:
            arguments = [
                (softjac.log_softmax if op.startswith("log") else softjac.softmax)(z)
                for z in logits
            ]
        if op.endswith(("vjp", "jvp")):
            small, large = (ours(y, w) for y, w in zip(arguments, rows, strict=True))
        else:
            small, large = map(ours, arguments)
    inside = large[:, :20, :20] if op.endswith("jacobian") else large[:, :20]
    outside = np.asarray(large[:, :20, 20:] if op.endswith("jacobian") else large[:, 20:])
    np.testing.assert_allclose(inside, small, rtol=16 * 2.0**-53, atol=16 * 2.0**-53)
    if op == "log_softmax":
        assert np.all(outside == -np.inf)
    elif op != "log_softmax_jvp":  # a masked log-probability still has the row's mean taken off
        assert np.all(outside == 0)
    assert not np.any(np.isnan(large))


def test_no_recompilation_beyond_shapes() -> None:
    """Values, scales and masks of one shape share one compiled program."""
    compiled = softjac._softmax._softmax._cache_size  # type: ignore[attr-defined]
    x = normal(6, 11)
    softjac.softmax(x, scale=2.0)
    softjac.softmax(x)
    before = compiled()
    softjac.softmax(x + 1)
    softjac.softmax(np.asarray(x))
    for scale in (0.5, 3.0, jnp.float32(7)):
        softjac.softmax(x, scale=scale)
    assert compiled() == before
