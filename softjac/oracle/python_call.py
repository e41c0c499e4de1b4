"""Calls of a Python callable: arrays as it takes them, and what it gave back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["PythonPlan"]

ArrayKind = Literal["numpy", "jax", "torch"]


@dataclass(frozen=True, slots=True)
class PythonPlan:
    """How to call a Python callable.

    source:    (module or file, name in it) to import in a child, or the callable itself.
    arguments: (parameter name, role) in order; a name of "" is passed by position.
    autodiff:  the callable is the forward function, and the op its derivative.
    array:     what it takes; None: what it accepts.
    """

    source: tuple[str, str] | Callable[..., Any]
    op: str
    dtype: str
    inputs: tuple[str, ...]
    output: str
    arguments: tuple[tuple[str, str], ...]
    autodiff: bool = False
    array: ArrayKind | None = None
