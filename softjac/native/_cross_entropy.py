"""Softmax and cross-entropy in one kernel: the losses, and their derivatives by the logits."""

from __future__ import annotations

from typing import Any

from softjac.native import _arrays

__all__ = ["cross_entropy", "cross_entropy_with_derivative"]


def cross_entropy(x: Any, target: Any, *, scale: float = 1.0) -> Any:
    r"""Measure the softmax cross-entropy of logits with targets or labels.

    \( \ell = -\sum_i t_i \log y_i,\ y = \mathrm{softmax}(c x) \); with labels, t is 1 at the label.

    Args:
        x: logits, shape `(..., n)`, float32, float64, bfloat16 or float16.
        target: integer labels of shape `(...)`, or targets of the shape and dtype of x.
        scale: a number c that every logit is multiplied by.

    Returns:
        The losses, shape `(...)`, dtype of x.

    Raises:
        ArgumentError: a dtype or shape that is not supported, no class, or a traced scale.
        SoftjacError: NumPy arrays, and a label is none of the classes. JAX arrays give NaN for
            that row, loss and derivative, on every platform.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Keeps the tails: near 0 the loss is accurate in relative terms, and so is y_k - 1 at a
        dominant label. A target of 0 counts nothing, also where the logit is -inf.

    Example:
        >>> import numpy as np
        >>> cross_entropy(np.array([[40.0, 0.0]]), np.array([0]))
        array([4.24835426e-18])

    References:
        Formulas: `softjac.layers.output_loss` of softmax and cross_entropy.
    """
    return _arrays.cross_entropy(x, target, scale, False)[0]


def cross_entropy_with_derivative(x: Any, target: Any, *, scale: float = 1.0) -> Any:
    r"""Measure the softmax cross-entropy, and its derivative by the logits, in one call.

    \( \ell = -\sum_i t_i \log y_i,\ y = \mathrm{softmax}(c x) \); with labels, t is 1 at the label.

    Args:
        x: logits, shape `(..., n)`, float32, float64, bfloat16 or float16.
        target: integer labels of shape `(...)`, or targets of the shape and dtype of x.
        scale: a number c that every logit is multiplied by.

    Returns:
        The losses, shape `(...)`, and \( c (y_i \sum_j t_j - t_i) \), shape and dtype of x.

    Raises:
        ArgumentError: a dtype or shape that is not supported, no class, or a traced scale.
        SoftjacError: NumPy arrays, and a label is none of the classes. JAX arrays give NaN for
            that row, loss and derivative, on every platform.
        LibraryMissingError: NumPy arrays, and the library is not built.

    Numerics:
        Keeps the tails: near 0 the loss is accurate in relative terms, and so is y_k - 1 at a
        dominant label. A target of 0 counts nothing, also where the logit is -inf.

    Example:
        >>> import numpy as np
        >>> cross_entropy_with_derivative(np.array([[40.0, 0.0]]), np.array([0]))[1]
        array([[-4.24835426e-18,  4.24835426e-18]])

    References:
        Formulas: `softjac.layers.output_cotangent` of softmax and cross_entropy.
    """
    return _arrays.cross_entropy(x, target, scale, True)
