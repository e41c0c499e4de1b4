"""The class axis split over a mesh axis, for vocabularies too large for one device.

Each function is called inside `jax.shard_map`, where every device holds its share of the classes:
the last axis of the local arrays. They are the formulas of `softjac.softmax` and its derivatives
with each reduction finished across the devices, so tails are kept and centring is global. What
travels is a few numbers a row, however many classes: 2 collectives forward, 3 for a product, 1 for
the VJP of log_softmax; never the classes themselves.

Everything is on JAX's own runtime: collectives by XLA, derivatives of any order, both modes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from softjac import _derivatives, _softmax
from softjac._classes import Classes
from softjac._derivatives import in_float32
from softjac._errors import ArgumentError
from softjac._product import product
from softjac._types import Array, ArrayLike

__all__ = [
    "cross_entropy",
    "log_softmax",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "softmax",
    "softmax_jvp",
    "softmax_vjp",
]


def softmax(
    x: ArrayLike, mesh_axis: Hashable, where: ArrayLike | None = None, scale: ArrayLike = 1.0
) -> Array:
    """Turn logits into probabilities, the classes split over a mesh axis.

    Args:
        x: this device's logits, shape `(..., n / devices)`.
        mesh_axis: the name of the mesh axis, or a tuple of names.
        where: the entries that take part; the others get probability 0.
        scale: a number every logit is multiplied by.

    Returns:
        This device's probabilities, shape and dtype of x.

    Raises:
        ArgumentError: as `softjac.softmax`, or x has no axis.

    Numerics:
        As `softjac.softmax`; the sum has one more rounding a device.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> split = jax.shard_map(
        ...     lambda x: softmax(x, "classes"),
        ...     mesh=mesh, in_specs=P(None, "classes"), out_specs=P(None, "classes"))
        >>> print(jax.jit(split)(jax.numpy.zeros((1, 4))))
        [[0.25 0.25 0.25 0.25]]

    References:
        Formulas: `softjac.softmax`.
    """
    logits, mask, factor, classes = _arguments("softmax", x, mesh_axis, where, scale)
    return in_float32(partial(_softmax._probabilities, classes), logits, mask, factor)


def log_softmax(
    x: ArrayLike, mesh_axis: Hashable, where: ArrayLike | None = None, scale: ArrayLike = 1.0
) -> Array:
    """Turn logits into log-probabilities, the classes split over a mesh axis.

    Args:
        x: this device's logits, shape `(..., n / devices)`.
        mesh_axis: the name of the mesh axis, or a tuple of names.
        where: the entries that take part; the others get -inf.
        scale: a number every logit is multiplied by.

    Returns:
        This device's log-probabilities, shape and dtype of x.

    Raises:
        ArgumentError: as `softjac.log_softmax`, or x has no axis.

    Numerics:
        As `softjac.log_softmax`; the sum has one more rounding a device.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> split = jax.shard_map(
        ...     lambda x: log_softmax(x, "classes"),
        ...     mesh=mesh, in_specs=P(None, "classes"), out_specs=P(None, "classes"))
        >>> print(jax.jit(split)(jax.numpy.array([[40.0, 0.0]])))
        [[-4.248354e-18 -4.000000e+01]]

    References:
        Formulas: `softjac.log_softmax`.
    """
    logits, mask, factor, classes = _arguments("log_softmax", x, mesh_axis, where, scale)
    return in_float32(partial(_softmax._log_probabilities, classes), logits, mask, factor)


def softmax_vjp(y: ArrayLike, dy: ArrayLike, mesh_axis: Hashable) -> Array:
    """Pull a cotangent back through softmax, the classes split over a mesh axis.

    Args:
        y: this device's probabilities, shape `(..., n / devices)`.
        dy: this device's cotangent, the same shape.
        mesh_axis: the name of the mesh axis, or a tuple of names.

    Returns:
        This device's cotangent of the logits, shape of y.

    Raises:
        ArgumentError: as `softjac.softmax_vjp`.

    Numerics:
        As `softjac.softmax_vjp`, the mean and what is centred on being those of the whole row.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> split = jax.shard_map(
        ...     lambda y, dy: softmax_vjp(y, dy, "classes"),
        ...     mesh=mesh, in_specs=P(None, "classes"), out_specs=P(None, "classes"))
        >>> print(jax.jit(split)(jax.numpy.array([[0.25, 0.75]]), jax.numpy.array([[1.0, 0.0]])))
        [[ 0.1875 -0.1875]]

    References:
        Formulas: `softjac.softmax_vjp`.
    """
    return _product("softmax_vjp", _derivatives.softmax_product, y, dy, "dy", mesh_axis)


def softmax_jvp(y: ArrayLike, x_dot: ArrayLike, mesh_axis: Hashable) -> Array:
    """Push a tangent forward through softmax, the classes split over a mesh axis.

    Args:
        y: this device's probabilities, shape `(..., n / devices)`.
        x_dot: this device's tangent of the logits, the same shape.
        mesh_axis: the name of the mesh axis, or a tuple of names.

    Returns:
        This device's tangent of the probabilities, shape of y.

    Raises:
        ArgumentError: as `softjac.softmax_jvp`.

    Numerics:
        As `softmax_vjp`.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> split = jax.shard_map(
        ...     lambda y, x_dot: softmax_jvp(y, x_dot, "classes"),
        ...     mesh=mesh, in_specs=P(None, "classes"), out_specs=P(None, "classes"))
        >>> print(jax.jit(split)(jax.numpy.array([[0.25, 0.75]]), jax.numpy.array([[1.0, 0.0]])))
        [[ 0.1875 -0.1875]]

    References:
        Formulas: `softjac.softmax_jvp`.
    """
    return _product("softmax_jvp", _derivatives.softmax_product, y, x_dot, "x_dot", mesh_axis)


def log_softmax_vjp(y: ArrayLike, dy: ArrayLike, mesh_axis: Hashable) -> Array:
    """Pull a cotangent back through log_softmax, the classes split over a mesh axis.

    Args:
        y: this device's log-probabilities, shape `(..., n / devices)`.
        dy: this device's cotangent, the same shape.
        mesh_axis: the name of the mesh axis, or a tuple of names.

    Returns:
        This device's cotangent of the logits, shape of y.

    Raises:
        ArgumentError: as `softjac.log_softmax_vjp`.

    Numerics:
        As `softjac.log_softmax_vjp`.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> split = jax.shard_map(
        ...     lambda y, dy: log_softmax_vjp(y, dy, "classes"),
        ...     mesh=mesh, in_specs=P(None, "classes"), out_specs=P(None, "classes"))
        >>> print(jax.jit(split)(jax.numpy.log(jax.numpy.full((1, 2), 0.5)), jax.numpy.eye(1, 2)))
        [[ 0.5 -0.5]]

    References:
        Formulas: `softjac.log_softmax_vjp`.
    """
    formula = _derivatives.log_softmax_pull_back
    return _product("log_softmax_vjp", formula, y, dy, "dy", mesh_axis)


def log_softmax_jvp(y: ArrayLike, x_dot: ArrayLike, mesh_axis: Hashable) -> Array:
    """Push a tangent forward through log_softmax, the classes split over a mesh axis.

    Args:
        y: this device's log-probabilities, shape `(..., n / devices)`.
        x_dot: this device's tangent of the logits, the same shape.
        mesh_axis: the name of the mesh axis, or a tuple of names.

    Returns:
        This device's tangent of the log-probabilities, shape of y.

    Raises:
        ArgumentError: as `softjac.log_softmax_jvp`.

    Numerics:
        As `softjac.log_softmax_jvp`.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> split = jax.shard_map(
        ...     lambda y, x_dot: log_softmax_jvp(y, x_dot, "classes"),
        ...     mesh=mesh, in_specs=P(None, "classes"), out_specs=P(None, "classes"))
        >>> print(jax.jit(split)(jax.numpy.log(jax.numpy.full((1, 2), 0.5)), jax.numpy.eye(1, 2)))
        [[ 0.5 -0.5]]

    References:
        Formulas: `softjac.log_softmax_jvp`.
    """
    formula = _derivatives.log_softmax_push_forward
    return _product("log_softmax_jvp", formula, y, x_dot, "x_dot", mesh_axis)


def cross_entropy(x: ArrayLike, target: ArrayLike, mesh_axis: Hashable) -> Array:
    """Take the softmax cross-entropy, the classes split over a mesh axis.

    -Σ t_i log softmax(x)_i, with the derivative p Σt - t by the logits.

    Args:
        x: this device's logits, shape `(..., n / devices)`.
        target: this device's target probabilities, shape of x; or the whole rows' labels,
            integers in [0, n), shape `(...)`. A label outside gives NaN, loss and derivative.
        mesh_axis: the name of the mesh axis, or a tuple of names.

    Returns:
        One number a row, the same on every device, shape `(...)`, dtype of x.

    Raises:
        ArgumentError: the target has neither shape, or x no axis.

    Numerics:
        Relative to itself, however near to 0; its derivative keeps the tails too.

    Example:
        >>> import jax
        >>> from jax.sharding import PartitionSpec as P
        >>> mesh = jax.make_mesh((1,), ("classes",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> split = jax.shard_map(
        ...     lambda x, t: cross_entropy(x, t, "classes"),
        ...     mesh=mesh, in_specs=P(None, "classes"), out_specs=P(None))
        >>> print(jax.jit(split)(jax.numpy.array([[0.0, 1000.0]]), jax.numpy.array([[1.0, 0.0]])))
        [1000.]

    References:
        M. Shoeybi et al., "Megatron-LM: training multi-billion parameter language models using
        model parallelism" (2019): the loss of a split vocabulary exchanges numbers a row.
    """
    logits, _, _, classes = _arguments("cross_entropy", x, mesh_axis, None, 1.0)
    target = jnp.asarray(target)
    if jnp.issubdtype(target.dtype, jnp.integer) and target.shape == logits.shape[:-1]:
        n = logits.shape[-1]
        places = lax.axis_index(mesh_axis) * n + jnp.arange(n)
        is_class = ((target >= 0) & (target < n * lax.axis_size(mesh_axis)))[..., None]
        chosen = (target[..., None] == places).astype(logits.dtype)
        target = jnp.where(is_class, chosen, jnp.nan)
    if target.shape != logits.shape:
        raise ArgumentError(
            f"cross_entropy: target must have the shape of x, {logits.shape}, or be integers of "
            f"shape {logits.shape[:-1]}; not {target.dtype.name} of shape {target.shape}"
        )
    target = target.astype(logits.dtype)
    return in_float32(partial(_cross_entropy, classes), logits, target)[..., 0]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _cross_entropy(classes: Classes, x: Array, target: Array) -> Array:
    """Σ t (max - x) + Σ t log1p(Σ others), the classes kept with length 1."""
    x, maximum = _softmax.below_maximum(classes, x, None, None)

    def terms(x: Array, maximum: Array, target: Array) -> tuple[Array, ...]:
        linear = jnp.where(target == 0, 0, target * (maximum - x))
        return *_softmax.others(x, maximum), linear, target

    below, ties, linear, total = classes.sum_in_pairs(terms, x, maximum, target)
    return linear + total * jnp.log1p(below + jnp.maximum(ties - 1, 0))


@_cross_entropy.defjvp
def _cross_entropy_jvp(classes: Classes, primals: Any, tangents: Any) -> tuple[Array, Array]:
    """The gradient by the logits is the pull-back of -t; by the target it is -log y."""
    (x, target), (x_dot, target_dot) = primals, tangents
    y = _softmax._probabilities(classes, x, None, None)
    gradient = product(y, -target, kind="log_transposed", classes=classes)
    log_y = _softmax._log_probabilities(classes, x, None, None)
    by_target = jnp.where(jnp.isneginf(log_y), 0, log_y) * target_dot
    (tangent,) = classes.sum(gradient * x_dot - by_target)
    return _cross_entropy(classes, x, target), tangent


def _split(function: str, x: Array, mesh_axis: Hashable) -> Classes:
    """The last axis, and the mesh's."""
    if x.ndim == 0:
        raise ArgumentError(f"{function}: an array without axes has no classes to split")
    return Classes((x.ndim - 1,), mesh_axis)


def _arguments(
    function: str, x: ArrayLike, mesh_axis: Hashable, where: ArrayLike | None, scale: ArrayLike
) -> tuple[Array, Array | None, Array | None, Classes]:
    """The forward functions' arguments, checked."""
    logits, mask, factor, _ = _softmax._arguments(f"sharded.{function}", x, None, where, scale)
    return logits, mask, factor, _split(f"sharded.{function}", logits, mesh_axis)


def _product(
    function: str,
    formula: Callable[..., Array],
    y: ArrayLike,
    t: ArrayLike,
    name: str,
    mesh_axis: Hashable,
) -> Array:
    """A product, its arguments checked."""
    result, vector, _ = _derivatives._operands(f"sharded.{function}", y, t, name, None)
    classes = _split(f"sharded.{function}", result, mesh_axis)
    return in_float32(formula, result, vector, classes)
