"""The C kernels: one name an op."""

from __future__ import annotations

from typing import Any

from softjac.native import _numpy
from softjac.native._library import isa, set_threads

__all__ = [
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

_softmax = _numpy.Elementwise("softmax", "x")
_log_softmax = _numpy.Elementwise("log_softmax", "x")
_softmax_vjp = _numpy.Elementwise("softmax_vjp", "y", "dy")
_softmax_vjp_from_logits = _numpy.Elementwise("softmax_vjp_from_logits", "x", "dy")
_softmax_jvp = _numpy.Elementwise("softmax_jvp", "y", "x_dot")
_log_softmax_vjp = _numpy.Elementwise("log_softmax_vjp", "y", "dy")
_log_softmax_jvp = _numpy.Elementwise("log_softmax_jvp", "y", "x_dot")


def softmax(x: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Softmax of scale * x over the last axis."""
    return _softmax.one(x, scale, out)


def log_softmax(x: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Logarithm of the softmax of scale * x over the last axis."""
    return _log_softmax.one(x, scale, out)


def softmax_vjp(y: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Cotangent dy pulled back through softmax, from its result y."""
    return _softmax_vjp.two(y, dy, scale, out)


def softmax_vjp_from_logits(x: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Cotangent dy pulled back through softmax(scale * x), from the logits x."""
    return _softmax_vjp_from_logits.two(x, dy, scale, out)


def softmax_jvp(y: Any, x_dot: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Tangent x_dot pushed forward through softmax, from its result y."""
    return _softmax_jvp.two(y, x_dot, scale, out)


def softmax_jacobian(y: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """The Jacobian of softmax, from its result y."""
    return _numpy.jacobian("softmax_jacobian", y, scale, out)


def log_softmax_vjp(y: Any, dy: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Cotangent dy pulled back through log_softmax, from its result y."""
    return _log_softmax_vjp.two(y, dy, scale, out)


def log_softmax_jvp(y: Any, x_dot: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """Tangent x_dot pushed forward through log_softmax, from its result y."""
    return _log_softmax_jvp.two(y, x_dot, scale, out)


def log_softmax_jacobian(y: Any, *, scale: float = 1.0, out: Any = None) -> Any:
    """The Jacobian of log_softmax, from its result y."""
    return _numpy.jacobian("log_softmax_jacobian", y, scale, out)
