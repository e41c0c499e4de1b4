"""The closed forms against JAX's own differentiation, in every way JAX can differentiate."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import softjac

SHAPES_AND_AXES = [
    ((1,), -1),
    ((2,), 0),
    ((3, 7), -1),
    ((3, 7), 0),
    ((2, 3, 4), (0, -1)),
    ((2, 3), None),
    ((2, 33), -1),
    ((2, 300), 1),
]
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53, "bfloat16": 2.0**-8, "float16": 2.0**-11}
OPS = ["softmax", "log_softmax"]
CASES = [(shape, axis, "float64") for shape, axis in SHAPES_AND_AXES] + [
    (shape, axis, dtype)
    for dtype in ("float32", "bfloat16", "float16")
    for shape, axis in (((3, 7), 0), ((2, 3, 4), (0, -1)), ((2, 300), -1))
]


def definition(op: str, axis: Any, x: Any) -> Any:
    """What the op means, for JAX to differentiate: right but for rounding at moderate logits."""
    exponentials = jnp.exp(x)
    probabilities = exponentials / jnp.sum(exponentials, axis, keepdims=True)
    return jnp.log(probabilities) if op == "log_softmax" else probabilities


def samples(shape: tuple[int, ...], dtype: str, *seeds: int) -> list[Any]:
    """Normal numbers that the dtype has exactly."""
    draws = [np.random.default_rng([seed, *shape]).normal(size=shape) for seed in seeds]
    return [jnp.asarray(draw, dtype) for draw in draws]


def assert_within(got: Any, exact: Any, condition: Any, dtype: str, units: float) -> None:
    """Every element within `units` u C, and within what the definition loses in float64."""
    assert got.dtype == jnp.dtype(dtype)
    error = np.abs(np.asarray(got, np.float64) - np.asarray(exact))
    lost = 64 * UNIT["float64"] * (1 + np.max(np.abs(condition)))
    finest = 2.0**-24 if dtype == "float16" else 0.0  # float16 has no smaller numbers
    assert np.all(error <= units * UNIT[dtype] * condition + lost + finest)


@pytest.mark.parametrize(("shape", "axis", "dtype"), CASES)
def test_products(shape: tuple[int, ...], axis: Any, dtype: str) -> None:
    """VJP and JVP, by closed form and by JAX through softjac, are those of the definition."""

    def everything(x: Any, v: Any) -> dict[str, Any]:
        found = {}
        for op in OPS:
            value, meant = partial(getattr(softjac, op), axis=axis), partial(definition, op, axis)
            y, pull = jax.vjp(value, x)
            found[op] = {
                "y": y,
                "vjp": (getattr(softjac, f"{op}_vjp")(y, v, axis), pull(v)[0]),
                "jvp": (getattr(softjac, f"{op}_jvp")(y, v, axis), jax.jvp(value, [x], [v])[1]),
                "exact vjp": jax.vjp(meant, x.astype("float64"))[1](v.astype("float64"))[0],
                "exact jvp": jax.jvp(meant, [x.astype("float64")], [v.astype("float64")])[1],
            }
        return found

    with jax.enable_x64(True):
        x, v = samples(shape, dtype, 1, 2)
        found = jax.jit(everything)(x, v)
    p = np.exp(np.asarray(x, float))
    p /= p.sum(axis, keepdims=True)
    w = np.asarray(v, float)
    distance = np.abs(w - (p * w).sum(axis, keepdims=True))
    free = distance + (p * distance).sum(axis, keepdims=True)
    total = np.abs(w) + p * np.abs(w).sum(axis, keepdims=True)
    conditions = {
        "softmax": {"vjp": p * free, "jvp": p * free},
        "log_softmax": {"vjp": total, "jvp": free},
    }
    for op in OPS:
        # A result once rounded moves what is computed from it; log-probabilities by u |log p|.
        rounded = 8 + 4 * float(np.max(np.abs(np.asarray(found[op]["y"], float))))
        for product, condition in conditions[op].items():
            from_result, from_logits = found[op][product]
            exact = found[op][f"exact {product}"]
            assert_within(from_logits, exact, condition, dtype, 8)
            assert_within(from_result, exact, condition + total, dtype, rounded)


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16", "float16"])
@pytest.mark.parametrize("op", OPS)
def test_jacobians(op: str, dtype: str) -> None:
    """The explicit Jacobian, batched over leading axes, is jax.jacrev's and jax.jacfwd's."""
    value, written = getattr(softjac, op), getattr(softjac, f"{op}_jacobian")

    def everything(x: Any) -> Any:
        wide = x.astype("float64")
        exact = jax.vmap(jax.vmap(jax.jacrev(partial(definition, op, -1))))(wide)
        each = [jax.vmap(jax.vmap(how(value)))(x) for how in (jax.jacrev, jax.jacfwd)]
        return exact, value(x), [written(value(x)), *each]

    with jax.enable_x64(True):
        exact, y, found = jax.jit(everything)(samples((2, 3, 5), dtype, 3)[0])
    assert found[0].shape == (2, 3, 5, 5)
    units = 8 + 4 * float(np.max(np.abs(np.asarray(y, float))))
    for got in found:
        assert_within(got, exact, np.abs(np.asarray(exact)) + (op == "log_softmax"), dtype, units)


@pytest.mark.parametrize("op", OPS)
def test_jacobian_of_log_softmax_has_outputs_as_rows(op: str) -> None:
    """jac[i, j] is the derivative of output i by logit j; log_softmax's is not symmetric."""
    x = jnp.array([0.0, 1.0, 3.0])
    value, written = getattr(softjac, op), getattr(softjac, f"{op}_jacobian")
    columns = [jax.jvp(value, [x], [jnp.eye(3)[j]])[1] for j in range(3)]
    np.testing.assert_allclose(written(value(x)), np.stack(columns, 1), rtol=2e-6)


@pytest.mark.parametrize("op", OPS)
def test_higher_orders(op: str) -> None:
    """Hessians and third derivatives, mixed modes, are those of the definition."""
    orders = (
        jax.hessian,
        lambda f: jax.jacrev(jax.jacfwd(f)),
        lambda f: jax.jacfwd(jax.hessian(f)),
        lambda f: jax.jacrev(jax.jacrev(jax.jacrev(f))),
    )
    ours, meant = getattr(softjac, op), partial(definition, op, -1)
    with jax.enable_x64(True):
        x = jnp.array([0.3, -1.0, 0.7])
        for how in orders:
            got, exact = jax.jit(lambda x, how=how: (how(ours)(x), how(meant)(x)))(x)
            np.testing.assert_allclose(got, exact, rtol=0, atol=1e-14)


LITERAL = {
    "softmax_vjp": lambda y, v: y * (v - jnp.sum(y * v, -1, keepdims=True)),
    "softmax_jvp": lambda y, v: y * (v - jnp.sum(y * v, -1, keepdims=True)),
    "softmax_jacobian": lambda y, v: jnp.diag(y) - jnp.outer(y, y),
    "log_softmax_vjp": lambda y, v: v - jnp.exp(y) * jnp.sum(v, -1, keepdims=True),
    "log_softmax_jvp": lambda y, v: v - jnp.sum(jnp.exp(y) * v, -1, keepdims=True),
    "log_softmax_jacobian": lambda y, v: jnp.eye(len(y)) - jnp.exp(y),
}


@pytest.mark.parametrize("op", LITERAL)
def test_closed_forms_differentiate_themselves(op: str) -> None:
    """A closed form's own derivatives, by either argument and either mode, are the textbook's."""
    value = softjac.log_softmax if op.startswith("log") else softjac.softmax
    closed_form = getattr(softjac, op)

    def ours(x: Any, v: Any) -> Any:
        return closed_form(value(x), v) if "jacobian" not in op else closed_form(value(x))

    def textbook(x: Any, v: Any) -> Any:
        return LITERAL[op](definition(value.__name__, -1, x), v)

    def derivatives(function: Any, x: Any, v: Any) -> Any:
        both = partial(jax.jacfwd, argnums=(0, 1)), partial(jax.jacrev, argnums=(0, 1))
        return [how(function)(x, v) for how in both] + [jax.hessian(function)(x, v)]

    with jax.enable_x64(True):
        x, v = samples((4,), "float64", 4, 5)
        got, exact = jax.jit(lambda x, v: [derivatives(f, x, v) for f in (ours, textbook)])(x, v)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=2e-14), got, exact)


@pytest.mark.parametrize("op", OPS)
def test_transformations_compose(op: str) -> None:
    """checkpoint, scan, nested vmap over any axis, and jit leave the gradient as it is."""
    value = getattr(softjac, op)
    x, v = samples((4, 3, 5), "float32", 6, 7)

    def loss(x: Any) -> Any:
        return jnp.sum(value(x) * v)

    def scanned(x: Any) -> Any:
        step = jax.checkpoint(lambda total, row: (total + jnp.sum(value(row[0]) * row[1]), None))
        return jax.lax.scan(step, 0.0, (x, v))[0]

    def mapped(x: Any) -> Any:
        rows = jax.vmap(jax.vmap(value, in_axes=1, out_axes=1), in_axes=-1, out_axes=-1)
        return jnp.sum(rows(x.transpose(1, 2, 0)).transpose(2, 0, 1) * v)

    expected = jax.grad(loss)(x)
    for other in (jax.checkpoint(loss), scanned, mapped):
        if other is mapped:  # the vmaps take the axes one by one: the classes are what is left
            expected = jax.grad(lambda x: jnp.sum(value(x, axis=1) * v))(x)
        np.testing.assert_allclose(jax.jit(jax.grad(other))(x), expected, rtol=2e-6, atol=1e-7)


def test_vmap_of_one_operand_copies_nothing() -> None:
    """Mapping over cotangents alone leaves the probabilities as they are."""
    y, v = softjac.softmax(jnp.arange(4.0)), samples((6, 4), "float32", 8)[0]
    program = jax.make_jaxpr(jax.vmap(softjac.softmax_vjp, in_axes=(None, 0)))(y, v)
    assert "(6, 4)" not in str([e for e in program.eqns if e.primitive.name == "broadcast_in_dim"])
    many = jax.vmap(softjac.softmax_vjp, in_axes=(None, 0))(y, v)
    each = jnp.stack([softjac.softmax_vjp(y, row) for row in v])
    np.testing.assert_array_equal(many, each)


@pytest.mark.parametrize("op", OPS)
def test_scale_is_differentiable(op: str) -> None:
    """The derivative with respect to the scale is that of the definition, masks and all."""
    value = getattr(softjac, op)

    def everything(x: Any, masked: Any, scale: Any) -> Any:
        exact = jax.jacfwd(lambda c: definition(op, -1, c * x))(scale)
        ways = [(how, row) for how in (jax.jacfwd, jax.jacrev) for row in (x, masked)]
        return exact, [how(lambda c, row=row: value(row, scale=c))(scale) for how, row in ways]

    with jax.enable_x64(True):
        x = jnp.array([1.0, -2.0, 0.5])
        exact, found = jax.jit(everything)(x, jnp.append(x, -jnp.inf), -0.7)
    for got in found:
        np.testing.assert_allclose(got[:3], exact, rtol=1e-13)
        assert np.all(np.isfinite(got[3:]))


def test_symmetry_makes_vjp_and_jvp_one() -> None:
    """The Jacobian of softmax is symmetric: both products have the same bits."""
    x, v = samples((3, 9), "float32", 9, 10)
    y = softjac.softmax(x)
    np.testing.assert_array_equal(softjac.softmax_vjp(y, v), softjac.softmax_jvp(y, v))


@pytest.mark.parametrize("value", [0.1, -3.0, 1e30, 0.0])
def test_constant_vectors_give_exactly_zero(value: float) -> None:
    """J 1 = 0: a constant cotangent or tangent gives 0, not what rounding left."""
    x = samples((5, 77), "float32", 11)[0]
    v = jnp.full_like(x, value)
    assert not np.any(softjac.softmax_vjp(softjac.softmax(x), v))
    assert not np.any(jax.jvp(softjac.softmax, [x], [v])[1])
    assert not np.any(jax.jvp(softjac.log_softmax, [x], [v])[1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_two_equal_classes_are_both_above_one_half(dtype: str) -> None:
    """log(1/2), rounded upward, gives two classes more than half each: neither dominates."""
    y = jnp.full(2, jnp.log(0.5), dtype)
    y = jnp.where(jnp.exp(y.astype("float32")) > 0.5, y, jnp.nextafter(y, jnp.zeros_like(y)))
    p = np.exp(np.asarray(y, float))
    assert np.all(p > 0.5)
    v, rtol = jnp.array([1.0, 0.0], dtype), 8 * UNIT[dtype]
    np.testing.assert_allclose(
        np.asarray(softjac.log_softmax_vjp(y, v), float), [1 - p[0], -p[1]], rtol=rtol
    )
    above = jnp.full(2, 0.50001, "float32")
    np.testing.assert_allclose(np.diag(softjac.softmax_jacobian(above)), 0.25, rtol=1e-4)
    pulled = np.asarray(softjac.log_softmax_jvp(y, v), float)
    np.testing.assert_allclose(pulled, [1 - p[0], -p[0]], rtol=rtol, atol=UNIT[dtype])
