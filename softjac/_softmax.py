"""softmax and log_softmax: values, and derivative rules that call the closed forms."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from softjac._classes import Classes
from softjac._derivatives import class_axes, in_float32
from softjac._errors import ArgumentError
from softjac._exponential import exponential
from softjac._product import product
from softjac._types import DTYPES, Array, ArrayLike, Axis

__all__ = ["log_softmax", "softmax"]


def softmax(
    x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None, scale: ArrayLike = 1.0
) -> Array:
    r"""Turn logits into probabilities.

    \( y_i = \exp(c x_i) / \sum_j \exp(c x_j) \), with c the scale.

    Args:
        x: logits, shape `(..., n)`; integers count as the default float.
        axis: the axis or axes that hold the classes; None for all.
        where: the entries that take part; the others get probability 0.
        scale: a number every logit is multiplied by (1/T for a temperature T).

    Returns:
        Probabilities, shape and dtype of x.

    Raises:
        ArgumentError: complex or boolean x, an axis outside x, a scale that is not one number, or
            a `where` that is not boolean.

    Numerics:
        Accurate relative to each y_i down to the smallest normal number, 0 below it: the rounding
        of x - max is carried along, and the sum rounds once for eight terms or more. Logits of
        -inf give 0. A NaN, an infinite maximum, and rows of -inf alone give NaN, as in
        `jax.nn.softmax`; rows that `where` masks whole give 0.

    Example:
        >>> softmax(jax.numpy.array([0.0, 0.0])).tolist()
        [0.5, 0.5]

    References:
        P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and
        softmax functions", IMA J. Numer. Anal. 41 (2021).
    """
    logits, mask, factor, classes = _arguments("softmax", x, axis, where, scale)
    y: Array = _softmax(logits, mask, factor, classes)
    return y


def log_softmax(
    x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None, scale: ArrayLike = 1.0
) -> Array:
    r"""Turn logits into log-probabilities.

    \( \ell_i = c x_i - \log \sum_j \exp(c x_j) \), with c the scale.

    Args:
        x: logits, shape `(..., n)`; integers count as the default float.
        axis: the axis or axes that hold the classes; None for all.
        where: the entries that take part; the others get -inf.
        scale: a number every logit is multiplied by (1/T for a temperature T).

    Returns:
        Log-probabilities, shape and dtype of x.

    Raises:
        ArgumentError: complex or boolean x, an axis outside x, a scale that is not one number, or
            a `where` that is not boolean.

    Numerics:
        Accurate relative to each entry, also where it is near 0: the largest term is left out of
        the sum and put back by log1p. Logits of -inf give -inf. A NaN, an infinite maximum, and
        rows of -inf alone give NaN, as in `jax.nn.log_softmax`;
        rows that `where` masks whole give -inf.

    Example:
        >>> print(log_softmax(jax.numpy.array([40.0, 0.0])))
        [-4.248354e-18 -4.000000e+01]

    References:
        P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and
        softmax functions", IMA J. Numer. Anal. 41 (2021).
    """
    logits, mask, factor, classes = _arguments("log_softmax", x, axis, where, scale)
    y: Array = _log_softmax(logits, mask, factor, classes)
    return y


# `scale` is None where it is 1, `where` None where nothing is masked.


@partial(jax.jit, static_argnames="classes")
def _softmax(x: Array, where: Array | None, scale: Array | None, classes: Classes) -> Array:
    return in_float32(partial(_probabilities, classes), x, where, scale)


@partial(jax.jit, static_argnames="classes")
def _log_softmax(x: Array, where: Array | None, scale: Array | None, classes: Classes) -> Array:
    return in_float32(partial(_log_probabilities, classes), x, where, scale)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _probabilities(classes: Classes, x: Array, where: Array | None, scale: Array | None) -> Array:
    terms = exponentials(*below_maximum(classes, x, where, scale))
    (total,) = classes.accurate_sum(lambda terms: (terms,), terms)
    y = terms * (1 / total)
    return y if where is None else jnp.where(where, y, 0)


@_probabilities.defjvp
def _probabilities_jvp(classes: Classes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    y = _probabilities(classes, *primals)
    t = _scaled_tangent(primals, tangents)
    return y, product(y, t, kind="softmax", classes=classes)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _log_probabilities(
    classes: Classes, x: Array, where: Array | None, scale: Array | None
) -> Array:
    logits = below_maximum(classes, x, where, scale)
    below, ties = classes.sum_in_pairs(others, *logits)
    log_y = _difference(*logits)[0] - jnp.log1p(below + jnp.maximum(ties - 1, 0))
    return log_y if where is None else jnp.where(where, log_y, -jnp.inf)


@_log_probabilities.defjvp
def _log_probabilities_jvp(classes: Classes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    where = primals[1]
    y = _probabilities(classes, *primals)
    t = _scaled_tangent(primals, tangents)
    tangent = product(y, t, kind="log", classes=classes)
    if where is not None:
        tangent = jnp.where(where, tangent, 0)
    return _log_probabilities(classes, *primals), tangent


def below_maximum(
    classes: Classes, x: Array, where: Array | None, scale: Array | None
) -> tuple[Array, ...]:
    """Logits, masked ones as -inf, with their maximum and, where it is not 1, the scale.

    The selection keeps XLA from writing the maximum out for every class.
    """
    if where is not None:
        x = jnp.where(where, x, -jnp.inf)
    if scale is None:
        maximum = classes.greatest(x)
        return x, _selected(maximum)
    shrink = jnp.where(jnp.abs(scale) < 1, 0.5, 1.0).astype(x.dtype)  # lest x - max overflow
    x, scale = _selected(x) * shrink, scale / shrink
    sign = jnp.where(scale < 0, -1, 1).astype(x.dtype)  # the least logit may be the greatest
    maximum = sign * classes.greatest(jnp.where(jnp.isneginf(x), x, sign * x))
    return x, _selected(maximum), jnp.reshape(scale, (1,) * x.ndim)


def _selected(x: Array) -> Array:
    # Computed twice, once fused into x - max and once rounded, a large product of the caller's
    # made NaN (jax#37234): XLA fuses no product through a selection.
    return jnp.where(x != 0, x, 0)


def exponentials(x: Array, maximum: Array, *scale: Array) -> Array:
    """exp(x - maximum), times the scale: its rounding error, magnified by exp, is carried along."""
    return exponential(*_difference(x, maximum, *scale))


@jax.jit  # traced once for all the parts of a sum
def others(x: Array, maximum: Array, *scale: Array) -> tuple[Array, Array]:
    """What is summed for a logarithm: the exponentials but the greatest, and how many are that."""
    difference = _selected(x) - maximum
    terms = jnp.where(difference == 0, 0, exponentials(x, maximum, *scale))
    # `abs(d) <= 0` instead of `== 0`: XLA would materialise a comparison shared by two sums.
    return terms, (jnp.abs(difference) <= 0).astype(x.dtype)


def _difference(x: Array, maximum: Array, *scale: Array) -> tuple[Array, Array]:
    """x - maximum, and what it lost by rounding (TwoSum); the scale multiplies both, not x."""
    x = _selected(x)
    difference = x - maximum
    virtual = difference - x
    error = (x - (difference - virtual)) - (maximum + virtual)
    for factor in scale:
        difference = jnp.where(jnp.isneginf(x), -jnp.inf, difference * factor)
        error = error * factor
    return difference, error


def _scaled_tangent(primals: Any, tangents: Any) -> Array:
    """The tangent of scale * x, up to a constant a row, and 0 at entries masked out."""
    x, where, scale = primals
    x_dot, _, scale_dot = tangents
    t: Array = x_dot
    if scale is not None:
        finite = jnp.where(jnp.isfinite(x), x, 0)
        t = scale * x_dot + scale_dot * finite
    return t if where is None else jnp.where(where, t, 0)


def _arguments(
    function: str, x: ArrayLike, axis: Axis, where: ArrayLike | None, scale: ArrayLike
) -> tuple[Array, Array | None, Array | None, Classes]:
    """The arguments, checked: a scale of 1 as None, and where the classes lie."""
    x = jnp.asarray(x)
    if jnp.issubdtype(x.dtype, jnp.integer):
        x = x.astype(jax.eval_shape(jnp.exp, x).dtype)
    if not jnp.issubdtype(x.dtype, jnp.floating) or x.dtype.name not in DTYPES:
        raise ArgumentError(
            f"{function}: x must be real numbers, integers or {', '.join(DTYPES)}, "
            f"not {x.dtype.name}"
        )
    if jnp.ndim(scale) != 0:
        raise ArgumentError(
            f"{function}: scale must be one number, not an array of shape {jnp.shape(scale)}; "
            "multiply the logits, or use jax.vmap"
        )
    if jnp.issubdtype(jnp.result_type(scale), jnp.complexfloating):
        raise ArgumentError(f"{function}: scale must be a real number")
    is_one = isinstance(scale, int | float) and scale == 1
    wide = jnp.promote_types(x.dtype, jnp.float32)
    factor = None if is_one else jnp.asarray(scale, wide)
    mask = None if where is None else jnp.asarray(where)
    if mask is not None:
        if mask.dtype != bool:
            raise ArgumentError(f"{function}: where must be boolean, not {mask.dtype.name}")
        try:
            x = jnp.broadcast_to(x, jnp.broadcast_shapes(x.shape, mask.shape))
        except ValueError as error:
            raise ArgumentError(
                f"{function}: where of shape {mask.shape} does not fit x of shape {x.shape}"
            ) from error
    return x, mask, factor, class_axes(function, x, axis)
