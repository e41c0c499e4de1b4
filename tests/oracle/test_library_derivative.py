"""Derivatives taken by a library: honest ones within their bound, faults beyond it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from softjac.oracle import reference
from softjac.oracle.inputs import Row, make
from softjac.oracle.judging.bounds import Bound
from softjac.oracle.judging.fit import judge
from softjac.oracle.judging.library_derivative import library_bounds
from softjac.oracle.judging.sample import Sample
from softjac.oracle.ops import OPS
from tests.honest import autodiff_honest
from tests.oracle.test_bounds import FLOAT32, SUMS, rows_of_every_kind

Array = np.ndarray[Any, np.dtype[Any]]
Sum = Callable[[Array], Array]


def share_out(g: Array, x: Array, total: Sum) -> Array:
    """What x receives where x - max(x) receives g; the largest logits share -Σ g."""
    largest = x == x.max(axis=1, keepdims=True)
    share = -total(g) / largest.sum(axis=1, keepdims=True, dtype=x.dtype)
    return np.where(largest, g + share, g)


def softmax_vjp(x: Array, dy: Array, total: Sum) -> Array:
    """Backward through e / Σ e, operation by operation."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    s = total(e)
    return share_out((dy / s - total(dy * e / (s * s))) * e, x, total)


def log_softmax_vjp(x: Array, dy: Array, total: Sum) -> Array:
    """Backward through t - log Σ exp t, operation by operation."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return share_out(dy - total(dy) / total(e) * e, x, total)


def softmax_jvp(x: Array, x_dot: Array, total: Sum) -> Array:
    """Forward through e / Σ e, operation by operation."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    e_dot = e * (x_dot - np.take_along_axis(x_dot, x.argmax(axis=1)[:, None], axis=1))
    s = total(e)
    return e_dot / s - total(e_dot) * e / (s * s)


def log_softmax_jvp(x: Array, x_dot: Array, total: Sum) -> Array:
    """Forward through t - log Σ exp t, operation by operation."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    t_dot = x_dot - np.take_along_axis(x_dot, x.argmax(axis=1)[:, None], axis=1)
    return t_dot - total(e * t_dot) / total(e)


def softmax_jacobian(x: Array, total: Sum) -> Array:
    """One backward pass for each row of the Jacobian."""
    one_hots = np.eye(x.shape[1], dtype=x.dtype)
    rows = [softmax_vjp(x, np.broadcast_to(e, x.shape), total) for e in one_hots]
    return np.stack(rows, axis=1)


DERIVATIVES: dict[str, Callable[..., Array]] = {
    function.__name__: function
    for function in (
        *(softmax_vjp, log_softmax_vjp, softmax_jvp, log_softmax_jvp),
        softmax_jacobian,
    )
}


def _by_jax(derive: Callable[..., Any], x: Any, vector: Any) -> Any:
    """What JAX derives of exp(log_softmax(x))."""
    if derive is jax.vjp:
        return jax.vjp(autodiff_honest.jax_vjp_exp_of_log_softmax, x)[1](vector)[0]
    return jax.jvp(autodiff_honest.jax_vjp_exp_of_log_softmax, (x,), (vector,))[1]


def bounds_of(op: str, inputs: dict[str, Array]) -> tuple[Any, list[Bound]]:
    """The exact answer, and the bounds a library's derivative is held to one of: the op's first."""
    sample = Sample(inputs, precision=FLOAT32, logarithmic=OPS[op].logarithmic)
    with np.errstate(all="ignore"):
        exact = reference.answer(OPS[op], sample)
        own = OPS[op].bound(sample, exact[0])
        return exact, [own, *library_bounds(OPS[op], sample, exact[0])]


def ratios(op: str, inputs: dict[str, Array], got: Array) -> Array:
    """Error over bound of each row, for the bound that fits it best."""
    exact, bounds = bounds_of(op, inputs)
    flat = got.astype(np.float64).reshape(len(got), -1)
    with np.errstate(all="ignore"):
        residual = reference.residual(flat, exact)
        return np.min([judge(residual, bound).ratio for bound in bounds], axis=0)


@pytest.mark.parametrize("total", SUMS)
@pytest.mark.parametrize("op", DERIVATIVES)
def test_a_derivative_through_the_maximum_is_within_its_bound(op: str, total: Sum) -> None:
    """Every op, every order of summation, every kind of row, whatever the length."""
    roles = ("x",) if OPS[op].vector is None else ("x", OPS[op].vector)
    for n in (1, 2, 3, 33, 33 if OPS[op].output == "jac" else 1000):
        inputs = rows_of_every_kind(n, op, roles)
        with np.errstate(all="ignore"):
            got = DERIVATIVES[op](*inputs.values(), total)
        finite = np.isfinite(got.reshape(len(got), -1)).all(axis=1)  # products of huge vectors
        assert finite.mean() > 0.8
        assert ratios(op, inputs, got)[finite].max() <= 1.0, n


@pytest.mark.parametrize("derive", [jax.vjp, jax.jvp])
def test_the_derivative_of_exp_of_log_softmax_is_within_its_bound(derive: Any) -> None:
    """Two roundings of each probability in reverse mode, one in forward mode."""
    op, role = ("softmax_vjp", "dy") if derive is jax.vjp else ("softmax_jvp", "x_dot")
    beyond = False
    for n in (1, 2, 3, 33, 1000):
        inputs = rows_of_every_kind(n, op, ("x", role))
        got = np.asarray(jax.jit(partial(_by_jax, derive))(*inputs.values()))
        finite = np.isfinite(got).all(axis=1)  # products of huge vectors
        assert finite.mean() > 0.8
        assert ratios(op, inputs, got)[finite].max() <= 1.0, n
        exact, (own, *_) = bounds_of(op, inputs)
        with np.errstate(all="ignore"):
            ratio = judge(reference.residual(got.astype(np.float64), exact), own).ratio
        beyond = beyond or bool(ratio[finite].max() > 1.0)
    assert beyond == (derive is jax.vjp)


def test_the_jacobian_of_exp_of_log_softmax_is_within_the_op_s_own_bound() -> None:
    """Its vectors are one-hot, so that nothing cancels."""
    function = autodiff_honest.jax_jacobian_exp_of_log_softmax
    jacobian = jax.jit(jax.vmap(jax.jacrev(lambda x: function(x[None])[0])))
    for n in (1, 2, 3, 33):
        inputs = rows_of_every_kind(n, "softmax_jacobian", ("x",))
        got = np.asarray(jacobian(inputs["x"])).astype(np.float64).reshape(len(inputs["x"]), -1)
        assert np.isfinite(got).all()
        exact, (own, *_) = bounds_of("softmax_jacobian", inputs)
        with np.errstate(all="ignore"):
            assert judge(reference.residual(got, exact), own).ratio.max() <= 1.0, n


@pytest.mark.parametrize("op", ["softmax_vjp", "log_softmax_vjp", "softmax_jvp", "log_softmax_jvp"])
@pytest.mark.parametrize("n", [10, 1000])
def test_a_fault_anywhere_else_is_seen_as_before(op: str, n: int) -> None:
    """1.5 times what is free of n, in an element that is not the largest, is refuted."""
    inputs = make(
        [Row("normal", "normal", 0, key) for key in range(64)],
        n,
        OPS[op],
        ("x", OPS[op].vector),
        FLOAT32,
        1.0,
    )
    sample = Sample(inputs, precision=FLOAT32, logarithmic=OPS[op].logarithmic)
    (exact, _), bounds = bounds_of(op, inputs)
    tolerance = np.max([bound.tolerance for bound in bounds], axis=0)
    place = sample.gap.argmax(axis=1)[:, None]
    fault = 1.5 * np.take_along_axis(tolerance, place, axis=1)
    got = exact.copy()
    np.put_along_axis(got, place, np.take_along_axis(exact, place, axis=1) + fault, axis=1)
    assert ratios(op, inputs, got).max() > 1.0


def test_the_largest_element_is_held_to_the_errors_of_its_row() -> None:
    """A largest element off by 2e-5 of what its row sums up is refuted."""
    rows = [Row("normal", "normal", 0, key) for key in range(200)]
    inputs = make(rows, 10, OPS["softmax_vjp"], ("x", "dy"), FLOAT32, 1.0)
    got = softmax_vjp(*inputs.values(), SUMS[0])
    place = inputs["x"].argmax(axis=1)[:, None]
    weights = np.exp(inputs["x"] - inputs["x"].max(axis=1, keepdims=True))
    size = (weights * np.abs(inputs["dy"])).sum(axis=1, keepdims=True)
    fault = 2e-5 * size / weights.sum(axis=1, keepdims=True)
    wrong = got.copy()
    np.put_along_axis(wrong, place, np.take_along_axis(got, place, axis=1) + fault, axis=1)
    assert (ratios("softmax_vjp", inputs, wrong) > 1.0).all()
