"""Derivatives taken by a library: honest ones within their bound, faults beyond it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from softjac.oracle import reference
from softjac.oracle.bounds import Bound
from softjac.oracle.fit import judge
from softjac.oracle.inputs import Row, make
from softjac.oracle.library_derivative import library_bound
from softjac.oracle.op import Op
from softjac.oracle.ops import OPS
from softjac.oracle.sample import Sample
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


BY_JAX: dict[Callable[..., Any], str] = {
    autodiff_honest.jax_vjp_exp_of_log_softmax: "softmax_vjp",
    autodiff_honest.jax_vjp_in_blocks: "softmax_vjp",
    autodiff_honest.jax_jvp_in_blocks: "softmax_jvp",
    autodiff_honest.jax_vjp_online: "softmax_vjp",
    autodiff_honest.jax_log_vjp_online: "log_softmax_vjp",
}


def _derived(function: Callable[..., Any], derive: Callable[..., Any], x: Any, vector: Any) -> Any:
    """The function's VJP, or its JVP, at x."""
    if derive is jax.vjp:
        return jax.vjp(function, x)[1](vector)[0]
    return jax.jvp(function, (x,), (vector,))[1]


def own_bound(op: Op, sample: Sample, exact: Array) -> Bound:
    """The op's own bound, for derivatives written by hand."""
    return op.bound(sample, exact)


def ratios(
    op: str,
    inputs: dict[str, Array],
    got: Array,
    bound_of: Callable[[Op, Sample, Array], Bound] = library_bound,
) -> Array:
    """Error over bound of each row."""
    sample = Sample(inputs, precision=FLOAT32, logarithmic=OPS[op].logarithmic)
    with np.errstate(all="ignore"):
        exact = reference.answer(OPS[op], sample)
        bound = bound_of(OPS[op], sample, exact[0])
        flat = got.astype(np.float64).reshape(sample.rows, -1)
        return judge(reference.residual(flat, exact), bound).ratio


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


@pytest.mark.parametrize("specimen", BY_JAX, ids=lambda specimen: specimen.__name__)
def test_what_jax_derives_is_within_the_bound_and_not_within_the_op_s_own(specimen: Any) -> None:
    """Two roundings of a probability, the maxima of blocks, an online sum: all honest."""
    op = OPS[BY_JAX[specimen]]
    derive = jax.vjp if op.output == "dx" else jax.jvp
    beyond = False
    for n in (2, 3, 33, 200, 1000):
        inputs = rows_of_every_kind(n, op.name, ("x", op.vector))
        got = np.asarray(jax.jit(partial(_derived, specimen, derive))(*inputs.values()))
        finite = np.isfinite(got).all(axis=1)  # products of huge vectors
        assert finite.mean() > 0.8
        assert ratios(op.name, inputs, got)[finite].max() <= 1.0, n
        beyond = beyond or ratios(op.name, inputs, got, bound_of=own_bound)[finite].max() > 1.0
    assert beyond


@pytest.mark.parametrize("op", ["softmax_vjp", "log_softmax_vjp", "softmax_jvp", "log_softmax_jvp"])
@pytest.mark.parametrize("n", [10, 1000])
def test_a_fault_in_the_smallest_element_is_seen(op: str, n: int) -> None:
    """1.5 times what it may be off by, in an element at which no errors of others meet."""
    inputs = make(
        [Row("normal", "normal", 0, key) for key in range(64)],
        n,
        OPS[op],
        ("x", OPS[op].vector),
        FLOAT32,
        1.0,
    )
    sample = Sample(inputs, precision=FLOAT32, logarithmic=OPS[op].logarithmic)
    exact = reference.answer(OPS[op], sample)[0]
    own = OPS[op].bound(sample, exact).own()
    bound = library_bound(OPS[op], sample, exact).own()
    place = sample.gap.argmax(axis=1)[:, None]
    allowed = np.take_along_axis(bound, place, axis=1)
    assert (allowed < 12.0 * np.take_along_axis(own, place, axis=1)).all()
    got = exact.copy()
    np.put_along_axis(got, place, np.take_along_axis(exact, place, axis=1) + 1.5 * allowed, axis=1)
    assert ratios(op, inputs, got).min() > 1.0


def test_the_largest_element_is_held_to_the_errors_of_its_row() -> None:
    """A largest element off by 20 n u of what its row's terms add up to is refuted."""
    rows = [Row("normal", "normal", 0, key) for key in range(20)]
    inputs = make(rows, 10, OPS["softmax_vjp"], ("x", "dy"), FLOAT32, 1.0)
    sample = Sample(inputs, precision=FLOAT32, logarithmic=False)
    got = softmax_vjp(*inputs.values(), SUMS[0])
    place = inputs["x"].argmax(axis=1)[:, None]
    terms = sample.y * (np.abs(sample.vector) + np.abs(sample.mean))
    fault = 20 * 10 * FLOAT32.u * terms.sum(axis=1, keepdims=True)
    wrong = got.copy()
    np.put_along_axis(wrong, place, np.take_along_axis(got, place, axis=1) + fault, axis=1)
    assert (ratios("softmax_vjp", inputs, wrong) > 1.0).all()
