"""Callables that take JAX arrays alone."""

from __future__ import annotations

import time
from typing import Any

import jax


def with_jax(y: Any, dy: Any) -> Any:
    """The VJP, JAX arrays alone."""
    assert isinstance(y, jax.Array)
    return y * (dy - (y * dy).sum(-1, keepdims=True))


def needs_jax(x: Any) -> Any:
    """Softmax of what has JAX's `at`."""
    return jax.nn.softmax(x.at[0].add(0), axis=-1)


def jax_softmax(logits: Any) -> Any:
    """A forward function whose derivative JAX takes."""
    return jax.nn.softmax(logits, axis=-1)


@jax.custom_vjp
def jax_function(logits: Any) -> Any:
    """The same with a backward rule of its own, and no forward mode."""
    return jax.nn.softmax(logits, axis=-1)


def _forward(logits: Any) -> Any:
    y = jax.nn.softmax(logits, axis=-1)
    return y, y


def _backward(y: Any, dy: Any) -> Any:
    return (with_jax(y, dy),)


jax_function.defvjp(_forward, _backward)


@jax.jit
def slow_to_compile(y: Any, dy: Any) -> Any:
    """The VJP; JAX traces it for a second and a half, for ever at n = 7; it hangs at n = 5."""
    assert isinstance(y, jax.Array)
    while y.shape[-1] == 5:
        time.sleep(0.05)
    begin = time.monotonic()
    while y.shape[-1] == 7 or (y.shape[-1] > 3 and time.monotonic() < begin + 1.5):
        jax.eval_shape(jax.nn.softmax, jax.ShapeDtypeStruct(y.shape, y.dtype))
        jax.clear_caches()
    return with_jax(y, dy)


donates = jax.jit(lambda x: jax.nn.softmax(x, axis=-1), donate_argnums=0)
