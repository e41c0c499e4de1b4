"""The derivatives of softmax and log_softmax in closed form, from the result.

The Jacobian of softmax is J = diag(y) - y yᵀ, that of log_softmax I - 1 yᵀ. Their textbook
products cancel where one probability is near 1 or where the vector has a large common offset.
J·1 = 0, so a constant may be taken off first: here the entry of the vector that is next to its
mean Σ y t. The result is then accurate in every component.

`product` is the three linear maps as one JAX primitive: linear in its vector, transposed into
itself or its sibling, so that forward, reverse and higher derivatives all go through the accurate
formulas.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from softjac._errors import ArgumentError
from softjac._summation import accurate_sum
from softjac._types import Array, ArrayLike, Axis

__all__ = [
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
]

Kind = Literal["softmax", "log", "log_transposed"]


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
    """
    y, dy, axes = _operands("softmax_vjp", y, dy, "dy", axis)
    return _in_float32(partial(product, kind="softmax", axes=axes), y, dy)


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
    """
    y, x_dot, axes = _operands("softmax_jvp", y, x_dot, "x_dot", axis)
    return _in_float32(partial(product, kind="softmax", axes=axes), y, x_dot)


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
        Accurate in every element: where y_k > 1/2 the diagonal is y_k Σ_{j≠k} y_j, which keeps what
        1 - y_k loses.

    Example:
        >>> import jax.numpy as jnp
        >>> softmax_jacobian(jnp.array([0.25, 0.75])).tolist()
        [[0.1875, -0.1875], [-0.1875, 0.1875]]
    """
    (y,) = _floats("softmax_jacobian", y=y)
    _class_axes("softmax_jacobian", y, -1)
    return _in_float32(_jacobian, y)


def log_softmax_vjp(y: ArrayLike, dy: ArrayLike, axis: Axis = -1) -> Array:
    """Pull a cotangent back through log_softmax.

    dx_i = dy_i - exp(y_i) Σ_j dy_j, and -expm1(y_k) dy_k - exp(y_k) Σ_{j≠k} dy_j in the class that
    has more than half of the probability.

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
    """
    y, dy, axes = _operands("log_softmax_vjp", y, dy, "dy", axis)
    return _in_float32(partial(_log_vjp, axes=axes), y, dy)


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
    """
    y, x_dot, axes = _operands("log_softmax_jvp", y, x_dot, "x_dot", axis)
    return _in_float32(partial(_log_jvp, axes=axes), y, x_dot)


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
    """
    (y,) = _floats("log_softmax_jacobian", y=y)
    _class_axes("log_softmax_jacobian", y, -1)
    return _in_float32(_log_jacobian, y)


# The formulas, in the dtype given.


def complement(y: Array, axes: tuple[int, ...]) -> Array:
    """Give 1 - y_k of the dominant class, accurately: the sum of the others (axes kept)."""
    return accurate_sum(jnp.where(y > 0.5, 0, y), axes)


def _centred(y: Array, t: Array, axes: tuple[int, ...]) -> Array:
    """Give t - Σ y t without cancellation (any constant may be taken off first, as Σ y = 1).

    That constant is the entry of t next to the mean: no entry is nearer to the mean than it is, so
    that nothing subtracted is larger than the spread of t; and where most of the probability lies
    on equal entries, as in a dominant class, those become exactly 0.
    """
    mean = jnp.sum(y * t, axes, keepdims=True)
    present = y > 0
    above = jnp.where(present & (t >= mean), t, jnp.inf)
    below = jnp.where(present & (t <= mean), t, -jnp.inf)
    least = jnp.min(above, axes, keepdims=True, initial=jnp.inf)
    greatest = jnp.max(below, axes, keepdims=True, initial=-jnp.inf)
    e = t - jax.lax.stop_gradient(jnp.where(least - mean < mean - greatest, least, greatest))
    return e - accurate_sum(y * e, axes)


def _product(y: Array, complement: Array, t: Array, *, kind: Kind, axes: tuple[int, ...]) -> Array:
    """J t for the kind's J; `complement` is 1 - y of the dominant class, axes kept."""
    if kind == "softmax":
        return y * _centred(y, t, axes)
    if kind == "log":
        return _centred(y, t, axes)
    dominant = y > 0.5
    others = accurate_sum(jnp.where(dominant, 0, t), axes)
    at_dominant = jnp.sum(jnp.where(dominant, t, 0), axes, keepdims=True)
    return jnp.where(dominant, complement * t - y * others, t - y * (others + at_dominant))


def _jacobian(y: Array) -> Array:
    axes = (y.ndim - 1,)
    diagonal = y * jnp.where(y > 0.5, complement(y, axes), 1 - y)
    return _with_diagonal(diagonal, -y[..., :, None] * y[..., None, :])


def _log_jacobian(log_y: Array) -> Array:
    return _with_diagonal(-jnp.expm1(log_y), -jnp.exp(log_y)[..., None, :])


def _with_diagonal(diagonal: Array, matrix: Array) -> Array:
    n = diagonal.shape[-1]
    on_diagonal = jnp.arange(n)[:, None] == jnp.arange(n)[None, :]
    return jnp.where(on_diagonal, diagonal[..., None, :], matrix)


def _log_jvp(log_y: Array, t: Array, *, axes: tuple[int, ...]) -> Array:
    return product(jnp.exp(log_y), t, kind="log", axes=axes)


def _log_vjp(log_y: Array, t: Array, *, axes: tuple[int, ...]) -> Array:
    largest = jnp.max(log_y, axes, keepdims=True, initial=-jnp.inf)
    return product(
        jnp.exp(log_y), t, kind="log_transposed", axes=axes, complement_=-jnp.expm1(largest)
    )


# The primitive: `_product`, linear in t.

_product_p: Any = Primitive("softmax_product")


def product(
    y: Array, t: Array, *, kind: Kind, axes: tuple[int, ...], complement_: Array | None = None
) -> Array:
    """Multiply t by a Jacobian at probabilities y, with accurate derivatives of any order.

    "softmax": diag(y) - y yᵀ; "log": I - 1 yᵀ; "log_transposed": I - y 1ᵀ.
    """
    if complement_ is None:
        complement_ = complement(y, axes)
    complement_ = jax.lax.stop_gradient(complement_)
    result: Array = _product_p.bind(y, complement_, t, kind=kind, axes=axes)
    return result


_TRANSPOSED: dict[Kind, Kind] = {
    "softmax": "softmax",
    "log": "log_transposed",
    "log_transposed": "log",
}


def _product_type(y: Any, _complement: Any, t: Any, **_parameters: Any) -> Any:
    """The type of the result: that of y + t, sharding included."""
    return jax.make_jaxpr(jnp.add)(y, t).out_avals[0]


def _product_jvp(primals: Any, tangents: Any, *, kind: Kind, axes: tuple[int, ...]) -> Any:
    """The product's differential: J t_dot, plus the change of J along y_dot times t."""
    y, complement, t = primals
    y_dot, _, t_dot = tangents
    parts = []
    if type(t_dot) is not ad.Zero:
        parts.append(_product_p.bind(y, complement, t_dot, kind=kind, axes=axes))
    if type(y_dot) is not ad.Zero:
        # Linear in y_dot, and transposed by JAX: no place for `accurate_sum`.
        change = -jnp.sum(t if kind == "log_transposed" else y_dot * t, axes, keepdims=True)
        if kind == "softmax":
            mean_free = _product_p.bind(y, complement, t, kind="log", axes=axes)
            parts.append(y_dot * mean_free + y * change)
        elif kind == "log":
            shape = jnp.broadcast_shapes(y_dot.shape, t.shape)
            parts.append(jnp.broadcast_to(change, shape))
        else:
            parts.append(y_dot * change)
    return _product_p.bind(y, complement, t, kind=kind, axes=axes), sum(parts[1:], parts[0])


def _product_transpose(
    cotangent: Any, y: Any, complement: Any, t: Any, *, kind: Kind, axes: tuple[int, ...]
) -> Any:
    """The transposed map, summed where t was broadcast against y."""
    if type(cotangent) is ad.Zero:
        return [None, None, ad.Zero(t.aval)]
    result = _product_p.bind(y, complement, cotangent, kind=_TRANSPOSED[kind], axes=axes)
    shape = t.aval.shape
    stretched = tuple(i for i in range(len(shape)) if shape[i] == 1 and result.shape[i] != 1)
    if stretched:
        result = jnp.sum(result, stretched, keepdims=True)
    return [None, None, result]


def _product_batched(
    operands: Any, dimensions: Any, *, kind: Kind, axes: tuple[int, ...]
) -> tuple[Any, int]:
    """The batch axis in front; of length 1 in operands that have none, so nothing is copied."""
    operands = [
        jnp.expand_dims(operand, 0) if dimension is None else jnp.moveaxis(operand, dimension, 0)
        for operand, dimension in zip(operands, dimensions, strict=True)
    ]
    axes = tuple(axis + 1 for axis in axes)
    return _product_p.bind(*operands, kind=kind, axes=axes), 0


_product_p.def_impl(jax.jit(_product, static_argnames=("kind", "axes")))
_product_p.def_abstract_eval(_product_type)
ad.primitive_jvps[_product_p] = _product_jvp
ad.primitive_transposes[_product_p] = _product_transpose
batching.primitive_batchers[_product_p] = _product_batched
mlir.register_lowering(_product_p, mlir.lower_fun(_product, multiple_results=False))


# The boundary: what comes in, and in which precision it is computed.


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
) -> tuple[Array, Array, tuple[int, ...]]:
    """Result and vector, checked, with the class axes counted from the front."""
    y, t = _floats(function, **{"y": y, name: t})
    if y.shape != t.shape:
        raise ArgumentError(
            f"{function}: y and {name} must have one shape, not {y.shape} and {t.shape}"
        )
    return y, t, _class_axes(function, y, axis)


def _class_axes(function: str, y: Array, axis: Axis) -> tuple[int, ...]:
    """The class axes, counted from the front."""
    if axis is None:
        return tuple(range(y.ndim))
    axes = tuple(map(operator.index, axis if isinstance(axis, Sequence) else (axis,)))
    if any(not -y.ndim <= a < y.ndim for a in axes):
        raise ArgumentError(f"{function}: axis {axis} is outside an array of {y.ndim} axes")
    counted = tuple(a % y.ndim for a in axes)
    if len(set(counted)) < len(counted):
        raise ArgumentError(f"{function}: axis {axis} names an axis twice")
    return counted


def _in_float32(formula: Any, *arrays: Array) -> Array:
    """Compute sixteen-bit arrays in float32 and round once, at the end."""
    dtype = arrays[0].dtype
    if dtype.itemsize <= 2:
        arrays = tuple(array.astype(jnp.float32) for array in arrays)
    result: Array = formula(*arrays)
    return result.astype(dtype)
