"""The Jacobian as an operator: equal to its dense form, in O(n)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import softjac

UNIT = 2.0**-53


def sample(*shape: int) -> tuple[Any, Any]:
    """Probabilities and a vector, float64."""
    rng = np.random.default_rng(list(shape))
    return softjac.softmax(rng.normal(size=shape)), jnp.asarray(rng.normal(size=shape))


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (2, 3, 6)])
def test_operator_is_the_matrix(shape: tuple[int, ...]) -> None:
    """Product, transpose, diagonal and trace are those of diag(y) - y yᵀ, batched."""
    with jax.enable_x64(True):
        y, t = sample(*shape)
        operator = jax.jit(softjac.JacobianOperator)(y)
        dense = jax.vmap(lambda y: jnp.diag(y) - jnp.outer(y, y))(y.reshape(-1, shape[-1]))
        dense = np.asarray(dense).reshape(*shape, shape[-1])
        expected = np.einsum("...ij,...j->...i", dense, t)
        for got, exact in [
            (operator.dense(), dense),
            (operator @ t, expected),
            (operator.T @ t, expected),
            (operator.diagonal(), np.diagonal(dense, axis1=-2, axis2=-1)),
            (operator.trace(), np.trace(dense, axis1=-2, axis2=-1)),
        ]:
            np.testing.assert_allclose(got, exact, rtol=0, atol=32 * UNIT)
            assert got.shape == exact.shape


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4)])
def test_solve_is_the_pseudo_inverse(shape: tuple[int, ...]) -> None:
    """J solve(b) is b less its mean, and the solution has sum 0: numpy's pinv."""
    with jax.enable_x64(True):
        y, b = sample(*shape)
        operator = softjac.JacobianOperator(y)
        v = operator.solve(b)
        inverse = np.linalg.pinv(np.asarray(operator.dense()), hermitian=True)
        np.testing.assert_allclose(v, np.einsum("...ij,...j->...i", inverse, b), atol=1e-11)
        np.testing.assert_allclose(operator @ v, b - b.mean(-1, keepdims=True), atol=1e-14)
        with pytest.raises(softjac.ArgumentError, match="shape of y"):
            operator.solve(b[..., :0])


def test_operator_keeps_tails() -> None:
    """At logits [40, 0] diagonal, trace, product and solution have both components."""
    with jax.enable_x64(True):
        operator = softjac.JacobianOperator(softjac.softmax(jnp.array([40.0, 0.0])))
        tail = 4.248354255291589e-18
        np.testing.assert_allclose(operator.diagonal(), [tail, tail], rtol=8 * UNIT)
        np.testing.assert_allclose(operator.trace(), 2 * tail, rtol=8 * UNIT)
        np.testing.assert_allclose(operator @ jnp.array([1.0, 0.0]), [tail, -tail], rtol=8 * UNIT)
        b = jnp.array([tail, -tail])
        np.testing.assert_allclose(operator.solve(b), [0.5, -0.5], rtol=1e-15)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bits_are_rounded_once(dtype: str) -> None:
    """Diagonal, trace and solution are those of float32, rounded; elements as softmax_jacobian."""
    y = softjac.softmax(jnp.asarray(np.random.default_rng(0).normal(size=(20, 50)), dtype))
    b = jnp.asarray(np.random.default_rng(1).normal(size=(20, 50)), dtype)
    narrow = softjac.JacobianOperator(y)
    wide = softjac.JacobianOperator(y.astype(jnp.float32))
    for got, exact in [
        (narrow.diagonal(), wide.diagonal()),
        (narrow.trace(), wide.trace()),
        (narrow.solve(b), wide.solve(b.astype(jnp.float32))),
        (narrow.diagonal(), jnp.diagonal(softjac.softmax_jacobian(y), axis1=-2, axis2=-1)),
    ]:
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, exact.astype(dtype))


def test_operator_is_a_pytree() -> None:
    """It goes through jit, vmap and grad."""
    with jax.enable_x64(True):
        y, t = sample(3, 4)
        operators = jax.vmap(softjac.JacobianOperator)(y)
        each = jax.vmap(lambda operator, t: operator @ t)(operators, t)
        np.testing.assert_array_equal(each, softjac.JacobianOperator(y) @ t)
        gradient = jax.grad(lambda operator: (operator @ t).sum())(operators)
        assert gradient.y.shape == y.shape


def test_never_formed() -> None:
    """A product with a million classes needs no matrix: no array of the program has n² elements."""
    operator = softjac.JacobianOperator(jnp.full(10**6, 1e-6))
    program = jax.make_jaxpr(lambda t: operator @ t)(jnp.ones(10**6))
    assert "1000000,1000000" not in str(program)


@pytest.mark.parametrize("solver", ["CG", "GMRES", "SVD", "BiCGStab"])
def test_lineax_solvers(solver: str) -> None:
    """lineax's solvers take the operator: iterative ones by products, others by its matrix."""
    lineax = pytest.importorskip("lineax", reason="lineax is not installed")
    from softjac.lineax import JacobianLinearOperator

    with jax.enable_x64(True):
        y, b = sample(6)
        b = b - b.mean()
        operator = JacobianLinearOperator(y)
        tolerance = {} if solver == "SVD" else {"rtol": 1e-12, "atol": 1e-12}
        found = lineax.linear_solve(operator, b, getattr(lineax, solver)(**tolerance)).value
        np.testing.assert_allclose(operator.mv(found), b, atol=1e-10)
        exact = softjac.JacobianOperator(y).solve(b)
        np.testing.assert_allclose(found - found.mean(), exact, atol=1e-9)


def test_lineax_knows_the_operator() -> None:
    """lineax is told that it is symmetric and positive semidefinite; sums and products work."""
    lineax = pytest.importorskip("lineax", reason="lineax is not installed")
    from softjac.lineax import JacobianLinearOperator

    with jax.enable_x64(True):
        y, b = sample(5)
        operator = JacobianLinearOperator(y)
        assert lineax.is_symmetric(operator)
        assert lineax.is_positive_semidefinite(operator)
        assert not lineax.is_diagonal(operator)
        np.testing.assert_allclose(lineax.diagonal(operator), jnp.diag(operator.as_matrix()))
        np.testing.assert_array_equal(
            lineax.materialise(operator).as_matrix(), operator.as_matrix()
        )
        damped = operator + 0.1 * lineax.IdentityLinearOperator(operator.in_structure())
        damped = lineax.TaggedLinearOperator(damped, lineax.positive_semidefinite_tag)
        found = lineax.linear_solve(damped, b, lineax.CG(rtol=1e-12, atol=1e-12)).value
        matrix = operator.as_matrix() + 0.1 * jnp.eye(5)
        np.testing.assert_allclose(found, jnp.linalg.solve(matrix, b), rtol=1e-8)
        with pytest.raises(softjac.ArgumentError, match=r"jax\.vmap"):
            JacobianLinearOperator(jnp.ones((2, 3)))
