"""Which arrays a call is about: NumPy's, or JAX's, which is not imported to find out."""

from __future__ import annotations

import sys
from typing import Any

from softjac.native import _numpy

__all__ = ["cross_entropy", "elementwise", "jacobian"]


def _is_jax(*values: Any) -> bool:
    """Whether any of the values is a JAX array or tracer, without importing JAX for the answer."""
    jax = sys.modules.get("jax")
    return jax is not None and any(isinstance(value, jax.Array) for value in values)


def _in_jax(
    op: str, names: tuple[str, ...], operands: tuple[Any, ...], scale: Any, out: Any
) -> Any:
    """The op on JAX arrays; NotImplemented where there are none."""
    if not _is_jax(*operands):
        return NotImplemented
    from softjac.native import _xla

    return _xla.apply(op, names, operands, scale, out)


def elementwise(op: str, *names: str) -> _numpy.Elementwise:
    """An op whose result has the shape of its inputs."""
    return _numpy.Elementwise(op, *names, elsewhere=_in_jax)


def jacobian(op: str, y: Any, scale: float, out: Any) -> Any:
    """A Jacobian from probabilities or log-probabilities."""
    if _is_jax(y):
        return _in_jax(op, ("y",), (y,), scale, out)
    return _numpy.jacobian(op, y, scale, out)


def cross_entropy(x: Any, target: Any, scale: float, derivative: bool) -> tuple[Any, Any]:
    """The losses, and their derivatives where they are wanted."""
    if not _is_jax(x, target):
        return _numpy.cross_entropy(x, target, scale, derivative)
    from softjac.native import _xla

    return _xla.cross_entropy(x, target, scale, derivative)
