"""What the primitives mean: their formulas in pure JAX, for other platforms than CPUs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from softjac import _derivatives, _softmax

__all__ = [
    "entropy",
    "jacobian",
    "log_jacobian",
    "log_jvp",
    "log_softmax",
    "log_vjp",
    "product",
    "product_from_logits",
    "rounded_once",
    "scaled",
    "softmax",
]


def rounded_once(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula that computes 16-bit arrays in float32, factor and all, as the kernels do."""
    return lambda *operands, **parameters: _derivatives.in_float32(
        partial(formula, **parameters), *operands
    )


def product(y: Any, t: Any, *, scale: float) -> Any:
    """The product with softmax's Jacobian."""
    return scaled(_derivatives.softmax_vjp(y, t), scale)


def product_from_logits(x: Any, t: Any, *, scale: float) -> Any:
    """The same from logits."""
    return product(_softmax.softmax(x, scale=scale), t, scale=scale)


def log_vjp(y: Any, t: Any, *, scale: float) -> Any:
    """The VJP of log_softmax."""
    return scaled(_derivatives.log_softmax_vjp(y, t), scale)


def log_jvp(y: Any, t: Any, *, scale: float) -> Any:
    """The JVP of log_softmax."""
    return scaled(_derivatives.log_softmax_jvp(y, t), scale)


def jacobian(y: Any, *, scale: float) -> Any:
    """The Jacobian of softmax."""
    return scaled(_derivatives.softmax_jacobian(y), scale)


def log_jacobian(y: Any, *, scale: float) -> Any:
    """The Jacobian of log_softmax."""
    return scaled(_derivatives.log_softmax_jacobian(y), scale)


def scaled(value: Any, scale: float) -> Any:
    """A value times the scale, in its own dtype."""
    return value if scale == 1.0 else value * jnp.asarray(scale, value.dtype)


def entropy(x: Any, target: Any, *, scale: float, derivative: bool) -> list[Any]:
    """The loss, and its derivative by the logits where that is wanted.

    A label that is no class makes both NaN, in the kernel as well.
    """
    log_y = _softmax.log_softmax(x, scale=scale)
    if jnp.issubdtype(target.dtype, jnp.integer):
        n = x.shape[-1]
        is_class = ((target >= 0) & (target < n))[..., None]
        target = jnp.where(is_class, jax.nn.one_hot(target, n, dtype=x.dtype), jnp.nan)
    terms = jnp.where(target == 0, 0, -target * log_y)
    dx = [scaled(-_derivatives.log_softmax_vjp(log_y, target), scale)] if derivative else []
    return [jnp.sum(terms, -1), *dx]


def softmax(x: Any, *, scale: float) -> Any:
    """Probabilities."""
    return _softmax.softmax(x, scale=scale)


def log_softmax(x: Any, *, scale: float) -> Any:
    """Log-probabilities."""
    return _softmax.log_softmax(x, scale=scale)
