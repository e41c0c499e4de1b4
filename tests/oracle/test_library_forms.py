"""The textbook formulas as XLA runs them, subnormal numbers flushed, stay within the bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from softjac.oracle import reference
from softjac.oracle.inputs import LOGITS, VECTORS, Row, make
from softjac.oracle.judging.fit import judge
from softjac.oracle.judging.sample import Sample
from softjac.oracle.ops import OPS
from softjac.oracle.planning.plan import SCALES
from softjac.oracle.precision import PRECISIONS

Array = np.ndarray[Any, np.dtype[Any]]
Form = Callable[..., jax.Array]


def softmax(x: jax.Array) -> jax.Array:
    """Exponentials over their sum."""
    terms = jnp.exp(x - x.max(-1, keepdims=True))
    return terms / terms.sum(-1, keepdims=True)


def log_softmax(x: jax.Array) -> jax.Array:
    """Less the logarithm of the sum."""
    below = x - x.max(-1, keepdims=True)
    return below - jnp.log(jnp.exp(below).sum(-1, keepdims=True))


def factored(y: jax.Array, v: jax.Array) -> jax.Array:
    """The product with softmax's Jacobian, a product an element."""
    return y * (v - (y * v).sum(-1, keepdims=True))


def expanded(y: jax.Array, v: jax.Array) -> jax.Array:
    """The same, two products an element."""
    return y * v - y * (y * v).sum(-1, keepdims=True)


def log_vjp(y: jax.Array, v: jax.Array) -> jax.Array:
    """The product with log_softmax's transposed Jacobian."""
    return v - jnp.exp(y) * v.sum(-1, keepdims=True)


def log_jvp(y: jax.Array, v: jax.Array) -> jax.Array:
    """The product with log_softmax's Jacobian."""
    return v - (jnp.exp(y) * v).sum(-1, keepdims=True)


def jacobian(y: jax.Array) -> jax.Array:
    """Softmax's."""
    return y[:, :, None] * (jnp.eye(y.shape[1]) - y[:, None, :])


def log_jacobian(y: jax.Array) -> jax.Array:
    """Log_softmax's."""
    return jnp.eye(y.shape[1]) - jnp.exp(y)[:, None, :] * jnp.ones((1, y.shape[1], 1))


FORMS: Mapping[str, Sequence[Form]] = {
    "softmax": (softmax, jax.nn.softmax, lambda x: jnp.exp(jax.nn.log_softmax(x))),
    "log_softmax": (log_softmax, jax.nn.log_softmax),
    "softmax_vjp": (factored, expanded),
    "softmax_jvp": (factored, expanded),
    "softmax_jacobian": (jacobian,),
    "log_softmax_vjp": (log_vjp,),
    "log_softmax_jvp": (log_jvp,),
    "log_softmax_jacobian": (log_jacobian,),
}


def rows_of(n: int, op: str) -> list[Row]:
    """Every kind of logits with every kind of vector, three times."""
    vectors = list(VECTORS) if OPS[op].vector else ["normal"]
    return [
        Row(logits, vector, (7 * i + j) % n, 10_000 * n + 1000 * seed + 50 * i + j)
        for seed in range(3)
        for i, logits in enumerate(LOGITS)
        for j, vector in enumerate(vectors)
    ]


def scaled_forms(op: str, scale: Any) -> Iterator[Form]:
    """The forms with the scale put on the logits, or on a product's result or vector."""
    for form in FORMS[op]:
        if is_forward(op):
            yield form  # of scaled logits
            continue
        yield lambda *given, form=form: form(*given) * scale
        if OPS[op].vector:
            yield lambda y, v, form=form: form(y, v * scale)


def is_forward(op: str) -> bool:
    """Whether it takes logits."""
    return OPS[op].forward == op


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("op", FORMS)
def test_what_xla_makes_of_the_textbook_is_honest(op: str, scale: float, dtype: str) -> None:
    """Whatever the row, also where probabilities are subnormal and vectors nearly overflow."""
    precision, size = PRECISIONS[dtype], np.dtype(dtype).type(scale)
    roles = ("x",) if is_forward(op) else ("y", *filter(None, (OPS[op].vector,)))
    for n in (2, 7, 10):
        rows = rows_of(n, op)
        inputs = make(rows, n, OPS[op], roles, precision, scale)
        sample = Sample(inputs, scale=scale, precision=precision, logarithmic=OPS[op].logarithmic)
        with np.errstate(all="ignore"), jax.enable_x64(dtype == "float64"):
            exact = reference.answer(OPS[op], sample)
            bound = OPS[op].bound(sample, exact[0])
            given = [
                jnp.asarray(inputs[role] * size if role == "x" else inputs[role]) for role in roles
            ]
            for number, form in enumerate(scaled_forms(op, size)):
                got = np.asarray(jax.jit(form)(*given), np.float64).reshape(sample.rows, -1)
                ratio = judge(reference.residual(got, exact), bound).ratio
                assert ratio.max() <= 1.0, (n, number, rows[ratio.argmax()])


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])  # float16 adds in float32
def test_scaled_vectors_do_not_overflow_when_they_are_added_up(dtype: str) -> None:
    """A kernel that puts the scale on its cotangents first is honest, too."""
    largest = PRECISIONS[dtype].largest
    for scale in SCALES:
        for n in (1, 2, 7):
            rows = [Row("normal", "huge", 0, key) for key in range(4000)]
            made = make(rows, n, OPS["log_softmax_vjp"], ("y", "dy"), PRECISIONS[dtype], scale)
            sums = np.abs(made["dy"].astype(np.float64)).sum(axis=1)
            assert (sums * max(scale, 1.0) <= largest).all()
