"""Reductions over the classes: sums whose rounding is known, on one device or on many."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from softjac._types import Array

__all__ = ["Classes", "once"]

_PARTS = 16


@dataclass(frozen=True)
class Classes:
    """Where the classes lie: axes of the local array and, if they are split, of the mesh.

    A reduction keeps the axes with length 1. Several terms are reduced together, by one collective.
    """

    axes: tuple[int, ...]
    mesh_axis: Hashable = None

    def behind(self, added: int) -> Classes:
        """The same classes behind more leading axes."""
        return Classes(tuple(axis + added for axis in self.axes), self.mesh_axis)

    def sum(self, *terms: Array) -> list[Array]:
        """Add as XLA does: linear to JAX, for what needs no accuracy or is to be transposed."""
        return self._together(lax.psum, [jnp.sum(t, self.axes, keepdims=True) for t in terms])

    def accurate_sum(self, *terms: Array) -> list[Array]:
        """Add in pairs, whatever order XLA adds in.

        Sixteen parts of an axis are added to each other in pairs, again and again: a term passes
        through at most log2 n + 4 roundings, and one more for each device.
        """
        return self._together(lax.psum, [_accurate_sum(t, self.axes) for t in terms])

    def greatest(self, *terms: Array) -> list[Array]:
        """The greatest entries, -inf of none; not differentiable over a mesh."""
        found = [jnp.max(t, self.axes, keepdims=True, initial=-jnp.inf) for t in terms]
        return self._together(lax.pmax, found)

    def spread(self, reduced: Array) -> Array:
        """Type what a reduction gave, the same everywhere, as what varies over the mesh."""
        if self.mesh_axis is None:
            return reduced
        varying: Array = lax.pcast(reduced, self.mesh_axis, to="varying")
        return varying

    def _together(self, collective: Any, parts: list[Array]) -> list[Array]:
        if self.mesh_axis is None:
            return parts
        return list(collective(jnp.stack(jnp.broadcast_arrays(*parts)), self.mesh_axis))


def once(array: Array) -> Array:
    """The array, asked of XLA as one of its own: not computed again in each loop that reads it."""
    barrier: Any = lax.optimization_barrier
    computed: Array = barrier(array)
    return computed


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _accurate_sum(terms: Array, axes: tuple[int, ...]) -> Array:
    for axis in axes:
        while terms.shape[axis] > 1:
            # One loop a level: fused into one, the levels would be an expression of n terms.
            terms = once(_add_parts(terms, axis))
        if terms.shape[axis] == 0:
            terms = jnp.sum(terms, axis, keepdims=True)
    return terms


@_accurate_sum.defjvp
def _accurate_sum_jvp(axes: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    """The tangent is a sum that JAX knows to be linear."""
    return _accurate_sum(*primals, axes), jnp.sum(tangents[0], axes, keepdims=True)


def _add_parts(terms: Array, axis: int) -> Array:
    """Add sixteen parts of an axis to each other in pairs; what is left over stays behind them."""
    size = terms.shape[axis]
    length = max(size // _PARTS, 1)
    count = min(size, _PARTS)
    parts = [
        lax.slice_in_dim(terms, number * length, (number + 1) * length, axis=axis)
        for number in range(count)
    ]
    while len(parts) > 1:
        pairs = [a + b for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[2 * len(pairs) :]
    if length * count == size:
        return parts[0]
    return lax.concatenate(
        [parts[0], lax.slice_in_dim(terms, length * count, size, axis=axis)], axis
    )
