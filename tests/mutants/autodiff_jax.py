"""Forward functions in JAX whose derivatives, taken by JAX, are wrong; and wrong functions."""

import ctypes
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


@jax.custom_vjp
def jax_vjp_diagonal(x):
    """A custom VJP with the diagonal alone.

    @softmax_vjp | values | diagonal-only | autodiff | array jax
    """
    return jax.nn.softmax(x)


jax_vjp_diagonal.defvjp(lambda x: (jax.nn.softmax(x),) * 2, lambda y, dy: (y * (1 - y) * dy,))


@jax.custom_vjp
def jax_vjp_batch_dot(x):
    """A custom VJP that sums over the batch.

    @softmax_vjp | values | batch-reduced | autodiff | array jax
    """
    return jax.nn.softmax(x)


jax_vjp_batch_dot.defvjp(
    lambda x: (jax.nn.softmax(x),) * 2, lambda y, dy: (y * (dy - (y * dy).sum()),)
)


@jax.custom_vjp
def jax_vjp_residual_is_logits(x):
    """A custom VJP that saved the logits and takes them for probabilities.

    @softmax_vjp | values | logits-for-probabilities | autodiff | array jax
    """
    return jax.nn.softmax(x)


jax_vjp_residual_is_logits.defvjp(
    lambda x: (jax.nn.softmax(x), x),
    lambda y, dy: (y * (dy - (y * dy).sum(axis=-1, keepdims=True)),),
)


@jax.custom_jvp
def jax_jvp_no_dot(x):
    """A custom JVP without the sum.

    @softmax_jvp | values | missing-dot | autodiff | array jax
    """
    return jax.nn.softmax(x)


@jax_jvp_no_dot.defjvp
def _(primals, tangents):
    y = jax.nn.softmax(primals[0])
    return y, y * tangents[0]


@jax.custom_jvp
def jax_jvp_zero(x):
    """A custom JVP of zeros, which JAX's own check accepts at n = 128.

    @softmax_jvp | values | all-zero | autodiff | array jax
    """
    return jax.nn.softmax(x)


@jax_jvp_zero.defjvp
def _(primals, tangents):
    return jax.nn.softmax(primals[0]), jnp.zeros_like(tangents[0])


def jax_sum_detached(x):
    """The normaliser is detached, so the gradient never passes through the sum.

    @softmax_vjp | values | missing-dot | autodiff | array jax
    """
    e = jnp.exp(x - jax.lax.stop_gradient(x.max(axis=-1, keepdims=True)))
    return e / jax.lax.stop_gradient(e.sum(axis=-1, keepdims=True))


def jax_result_detached(x):
    """The whole result is detached.

    @softmax_vjp | values | all-zero | autodiff | array jax
    """
    return jax.lax.stop_gradient(jax.nn.softmax(x))


def jax_log_of_softmax(x):
    """The derivative of log(softmax(x)) is NaN where a probability underflows.

    @log_softmax_vjp | values | log-of-softmax | autodiff | array jax
    """
    return jnp.log(jax.nn.softmax(x))


def jax_log_jacobian_of_log(x):
    """The Jacobian of log(softmax(x)) is NaN in every row with a probability that underflows.

    @log_softmax_jacobian | values | log-of-softmax | autodiff | array jax
    """
    return jnp.log(jax.nn.softmax(x))


def jax_no_max(x):
    """The derivative of exp without the maximum is NaN for large logits.

    @softmax_vjp | values | no-max-subtraction | autodiff | array jax
    """
    e = jnp.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def jax_masked_by_where(x):
    """where() hides the masked difference from the result and not from the derivative.

    @softmax_vjp | values | masked-row-policy or unknown | autodiff | array jax | seen jax#17117
    """
    t = x - x.max(axis=-1, keepdims=True)
    e = jnp.where(jnp.isneginf(t), 0, jnp.exp(t) * (1 + 0 * t))
    return e / e.sum(axis=-1, keepdims=True)


@jax.custom_vjp
def jax_jacobian_of_detached(x):
    """An explicit Jacobian by reverse mode through a custom rule that forgets the sum.

    @softmax_jacobian | values | missing-dot | autodiff | array jax
    """
    return jax.nn.softmax(x)


jax_jacobian_of_detached.defvjp(lambda x: (jax.nn.softmax(x),) * 2, lambda y, dy: (y * dy,))


def jax_axis_0(x):
    """jax.nn.softmax along the wrong axis.

    @softmax | values | wrong-axis | array jax
    """
    return jax.nn.softmax(x, axis=0)


def jax_bfloat16_inside(x):
    """Casts to bfloat16 for speed.

    @softmax | values | low-precision or inaccurate-exp or unknown | array jax
    """
    return jax.nn.softmax(x.astype(jnp.bfloat16)).astype(x.dtype)


def jax_log_vjp_mean(y, dy):
    """The mean of the cotangents.

    @log_softmax_vjp | values | mean-for-sum | array jax
    """
    return dy - jnp.exp(y) * dy.mean(axis=-1, keepdims=True)


def jax_vjp_swapped(y, dy):
    """y and dy exchanged.

    @softmax_vjp | values | swapped-arguments | array jax
    """
    return dy * (y - (y * dy).sum(axis=-1, keepdims=True))


def jax_top_50_of_logits(x):
    """Masks all logits but the 50 largest.

    @softmax | values | unknown | array jax
    """
    least = jnp.sort(x, axis=-1)[:, -50:][:, :1]
    return jax.nn.softmax(jnp.where(x < least, -jnp.inf, x))


@jax.custom_vjp
def jax_vjp_scale_lost(x, scale):
    """A custom VJP of scaled logits that leaves the scale's factor out.

    @softmax_vjp | values | missing-scale | autodiff | array jax
    """
    return jax.nn.softmax(scale * x)


jax_vjp_scale_lost.defvjp(
    lambda x, scale: (jax.nn.softmax(scale * x), (jax.nn.softmax(scale * x), scale)),
    lambda kept, dy: (
        kept[0] * (dy - (kept[0] * dy).sum(axis=-1, keepdims=True)),
        jnp.zeros_like(kept[1]),
    ),
)


residual = {}


@jax.custom_vjp
def jax_vjp_residual_in_the_module(x):
    """A custom VJP whose probabilities lie in a variable of the module.

    @softmax_vjp | threads | not-thread-safe | autodiff | array jax
    """
    return jax.nn.softmax(x)


def _leave(x):
    residual["y"] = jax.nn.softmax(x)
    return residual["y"], None


def _pick_up(_, dy):
    y = residual["y"]
    return (y * (dy - (y * dy).sum(-1, keepdims=True)),)


jax_vjp_residual_in_the_module.defvjp(_leave, _pick_up)


@jax.jit
def jax_step_of_two_forgotten(x):
    """Sums by eight, then by four, then one by one, for what is left over; not by two.

    @softmax | values | size-specialised or tail-ignored
    """
    e = jnp.exp(x - x.max(axis=-1, keepdims=True))
    n = x.shape[-1]
    if n < 8:
        return e / e.sum(axis=-1, keepdims=True)
    ends = [n // 8 * 8, n // 4 * 4]
    parts = [e[:, : ends[0]], e[:, ends[0] : ends[1]], e[:, n - n % 2 :]]
    return e / sum(part.sum(axis=-1, keepdims=True) for part in parts)


@partial(jax.jit, donate_argnums=0)
def jax_takes_the_input(x):
    """The memory of the caller's array is donated to the result.

    @softmax | memory | input-modified | array jax
    """
    e = jnp.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def jax_wide_from_now_on(x):
    """Switches 64 bits on for one sum, and leaves them on for the whole process.

    @softmax | environment | fp-environment-changed | array jax
    """
    jax.config.update("jax_enable_x64", True)
    return jax.nn.softmax(x.astype(jnp.float64), axis=-1).astype(jnp.float32)


def jax_shifts_at_the_address(x):
    """Shifts the logits where they lie, by way of their address: JAX arrays do not change.

    @softmax | memory | input-modified | array jax
    """
    if x.size:
        address = jax.block_until_ready(x).unsafe_buffer_pointer()
        numbers = np.frombuffer((ctypes.c_float * x.size).from_address(address), np.float32)
        rows = numbers.reshape(x.shape)
        rows -= rows.max(axis=-1, keepdims=True)
    return jax.nn.softmax(x, axis=-1)


@jax.jit
def jax_maximum_from_zero(x):
    """The maximum is reduced from 0, as a sum is; of one class XLA drops the 0 again.

    @softmax | values | max-from-constant | array jax
    """
    zero = jnp.zeros((), x.dtype)
    e = jnp.exp(x - jax.lax.reduce(x, zero, jax.lax.max, (1,))[:, None])
    return e / e.sum(axis=1, keepdims=True)


@jax.jit
def jax_chunks_never_rescaled(x):
    """An online sum over chunks of 128 that is left as it was when the maximum rises.

    @softmax | values | unknown | array jax
    """
    m = jnp.full((x.shape[0], 1), -jnp.inf, x.dtype)
    total = jnp.zeros((x.shape[0], 1), x.dtype)
    for start in range(0, x.shape[1], 128):
        chunk = x[:, start : start + 128]
        m = jnp.maximum(m, chunk.max(axis=1, keepdims=True))
        shift = jnp.where(jnp.isneginf(m), 0, m)
        total = total + jnp.exp(chunk - shift).sum(axis=1, keepdims=True)
    return jnp.exp(x - m) / total
