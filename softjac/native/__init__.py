"""The C kernels, on NumPy arrays and inside jax.jit: one name an op.

Each function takes NumPy arrays (and writes to `out` where that is given), or JAX arrays and
tracers (derivatives of any order, vmap, shard_map; pure JAX on other platforms than CPUs). The
classes are the last axis. The result has the same bits on every instruction set, with any number of
threads, at any alignment and stride, in place or not, from NumPy and from jit.

For NumPy, `out` may be one of the inputs: the op works in place. For JAX, `out` may only be one of
the inputs: the result then takes its memory where that is free (donated, or an intermediate value);
elsewhere XLA copies it first.

float32, float64, bfloat16 and float16 (16 bits in memory, float32 in between, one rounding). Inputs
may have any layout. `scale` is a Python number: inside jit it must be known while tracing.
"""

from __future__ import annotations

from typing import Any

from softjac.native import _arrays
from softjac.native._cross_entropy import cross_entropy, cross_entropy_with_derivative
from softjac.native._library import isa, set_threads

__all__ = [
    "cross_entropy",
    "cross_entropy_with_derivative",
    "isa",
    "log_softmax",
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "set_threads",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
    "softmax_vjp_from_logits",
]

_softmax = _arrays.elementwise("softmax", "x")
_log_softmax = _arrays.elementwise("log_softmax", "x")
_softmax_vjp = _arrays.elementwise("softmax_vjp", "y", "dy")
_softmax_vjp_from_logits = _arrays.elementwise("softmax_vjp_from_logits", "x", "dy")
_softmax_jvp = _arrays.elementwise("softmax_jvp", "y", "x_dot")
_log_softmax_vjp = _arrays.elementwise("log_softmax_vjp", "y", "dy")
_log_softmax_jvp = _arrays.elementwise("log_softmax_jvp", "y", "x_dot")


def softmax(x: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Turn logits into probabilities.

    \( y_i = \exp(c x_i - m) / \sum_j \exp(c x_j - m),\ m = \max_j c x_j \)

    Args:
        x: logits, shape `(..., n)`, float32, float64, bfloat16 or float16.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        Probabilities, shape and dtype of x.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Relative error of y_i at most (r_i + 5) u, r_i = m - c x_i, and the sum adds the mean of
        that and 30 u, however long the row; subnormal results are rounded once. A NaN, +inf, or
        -inf alone among the logits makes the row NaN; -inf on some gives probability 0 there.

    Example:
        >>> import numpy as np
        >>> softmax(np.array([0.0, np.log(3.0)])).round(6)
        array([0.25, 0.75])

    References:
        Formulas: `softjac.softmax`.
    """
    return _softmax.one(x, scale, out)


def log_softmax(x: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Turn logits into log-probabilities.

    \( y_i = (c x_i - m) - \log \sum_j \exp(c x_j - m) \)

    Args:
        x: logits, shape `(..., n)`, float32, float64, bfloat16 or float16.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        Log-probabilities, shape and dtype of x.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Accurate in relative terms near 0 too: where one class dominates, the logarithm is taken as
        log1p of the others' sum. A NaN, +inf, or -inf alone among the logits makes the row NaN;
        -inf on some gives -inf there.

    Example:
        >>> import numpy as np
        >>> log_softmax(np.array([40.0, 0.0]))
        array([-4.24835426e-18, -4.00000000e+01])

    References:
        Formulas: `softjac.log_softmax`.
    """
    return _log_softmax.one(x, scale, out)


def softmax_vjp(y: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Pull a cotangent back through softmax, from its result.

    \( dx_i = c\, y_i (dy_i - \sum_j y_j dy_j) \)

    Args:
        y: probabilities, shape `(..., n)`.
        dy: cotangent, shape and dtype of y.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        The cotangent of the logits, shape and dtype of y.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Accurate in every component, relative to y_i (|t_i - s| + sum_j y_j |t_j - s|) with s =
        sum_j y_j t_j, t the vector: a centre is taken off first where the sum would cancel. A
        constant cotangent gives exactly 0.

    Example:
        >>> import numpy as np
        >>> softmax_vjp(softmax(np.array([40.0, 0.0])), np.array([1.0, 0.0]))
        array([ 4.24835426e-18, -4.24835426e-18])

    References:
        Formulas: `softjac.softmax_vjp`.
    """
    return _softmax_vjp.two(y, dy, scale, out)


def softmax_vjp_from_logits(x: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Pull a cotangent back through softmax, from the logits.

    \( dx_i = c\, y_i (dy_i - \sum_j y_j dy_j),\ y = \mathrm{softmax}(c x) \)

    Args:
        x: logits, shape `(..., n)`.
        dy: cotangent, shape and dtype of x.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        The cotangent of the logits, shape and dtype of x.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        The bits of `softmax` followed by `softmax_vjp`; in 16 bits y stays in float32 in between.

    Example:
        >>> import numpy as np
        >>> softmax_vjp_from_logits(np.zeros(2), np.array([1.0, 0.0]))
        array([ 0.25, -0.25])

    References:
        Formulas: `softjac.softmax`, `softjac.softmax_vjp`.
    """
    return _softmax_vjp_from_logits.two(x, dy, scale, out)


def softmax_jvp(y: Any, x_dot: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Push a tangent forward through softmax, from its result.

    \( \dot y_i = c\, y_i (\dot x_i - \sum_j y_j \dot x_j) \)

    Args:
        y: probabilities, shape `(..., n)`.
        x_dot: tangent, shape and dtype of y.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        The tangent of the probabilities, shape and dtype of y.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        The same map as the VJP, the Jacobian being symmetric, and the same accuracy.

    Example:
        >>> import numpy as np
        >>> softmax_jvp(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
        array([ 0.25, -0.25])

    References:
        Formulas: `softjac.softmax_jvp`.
    """
    return _softmax_jvp.two(y, x_dot, scale, out)


def log_softmax_vjp(y: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Pull a cotangent back through log_softmax, from its result.

    \( dx_i = c\, (dy_i - \exp(y_i) \sum_j dy_j) \)

    Args:
        y: log-probabilities, shape `(..., n)`.
        dy: cotangent, shape and dtype of y.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        The cotangent of the logits, shape and dtype of y.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Where one class has probability >= 1/2, 1 - exp(y_k) is computed as -expm1(y_k) and the sum
        leaves that class out.

    Example:
        >>> import numpy as np
        >>> log_softmax_vjp(np.log(np.array([0.5, 0.5])), np.array([1.0, 0.0])).round(6)
        array([ 0.5, -0.5])

    References:
        Formulas: `softjac.log_softmax_vjp`.
    """
    return _log_softmax_vjp.two(y, dy, scale, out)


def log_softmax_jvp(y: Any, x_dot: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Push a tangent forward through log_softmax, from its result.

    \( \dot y_i = c\, (\dot x_i - \sum_j \exp(y_j) \dot x_j) \)

    Args:
        y: log-probabilities, shape `(..., n)`.
        x_dot: tangent, shape and dtype of y.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        The tangent of the log-probabilities, shape and dtype of y.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Accurate relative to |t_i - s| + sum_j p_j |t_j - s|, p = exp(y), s = sum_j p_j t_j, t =
        x_dot.

    Example:
        >>> import numpy as np
        >>> log_softmax_jvp(np.log(np.array([0.5, 0.5])), np.array([1.0, 0.0])).round(6)
        array([ 0.5, -0.5])

    References:
        Formulas: `softjac.log_softmax_jvp`.
    """
    return _log_softmax_jvp.two(y, x_dot, scale, out)


def softmax_jacobian(y: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Form the Jacobian of softmax, from its result.

    \( J_{ij} = c\, y_i (\delta_{ij} - y_j) \)

    Args:
        y: probabilities, shape `(..., n)`.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        The Jacobians, shape `(..., n, n)`, dtype of y.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Three roundings an entry; on the diagonal 1 - y_i is the others' sum where y_i is 1/2 or
        more.

    Example:
        >>> import numpy as np
        >>> softmax_jacobian(np.array([0.5, 0.5]))
        array([[ 0.25, -0.25],
               [-0.25,  0.25]])

    References:
        Formulas: `softjac.softmax_jacobian`.
    """
    return _arrays.jacobian("softmax_jacobian", y, scale, out)


def log_softmax_jacobian(y: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    r"""Form the Jacobian of log_softmax, from its result.

    \( J_{ij} = c\, (\delta_{ij} - \exp(y_j)) \)

    Args:
        y: log-probabilities, shape `(..., n)`.
        scale: a number c that every logit is multiplied by.
        out: where the result goes, see the module.

    Returns:
        The Jacobians, shape `(..., n, n)`, dtype of y.

    Raises:
        ArgumentError: an input or `out` has a dtype or shape that is not supported; a traced scale.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        The error of exp; on the diagonal -expm1(y_i) where y_i is about -ln 2 or more.

    Example:
        >>> import numpy as np
        >>> log_softmax_jacobian(np.log(np.array([0.5, 0.5]))).round(6)
        array([[ 0.5, -0.5],
               [-0.5,  0.5]])

    References:
        Formulas: `softjac.log_softmax_jacobian`.
    """
    return _arrays.jacobian("log_softmax_jacobian", y, scale, out)
