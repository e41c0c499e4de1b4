"""A Pallas kernel, run by its interpreter, on rows padded to whole vectors."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl

LANES = 8


def kernel(x_ref, y_ref):
    x = x_ref[...]
    e = jnp.exp(x - x.max(axis=-1, keepdims=True))
    y_ref[...] = e / e.sum(axis=-1, keepdims=True)


@partial(jax.jit, static_argnames="filling")
def padded(x, filling):
    n = x.shape[-1]
    x = jnp.pad(x, ((0, 0), (0, -n % LANES)), constant_values=filling)
    call = pl.pallas_call(kernel, out_shape=jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)
    return call(x)[:, :n]


def softmax(x):
    return padded(x, -jnp.inf) if x.size else x


def softmax_zero_padded(x):
    """The mistake: padding with 0 lets the columns past the end into the sum."""
    return padded(x, 0.0) if x.size else x
