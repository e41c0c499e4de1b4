"""Reductions over the classes: sums whose rounding is known, on one device or on many."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from softjac._types import Array

__all__ = ["Classes"]

_FEW = 4
_MANY = 4096
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
        """Add with few roundings a term, whatever order XLA adds in.

        Up to 4096 terms are summed exactly but for the last rounding; sixteen parts of a longer
        axis are added to each other first, again and again. So a term passes through 1, 16, 31 or
        46 roundings at n = 4096, 2^16, 2^20 or 2^24: at most 1 + 2 log2 n. Devices add one each.
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


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _accurate_sum(terms: Array, axes: tuple[int, ...]) -> Array:
    # High and low parts must come from the same bits. A product that one loop fuses into its sum
    # and another rounds first would not be the same: the selection stands in between.
    terms = jnp.where(terms != 0, terms, 0)
    for axis in axes:
        while terms.shape[axis] > _MANY:
            terms = _add_parts(terms, axis)
        terms = _exact_sum(terms, axis)
    return terms


@_accurate_sum.defjvp
def _accurate_sum_jvp(axes: tuple[int, ...], primals: Any, tangents: Any) -> Any:
    """The tangent is a sum that JAX knows to be linear."""
    return _accurate_sum(*primals, axes), jnp.sum(tangents[0], axes, keepdims=True)


def _add_parts(terms: Array, axis: int) -> Array:
    """Add sixteen parts of an axis to each other, in sequence, padded with zeros."""
    size = terms.shape[axis]
    length = -(-size // _PARTS)
    zero = np.zeros((), terms.dtype)
    if length * _PARTS != size:
        widths = [(0, 0, 0)] * terms.ndim
        widths[axis] = (0, length * _PARTS - size, 0)
        terms = lax.pad(terms, zero, widths)
    shape = (*terms.shape[:axis], _PARTS, length, *terms.shape[axis + 1 :])
    return jnp.sum(lax.reshape(terms, shape), axis)


def _exact_sum(terms: Array, axis: int) -> Array:
    """Add in any order, with one rounding: high parts exactly, then what they left.

    With S >= 4 Σ|p|, q = (S + p) - S is a multiple of ulp(S) / 2, so that sums of q are exact, and
    p - q is exact and at most ulp(S) / 2. With n terms in any order the error is one rounding and
    4 n² u² Σ|p|, in float32 at most u Σ|p| for n = 2000. Where S would overflow, S is smaller and
    the sum an ordinary one.

    References:
        S. M. Rump, T. Ogita and S. Oishi, "Accurate floating-point summation, part I", SIAM
        Journal on Scientific Computing 31 (2008).
    """
    if terms.shape[axis] <= _FEW:
        return jnp.sum(terms, axis, keepdims=True)
    most = float(np.finfo(terms.dtype).max) / 2
    bound = jnp.minimum(4 * jnp.sum(jnp.abs(terms), axis, keepdims=True), most)
    high = (bound + terms) - bound
    low = jnp.where(high == terms, 0, terms - high)  # an infinity leaves nothing
    return jnp.sum(high, axis, keepdims=True) + jnp.sum(low, axis, keepdims=True)
