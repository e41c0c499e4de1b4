"""Any activation with any loss: each a pure pair of value and pull-back.

The derivative of loss(activation(x), target) is the activation's pull-back of the loss's cotangent;
nothing else has to know which two were combined. softmax fits in like the rest, because a pull-back
is a whole vector's business, not an element's. Adding an activation or a loss is adding one pair of
functions.

A few pairs have a derivative of their own, accurate where the composition divides by what is near
0: softmax with cross-entropy is p Σt - t. `output_cotangent` takes it without being asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.special import xlogy

from softjac._classes import Classes
from softjac._derivatives import in_float32, softmax_vjp
from softjac._product import product
from softjac._softmax import log_softmax as _log_softmax
from softjac._softmax import softmax as _softmax
from softjac._types import Array

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "Activation",
    "Loss",
    "absolute_error",
    "cross_entropy",
    "gelu",
    "huber",
    "identity",
    "kullback_leibler",
    "leaky_relu",
    "log_softmax",
    "negative_log_likelihood",
    "output_cotangent",
    "output_loss",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "squared_error",
    "tanh",
]

Function = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Activation:
    """An activation: `value(x)`, and `pull_back(x, dy)`, the cotangent of x for that of the value.

    Arrays have shape `(..., n)`; one function of the last axis as a whole.

    Example:
        >>> import jax.numpy as jnp
        >>> square = Activation("square", lambda x: x**2, lambda x, dy: 2 * x * dy)
        >>> print(output_cotangent(square, squared_error)(jnp.array([3.0]), jnp.array([8.0])))
        [12.]
    """

    name: str
    value: Callable[[Array], Array]
    pull_back: Function


@dataclass(frozen=True)
class Loss:
    """A loss: `value(y, target)`, one number a row, and `pull_back(y, target)`, its cotangent of y.

    Arrays have shape `(..., n)`, the value `(...)`. The target is not differentiated.

    Example:
        >>> import jax.numpy as jnp
        >>> total = Loss("total", lambda y, _: jnp.sum(y, -1), lambda y, _: jnp.ones_like(y))
        >>> print(output_cotangent(relu, total)(jnp.array([3.0, -1.0]), jnp.zeros(2)))
        [1. 0.]
    """

    name: str
    value: Function
    pull_back: Function


def output_cotangent(activation: Activation, loss: Loss) -> Function:
    """Combine an activation with a loss: the derivative of the loss by the activation's input.

    dx = activation.pull_back(x, loss.pull_back(activation.value(x), target)), or the pair's own
    formula where it has one.

    Args:
        activation: one of `ACTIVATIONS`, or your own.
        loss: one of `LOSSES`, or your own.

    Returns:
        A function of (x, target), both `(..., n)`, that gives dx, shape of x.

    Numerics:
        As accurate as the two pull-backs; pairs with a formula of their own have no cancellation
        and no division, so saturated rows keep their tails.

    Example:
        >>> import jax.numpy as jnp
        >>> x, target = jnp.array([2.0, 0.0]), jnp.array([1.0, 0.0])
        >>> print(output_cotangent(softmax, squared_error)(x, target).round(4))
        [-0.0501  0.0501]

    References:
        C. M. Bishop, "Pattern Recognition and Machine Learning" (2006), sections 4.3.6 and 5.3: why
        an activation and its matching loss have the derivative p - t.
    """
    own = _PAIRS.get((activation, loss))
    return (
        own[1]
        if own
        else lambda x, target: activation.pull_back(x, loss.pull_back(activation.value(x), target))
    )


def output_loss(activation: Activation, loss: Loss) -> Function:
    """Combine an activation with a loss: the loss itself.

    Args:
        activation: one of `ACTIVATIONS`, or your own.
        loss: one of `LOSSES`, or your own.

    Returns:
        A function of (x, target), both `(..., n)`, that gives one number a row, shape `(...)`.

    Numerics:
        Pairs with a formula of their own take no logarithm of what may have become 0.

    Example:
        >>> import jax.numpy as jnp
        >>> x, target = jnp.array([-1000.0, 0.0]), jnp.array([1.0, 0.0])
        >>> print(output_loss(softmax, cross_entropy)(x, target))
        1000.0

    References:
        As `output_cotangent`.
    """
    own = _PAIRS.get((activation, loss))
    return own[0] if own else lambda x, target: loss.value(activation.value(x), target)


# --- activations ---------------------------------------------------------------------------------

identity = Activation("identity", lambda x: x, lambda _x, dy: dy)

relu = Activation("relu", lambda x: jnp.maximum(x, 0), lambda x, dy: jnp.where(x > 0, dy, 0))

_LEAK = 0.01
leaky_relu = Activation(
    "leaky_relu",
    lambda x: jnp.where(x >= 0, x, _LEAK * x),
    lambda x, dy: jnp.where(x >= 0, dy, _LEAK * dy),
)

sigmoid = Activation(
    "sigmoid", jax.nn.sigmoid, lambda x, dy: dy * jax.nn.sigmoid(x) * jax.nn.sigmoid(-x)
)


def _tanh_pull_back(x: Array, dy: Array) -> Array:
    """1 - tanh² is 4 q / (1 + q)² with q = exp(-2|x|), which does not cancel."""
    q = jnp.exp(-2 * jnp.abs(x))
    return dy * (4 * q / (1 + q) ** 2)


tanh = Activation("tanh", jnp.tanh, _tanh_pull_back)

softplus = Activation(
    "softplus", lambda x: jnp.logaddexp(x, 0), lambda x, dy: dy * jax.nn.sigmoid(x)
)


def _gelu(x: Array) -> Array:
    """The exact one: x times the normal distribution's Φ(x), by erfc, which keeps the tail."""
    return x * _normal_below(x)


def _gelu_pull_back(x: Array, dy: Array) -> Array:
    density = jnp.exp(-(x**2) / 2) * 0.3989422804014327  # 1 / sqrt(2 π)
    return dy * (_normal_below(x) + x * density)


def _normal_below(x: Array) -> Array:
    return jax.lax.erfc(-x * 0.7071067811865476) / 2  # 1 / sqrt(2)


gelu = Activation("gelu", _gelu, _gelu_pull_back)


def _softmax_pull_back(x: Array, dy: Array) -> Array:
    """With the probabilities as they are before they are rounded to sixteen bits."""
    return in_float32(lambda x, dy: softmax_vjp(_softmax(x), dy), x, dy)


softmax = Activation("softmax", _softmax, _softmax_pull_back)


def _log_softmax_pull_back(x: Array, dy: Array) -> Array:
    """dy - p Σ dy, with p from the logits: rounded log-probabilities would give less of it."""

    def formula(x: Array, dy: Array) -> Array:
        return product(_softmax(x), dy, kind="log_transposed", classes=Classes((x.ndim - 1,)))

    return in_float32(formula, x, dy)


log_softmax = Activation("log_softmax", _log_softmax, _log_softmax_pull_back)

ACTIVATIONS = (
    identity, relu, leaky_relu, sigmoid, tanh, softplus, gelu, softmax, log_softmax,
)  # fmt: skip

# --- losses --------------------------------------------------------------------------------------

squared_error = Loss(
    "squared_error",
    lambda y, target: jnp.sum((y - target) ** 2, -1),
    lambda y, target: 2 * (y - target),
)

absolute_error = Loss(
    "absolute_error",
    lambda y, target: jnp.sum(jnp.abs(y - target), -1),
    lambda y, target: jnp.sign(y - target),
)


def _huber(y: Array, target: Array) -> Array:
    """½ d² up to |d| = 1, |d| - ½ beyond."""
    size = jnp.abs(y - target)
    return jnp.sum(jnp.where(size <= 1, size**2 / 2, size - 0.5), -1)


huber = Loss("huber", _huber, lambda y, target: jnp.clip(y - target, -1, 1))

cross_entropy = Loss(
    "cross_entropy",
    lambda y, target: -jnp.sum(xlogy(target, y), -1),
    lambda y, target: jnp.where(target == 0, 0, -target / y),
)


def _times_log(target: Array, log_y: Array) -> Array:
    """target · log y, 0 where the target is 0, whatever the logarithm."""
    return jnp.where(target == 0, 0, target * log_y)


negative_log_likelihood = Loss(
    "negative_log_likelihood",
    lambda log_y, target: -jnp.sum(_times_log(target, log_y), -1),
    lambda _log_y, target: -target,
)

kullback_leibler = Loss(
    "kullback_leibler",
    lambda log_y, target: jnp.sum(xlogy(target, target) - _times_log(target, log_y), -1),
    lambda _log_y, target: -target,
)

LOSSES = (
    squared_error, absolute_error, huber, cross_entropy, negative_log_likelihood, kullback_leibler,
)  # fmt: skip

# --- pairs with a formula of their own -----------------------------------------------------------


def _softmax_cross_entropy(x: Array, target: Array) -> Array:
    return in_float32(
        lambda x, target: negative_log_likelihood.value(_log_softmax(x), target), x, target
    )


def _softmax_cross_entropy_cotangent(x: Array, target: Array) -> Array:
    """p Σt - t, and where p > 1/2 without the cancellation."""
    return _log_softmax_pull_back(x, -target)


def _sigmoid_cross_entropy(x: Array, target: Array) -> Array:
    return jnp.sum(target * jnp.logaddexp(-x, 0), -1)


def _sigmoid_cross_entropy_cotangent(x: Array, target: Array) -> Array:
    return -target * jax.nn.sigmoid(-x)


_PAIRS: dict[tuple[Activation, Loss], tuple[Function, Function]] = {
    (softmax, cross_entropy): (_softmax_cross_entropy, _softmax_cross_entropy_cotangent),
    (sigmoid, cross_entropy): (_sigmoid_cross_entropy, _sigmoid_cross_entropy_cotangent),
}
