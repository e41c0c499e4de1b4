"""Right implementations in JAX and PyTorch: formulas, the libraries' own, and their derivatives."""

import jax
import jax.numpy as jnp


def jax_softmax(x):
    """jax.nn's own.

    @softmax | array jax | nonfinite strict
    """
    return jax.nn.softmax(x, axis=-1)


def jax_log_softmax(x):
    """jax.nn's own.

    @log_softmax | array jax | nonfinite strict
    """
    return jax.nn.log_softmax(x, axis=-1)


def jax_softmax_double(x):
    """jax.nn's own in float64.

    @softmax | array jax | dtype float64
    """
    return jax.nn.softmax(x, axis=-1)


def jax_softmax_formula(x):
    """The formula in jax.numpy.

    @softmax | array jax
    """
    e = jnp.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def jax_vjp_formula(y, dy):
    """The formula in jax.numpy, compiled.

    @softmax_vjp | array jax
    """
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def jax_softmax_vjp(x):
    """The VJP that JAX derives for its own softmax.

    @softmax_vjp | array jax | autodiff
    """
    return jax.nn.softmax(x, axis=-1)


def jax_softmax_jvp(x):
    """The JVP that JAX derives for its own softmax.

    @softmax_jvp | array jax | autodiff
    """
    return jax.nn.softmax(x, axis=-1)


def jax_max_detached(x):
    """The maximum detached, which changes nothing: its derivative cancels.

    @softmax_vjp | array jax | autodiff
    """
    e = jnp.exp(x - jax.lax.stop_gradient(x.max(axis=-1, keepdims=True)))
    return e / e.sum(axis=-1, keepdims=True)


def _through_maximum(x):
    """Softmax as people write it, nothing held constant."""
    e = jnp.exp(x - jnp.max(x, axis=-1, keepdims=True))
    return e / jnp.sum(e, axis=-1, keepdims=True)


def jax_vjp_through_maximum(x):
    """The maximum differentiated too: the rounding of a sum that is 0 lands on the largest.

    @softmax_vjp | array jax | autodiff
    """
    return _through_maximum(x)


def jax_jvp_through_maximum(x):
    """In forward mode the tangents are taken relative to that of the largest logit.

    @softmax_jvp | array jax | autodiff
    """
    return _through_maximum(x)


def jax_jacobian_through_maximum(x):
    """A Jacobian with a column that carries the roundings of its rows.

    @softmax_jacobian | array jax | autodiff
    """
    return _through_maximum(x)


def jax_log_vjp_through_maximum(x):
    """The same of a log_softmax written out.

    @log_softmax_vjp | array jax | autodiff
    """
    t = x - jnp.max(x, axis=-1, keepdims=True)
    return t - jnp.log(jnp.sum(jnp.exp(t), axis=-1, keepdims=True))


def jax_log_jvp_through_maximum(x):
    """The same in forward mode.

    @log_softmax_jvp | array jax | autodiff
    """
    return jax_log_vjp_through_maximum(x)


def jax_vjp_exp_of_log_softmax(x):
    """Reverse mode has two roundings of each probability here, and nothing is wrong with that.

    @softmax_vjp | array jax | autodiff
    """
    return jnp.exp(jax.nn.log_softmax(x, axis=-1))


def jax_jvp_exp_of_log_softmax(x):
    """The same in forward mode, where one of the two meets the difference.

    @softmax_jvp | array jax | autodiff
    """
    return jax_vjp_exp_of_log_softmax(x)


def jax_jacobian_exp_of_log_softmax(x):
    """The same, each row of the Jacobian in reverse.

    @softmax_jacobian | array jax | autodiff
    """
    return jax_vjp_exp_of_log_softmax(x)


@jax.custom_vjp
def jax_custom_vjp(x):
    """A custom VJP.

    @softmax_vjp | array jax | autodiff
    """
    return jax.nn.softmax(x, axis=-1)


jax_custom_vjp.defvjp(
    lambda x: (jax.nn.softmax(x, axis=-1),) * 2,
    lambda y, dy: (y * (dy - (y * dy).sum(axis=-1, keepdims=True)),),
)


def jax_log_softmax_vjp(x):
    """The VJP that JAX derives for its own log_softmax.

    @log_softmax_vjp | array jax | autodiff
    """
    return jax.nn.log_softmax(x, axis=-1)


def jax_log_softmax_jvp(x):
    """The JVP that JAX derives for its own log_softmax.

    @log_softmax_jvp | array jax | autodiff
    """
    return jax.nn.log_softmax(x, axis=-1)


def jax_softmax_jacobian(x):
    """The Jacobian that JAX derives for its own softmax.

    @softmax_jacobian | array jax | autodiff
    """
    return jax.nn.softmax(x, axis=-1)


def jax_log_softmax_jacobian(x):
    """The Jacobian that JAX derives for its own log_softmax.

    @log_softmax_jacobian | array jax | autodiff
    """
    return jax.nn.log_softmax(x, axis=-1)


def torch_softmax(x):
    """PyTorch's own.

    @softmax | array torch
    """
    import torch

    return torch.softmax(x, dim=-1)


def torch_log_softmax(x):
    """PyTorch's own.

    @log_softmax | array torch
    """
    import torch

    return torch.log_softmax(x, dim=-1)


def torch_softmax_vjp(x):
    """The VJP that PyTorch derives for its own softmax.

    @softmax_vjp | array torch | autodiff
    """
    import torch

    return torch.softmax(x, dim=-1)


def torch_backward_data(y, dy):
    """The kernel behind that VJP.

    @softmax_vjp | array torch
    """
    import torch

    return torch._softmax_backward_data(dy, y, -1, y.dtype)


def torch_log_softmax_vjp(x):
    """The VJP that PyTorch derives for its own log_softmax.

    @log_softmax_vjp | array torch | autodiff
    """
    import torch

    return torch.log_softmax(x, dim=-1)


@jax.custom_vjp
def jax_scaled_vjp(x, scale):
    """A custom VJP of scaled logits.

    @softmax_vjp | array jax | autodiff
    """
    return jax.nn.softmax(scale * x)


jax_scaled_vjp.defvjp(
    lambda x, scale: (jax.nn.softmax(scale * x), (jax.nn.softmax(scale * x), scale)),
    lambda kept, dy: (
        kept[1] * (kept[0] * (dy - (kept[0] * dy).sum(axis=-1, keepdims=True))),
        jnp.zeros_like(kept[1]),
    ),
)
