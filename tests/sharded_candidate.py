"""The sharded functions as the oracle takes a candidate: whole rows in, split over 8 devices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

jax.config.update("jax_num_cpu_devices", 8)

from jax.sharding import AxisType  # noqa: E402 - devices are counted when JAX first looks
from jax.sharding import PartitionSpec as P  # noqa: E402

from softjac import sharded  # noqa: E402

Function = Callable[..., jax.Array]

MESH = jax.make_mesh((8,), ("classes",), axis_types=(AxisType.Auto,))


@partial(jax.jit, static_argnums=0)
def _on_devices(function: Function, *arrays: jax.Array) -> jax.Array:
    split = P(None, "classes")
    run = jax.shard_map(
        lambda *parts: function(*parts, "classes"), mesh=MESH, in_specs=split, out_specs=split
    )
    return run(*arrays)


def _call(function: Function, neutral: list[float], *arrays: jax.Array) -> jax.Array:
    """Call with neutral entries behind the row's: a share of equal length for each device."""
    n = arrays[0].shape[-1]
    width = max(8, 1 << (n - 1).bit_length())  # few lengths, as each is compiled
    padding = [(0, 0), (0, width - n)]
    padded = (
        jnp.pad(array, padding, constant_values=value)
        for array, value in zip(arrays, neutral, strict=True)
    )
    return _on_devices(function, *padded)[:, :n]


def softmax(x: jax.Array) -> jax.Array:
    """Probabilities."""
    return _call(sharded.softmax, [-jnp.inf], x)


def log_softmax(x: jax.Array) -> jax.Array:
    """Log-probabilities."""
    return _call(sharded.log_softmax, [-jnp.inf], x)


def softmax_vjp(y: jax.Array, dy: jax.Array) -> jax.Array:
    """The VJP of softmax, from the probabilities."""
    return _call(sharded.softmax_vjp, [0, 0], y, dy)


def log_softmax_vjp(y: jax.Array, dy: jax.Array) -> jax.Array:
    """The VJP of log_softmax, from the log-probabilities."""
    return _call(sharded.log_softmax_vjp, [-jnp.inf, 0], y, dy)


def log_softmax_jvp(y: jax.Array, x_dot: jax.Array) -> jax.Array:
    """The JVP of log_softmax, from the log-probabilities."""
    return _call(sharded.log_softmax_jvp, [-jnp.inf, 0], y, x_dot)
