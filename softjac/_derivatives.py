"""The derivatives of softmax and log_softmax in closed form, from the result."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from softjac._classes import Classes
from softjac._errors import ArgumentError
from softjac._product import dominant, product
from softjac._types import Array, ArrayLike, Axis

__all__ = [
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
]

Result = TypeVar("Result")


def softmax_vjp(y: ArrayLike, dy: ArrayLike, axis: Axis = -1) -> Array:
    """Pull a cotangent back through softmax.

    dx_i = y_i (dy_i - Σ_j y_j dy_j), computed as y_i (e_i - Σ_j y_j e_j) with e = dy - c.

    Args:
        y: probabilities, a result of softmax, shape `(..., n)`.
        dy: cotangent of y, the same shape.
        axis: the axis or axes that hold the classes; None for all.

    Returns:
        Cotangent of the logits, shape of y, in the dtype y and dy promote to.

    Raises:
        ArgumentError: the shapes differ, or a dtype is not floating-point.

    Numerics:
        Accurate in every component, in units of y_i (|dy_i - s| + Σ_j y_j |dy_j - s|) with
        s = Σ_j y_j dy_j, so also where one probability is near 1 and where dy has a large offset.
        The rows of y must sum to 1 but for rounding. Entries with y = 0 and finite dy give 0.

    Example:
        >>> import jax.numpy as jnp
        >>> softmax_vjp(jnp.array([0.25, 0.75]), jnp.array([1.0, 0.0])).tolist()
        [0.1875, -0.1875]

    References:
        J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs",
        in Neurocomputing (1990), for the derivative.
        T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance",
        The American Statistician 37 (1983), for what is gained by centring first.
    """
    y, dy, classes = _operands("softmax_vjp", y, dy, "dy", axis)
    return in_float32(softmax_product, y, dy, classes)


def softmax_jvp(y: ArrayLike, x_dot: ArrayLike, axis: Axis = -1) -> Array:
    """Push a tangent forward through softmax.

    y_dot_i = y_i (x_dot_i - Σ_j y_j x_dot_j): the Jacobian is symmetric, so this is the VJP too.

    Args:
        y: probabilities, a result of softmax, shape `(..., n)`.
        x_dot: tangent of the logits, the same shape.
        axis: the axis or axes that hold the classes; None for all.

    Returns:
        Tangent of y, shape of y, in the dtype y and x_dot promote to.

    Raises:
        ArgumentError: the shapes differ, or a dtype is not floating-point.

    Numerics:
        As `softmax_vjp`.

    Example:
        >>> import jax.numpy as jnp
        >>> softmax_jvp(jnp.array([0.25, 0.75]), jnp.array([1.0, 0.0])).tolist()
        [0.1875, -0.1875]

    References:
        As `softmax_vjp`.
    """
    y, x_dot, classes = _operands("softmax_jvp", y, x_dot, "x_dot", axis)
    return in_float32(softmax_product, y, x_dot, classes)


def softmax_jacobian(y: ArrayLike) -> Array:
    """Write the Jacobian of softmax out.

    J_ij = y_i (δ_ij - y_j).

    Args:
        y: probabilities, a result of softmax, shape `(..., n)`.

    Returns:
        ∂y_i/∂x_j, shape `(..., n, n)`, dtype of y.

    Raises:
        ArgumentError: y has no axis, or its dtype is not floating-point.

    Numerics:
        Accurate in every element: where y_k dominates the diagonal is y_k Σ_{j≠k} y_j, which keeps
        what 1 - y_k loses.

    Example:
        >>> import jax.numpy as jnp
        >>> softmax_jacobian(jnp.array([0.25, 0.75])).tolist()
        [[0.1875, -0.1875], [-0.1875, 0.1875]]

    References:
        J. S. Bridle, "Probabilistic interpretation of feedforward classification network outputs",
        in Neurocomputing (1990), for the derivative.
    """
    (y,) = _floats("softmax_jacobian", y=y)
    return in_float32(_jacobian, y, class_axes("softmax_jacobian", y, -1))


def log_softmax_vjp(y: ArrayLike, dy: ArrayLike, axis: Axis = -1) -> Array:
    """Pull a cotangent back through log_softmax.

    dx_i = dy_i - exp(y_i) Σ_j dy_j, and -expm1(y_k) dy_k - exp(y_k) Σ_{j≠k} dy_j in the class that
    dominates, with more than half of the probability.

    Args:
        y: log-probabilities, a result of log_softmax, shape `(..., n)`.
        dy: cotangent of y, the same shape.
        axis: the axis or axes that hold the classes; None for all.

    Returns:
        Cotangent of the logits, shape of y, in the dtype y and dy promote to.

    Raises:
        ArgumentError: the shapes differ, or a dtype is not floating-point.

    Numerics:
        Accurate in every component, in units of |δ_ij - exp(y_i)| |dy_j| summed over j. Where y is
        -inf, dx = dy.

    Example:
        >>> import jax.numpy as jnp
        >>> y = jnp.log(jnp.array([0.5, 0.5]))
        >>> log_softmax_vjp(y, jnp.array([1.0, 0.0])).tolist()
        [0.5, -0.5]

    References:
        S. Boyd and L. Vandenberghe, "Convex Optimization" (2004), section 3.1.5: the gradient of
        log-sum-exp is softmax.
    """
    y, dy, classes = _operands("log_softmax_vjp", y, dy, "dy", axis)
    return in_float32(log_softmax_pull_back, y, dy, classes)


def log_softmax_jvp(y: ArrayLike, x_dot: ArrayLike, axis: Axis = -1) -> Array:
    """Push a tangent forward through log_softmax.

    y_dot_i = x_dot_i - Σ_j exp(y_j) x_dot_j, computed as e_i - Σ_j exp(y_j) e_j with e = x_dot - c.

    Args:
        y: log-probabilities, a result of log_softmax, shape `(..., n)`.
        x_dot: tangent of the logits, the same shape.
        axis: the axis or axes that hold the classes; None for all.

    Returns:
        Tangent of y, shape of y, in the dtype y and x_dot promote to.

    Raises:
        ArgumentError: the shapes differ, or a dtype is not floating-point.

    Numerics:
        Accurate in every component, in units of |x_dot_i - s| + Σ_j exp(y_j) |x_dot_j - s| with
        s = Σ_j exp(y_j) x_dot_j.

    Example:
        >>> import jax.numpy as jnp
        >>> y = jnp.log(jnp.array([0.5, 0.5]))
        >>> log_softmax_jvp(y, jnp.array([1.0, 0.0])).tolist()
        [0.5, -0.5]

    References:
        S. Boyd and L. Vandenberghe, "Convex Optimization" (2004), section 3.1.5: the gradient of
        log-sum-exp is softmax.
        T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the sample variance",
        The American Statistician 37 (1983), for what is gained by centring first.
    """
    y, x_dot, classes = _operands("log_softmax_jvp", y, x_dot, "x_dot", axis)
    return in_float32(log_softmax_push_forward, y, x_dot, classes)


def log_softmax_jacobian(y: ArrayLike) -> Array:
    """Write the Jacobian of log_softmax out.

    J_ij = δ_ij - exp(y_j).

    Args:
        y: log-probabilities, a result of log_softmax, shape `(..., n)`.

    Returns:
        ∂y_i/∂x_j, shape `(..., n, n)`, dtype of y.

    Raises:
        ArgumentError: y has no axis, or its dtype is not floating-point.

    Numerics:
        The diagonal is -expm1(y_j): accurate in every element.

    Example:
        >>> import jax.numpy as jnp
        >>> log_softmax_jacobian(jnp.log(jnp.array([0.5, 0.5]))).tolist()
        [[0.5, -0.5], [-0.5, 0.5]]

    References:
        S. Boyd and L. Vandenberghe, "Convex Optimization" (2004), section 3.1.5: the gradient of
        log-sum-exp is softmax.
    """
    (y,) = _floats("log_softmax_jacobian", y=y)
    return in_float32(_log_jacobian, y, class_axes("log_softmax_jacobian", y, -1))


# The formulas, in the dtype given.


def softmax_product(y: Array, t: Array, classes: Classes) -> Array:
    """VJP and JVP of softmax in one."""
    return product(y, t, kind="softmax", classes=classes)


def log_softmax_push_forward(log_y: Array, t: Array, classes: Classes) -> Array:
    """JVP of log_softmax."""
    return product(jnp.exp(log_y), t, kind="log", classes=classes)


def log_softmax_pull_back(log_y: Array, t: Array, classes: Classes) -> Array:
    """VJP of log_softmax, with 1 - y from the logarithm as it is given."""
    y = jnp.exp(log_y)

    def terms(y: Array, t: Array) -> tuple[Array, Array]:
        return jnp.where(dominant(y), 0, t), t

    others, total = classes.sum_in_pairs(terms, y, t)
    return jnp.where(dominant(y), -jnp.expm1(log_y) * t - y * others, t - y * total)


def diagonal(y: Array, classes: Classes) -> Array:
    """y (1 - y), the dominant class's 1 - y as the sum of the others."""
    (others,) = classes.accurate_sum(lambda y: (jnp.where(dominant(y), 0, y),), y)
    return y * jnp.where(dominant(y), others, 1 - y)


def _jacobian(y: Array, classes: Classes) -> Array:
    return _with_diagonal(diagonal(y, classes), -y[..., :, None] * y[..., None, :])


def _log_jacobian(log_y: Array, _classes: Classes) -> Array:
    return _with_diagonal(-jnp.expm1(log_y), -jnp.exp(log_y)[..., None, :])


def _with_diagonal(diagonal: Array, matrix: Array) -> Array:
    n = diagonal.shape[-1]
    on_diagonal = jnp.arange(n)[:, None] == jnp.arange(n)[None, :]
    return jnp.where(on_diagonal, diagonal[..., None, :], matrix)


# The boundary: what comes in, and in which precision it is computed.


def class_axes(function: str, y: Array, axis: Axis) -> Classes:
    """Where the classes lie, counted from the front."""
    if axis is None:
        return Classes(tuple(range(y.ndim)))
    axes = tuple(map(operator.index, axis if isinstance(axis, Sequence) else (axis,)))
    if any(not -y.ndim <= a < y.ndim for a in axes):
        raise ArgumentError(f"{function}: axis {axis} is outside an array of {y.ndim} axes")
    counted = tuple(a % y.ndim for a in axes)
    if len(set(counted)) < len(counted):
        raise ArgumentError(f"{function}: axis {axis} names an axis twice")
    return Classes(counted)


def in_float32(formula: Callable[..., Result], *arguments: Any) -> Result:
    """Compute sixteen-bit arrays in float32 and round once, at the end: one result, or several."""
    dtype = arguments[0].dtype
    wide = (a.astype(jnp.float32) if getattr(a, "dtype", None) == dtype else a for a in arguments)
    results = formula(*(wide if dtype.itemsize <= 2 else arguments))
    rounded: Result = jax.tree.map(lambda result: result.astype(dtype), results)
    return rounded


def _floats(function: str, **arrays: ArrayLike) -> list[Array]:
    """The arguments as floating-point arrays of one dtype."""
    values = [jnp.asarray(array) for array in arrays.values()]
    for name, value in zip(arrays, values, strict=True):
        if not jnp.issubdtype(value.dtype, jnp.floating):
            raise ArgumentError(
                f"{function}: {name} must be floating-point, not {value.dtype.name}: convert it"
            )
    dtype = jnp.result_type(*values)
    return [value.astype(dtype) for value in values]


def _operands(
    function: str, y: ArrayLike, t: ArrayLike, name: str, axis: Axis
) -> tuple[Array, Array, Classes]:
    """Result and vector, checked, and where their classes lie."""
    y, t = _floats(function, **{"y": y, name: t})
    if y.shape != t.shape:
        raise ArgumentError(
            f"{function}: y and {name} must have one shape, not {y.shape} and {t.shape}"
        )
    return y, t, class_axes(function, y, axis)
