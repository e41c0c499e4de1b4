"""Softmax with a derivative rule of its own."""

import jax
import jax.numpy as jnp


def forward(x):
    e = jnp.exp(x - x.max(axis=-1, keepdims=True))
    y = e / e.sum(axis=-1, keepdims=True)
    return y, y


@jax.custom_vjp
def softmax(x):
    return forward(x)[0]


softmax.defvjp(forward, lambda y, dy: (y * (dy - (y * dy).sum(axis=-1, keepdims=True)),))


@jax.custom_vjp
def softmax_passing(x):
    return forward(x)[0]


# The mistake: the cotangent is passed through, as if the loss had the derivative in it.
softmax_passing.defvjp(forward, lambda y, dy: (dy,))
