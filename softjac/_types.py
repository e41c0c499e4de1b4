"""Array aliases and the dtypes softjac supports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import jax
    import jax.typing

    Array: TypeAlias = jax.Array
    ArrayLike: TypeAlias = jax.typing.ArrayLike
else:  # the aliases serve annotations alone, and JAX takes 0.4 s to import
    Array: TypeAlias = Any
    ArrayLike: TypeAlias = Any

__all__ = ["DTYPES", "Array", "ArrayLike", "Axis"]

Axis: TypeAlias = int | Sequence[int] | None
"""The class axis: one axis, several that together hold the classes, or None for all of them."""

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""The storage dtypes. Sixteen-bit types are computed in float32 and rounded once, at the end."""
