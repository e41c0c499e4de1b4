"""The C kernels: one name an op."""

from __future__ import annotations

from typing import Any

from softjac.native import _numpy
from softjac.native._library import isa

__all__ = [
    "isa",
    "log_softmax",
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
]


def softmax(x: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Softmax of scale * x over the last axis."""
    return _numpy.one_input("softmax", "x", x, scale=scale, out=out)


def log_softmax(x: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Logarithm of the softmax of scale * x over the last axis."""
    return _numpy.one_input("log_softmax", "x", x, scale=scale, out=out)


def softmax_vjp(y: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Cotangent dy pulled back through softmax, from its result y."""
    return _numpy.two_inputs("softmax_vjp", ("y", "dy"), y, dy, scale=scale, out=out)


def softmax_jvp(y: Any, x_dot: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Tangent x_dot pushed forward through softmax, from its result y."""
    return _numpy.two_inputs("softmax_jvp", ("y", "x_dot"), y, x_dot, scale=scale, out=out)


def softmax_jacobian(y: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """The Jacobian of softmax, from its result y."""
    return _numpy.jacobian("softmax_jacobian", y, scale=scale, out=out)


def log_softmax_vjp(y: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Cotangent dy pulled back through log_softmax, from its result y."""
    return _numpy.two_inputs("log_softmax_vjp", ("y", "dy"), y, dy, scale=scale, out=out)


def log_softmax_jvp(y: Any, x_dot: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Tangent x_dot pushed forward through log_softmax, from its result y."""
    return _numpy.two_inputs("log_softmax_jvp", ("y", "x_dot"), y, x_dot, scale=scale, out=out)


def log_softmax_jacobian(y: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """The Jacobian of log_softmax, from its result y."""
    return _numpy.jacobian("log_softmax_jacobian", y, scale=scale, out=out)
