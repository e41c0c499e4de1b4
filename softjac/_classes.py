"""Reductions over the classes, many entries at a time: on one device or on many.

XLA reduces in an order of its own, in places with a rounding for each term; these sums round
once for eight or sixteen terms, or once for two, whatever the platform.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from softjac._types import Array

__all__ = ["Classes"]


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

    def accurate_sum(self, function: Callable[..., Sequence[Array]], *arrays: Array) -> list[Array]:
        """Add each of the function's results, taken element by element.

        A term passes through at most log2(n)/4 + 3 roundings, and one more for each device.
        """
        return self._together(lax.psum, _sum(_add_exactly, function, self.axes, *arrays))

    def sum_in_pairs(self, function: Callable[..., Sequence[Array]], *arrays: Array) -> list[Array]:
        """Add like `accurate_sum`, faster: at most log2(n) + 3 roundings, and one a device."""
        return self._together(lax.psum, _sum(_add_in_pairs, function, self.axes, *arrays))

    def greatest(self, array: Array) -> Array:
        """The greatest entry, -inf of none; not differentiable over a mesh."""
        local = jnp.max(array, self.axes, keepdims=True, initial=-jnp.inf)
        return self._together(lax.pmax, [local])[0]

    def spread(self, reduced: Array) -> Array:
        """Type what a reduction gave, the same everywhere, as what varies over the mesh."""
        if self.mesh_axis is None:
            return reduced
        varying: Array = lax.pcast(reduced, self.mesh_axis, to="varying")
        return varying

    def _together(self, collective: Any, parts: Sequence[Array]) -> list[Array]:
        if self.mesh_axis is None:
            return list(parts)
        return list(collective(jnp.stack(jnp.broadcast_arrays(*parts)), self.mesh_axis))


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _sum(add: Any, function: Any, axes: tuple[int, ...], *arrays: Array) -> list[Array]:
    """Add each of the function's results over the axes: the parts of a row, again and again.

    The function is taken of each part, not of the whole, which XLA would write to memory.
    """
    terms: Sequence[Array] = arrays
    for axis in axes:
        while True:
            # One loop a level: fused into one, the levels would be an expression of n terms.
            terms = _once(_add_parts(add, function, axis, terms))
            function = _unchanged
            if terms[0].shape[axis] == 1:
                break
    return list(function(*terms))


@_sum.defjvp
def _sum_jvp(
    add: Any, function: Any, axes: tuple[int, ...], primals: Any, tangents: Any
) -> tuple[list[Array], list[Array]]:
    """The tangent is a sum that JAX knows to be linear."""
    _, terms = jax.jvp(function, primals, tangents)
    return (
        _sum(add, function, axes, *primals),
        [jnp.sum(term, axes, keepdims=True) for term in terms],
    )


def _once(terms: Sequence[Array]) -> Sequence[Array]:
    barrier: Any = lax.optimization_barrier
    computed: Sequence[Array] = barrier(terms)
    return computed


def _unchanged(*terms: Array) -> tuple[Array, ...]:
    return terms


def _add_parts(
    add: Callable[[Sequence[Array]], Array],
    function: Callable[..., Sequence[Array]],
    axis: int,
    arrays: Sequence[Array],
) -> list[Array]:
    """Put the parts of an axis on top of each other; what is left over stays behind them."""
    size = jnp.broadcast_shapes(*(array.shape for array in arrays))[axis]
    if size == 0:
        return [jnp.sum(term, axis, keepdims=True) for term in function(*arrays)]
    count, length = _cut(size, computed=function is not _unchanged)

    def part(first: int, last: int) -> Sequence[Array]:
        return function(
            *(
                array if array.shape[axis] == 1 else lax.slice_in_dim(array, first, last, axis=axis)
                for array in arrays
            )
        )

    parts = [part(number * length, (number + 1) * length) for number in range(count)]
    sums = [add(column) for column in zip(*parts, strict=True)]
    if length * count == size:
        return sums
    rest = part(length * count, size)
    return [lax.concatenate(pair, axis) for pair in zip(sums, rest, strict=True)]


def _cut(size: int, *, computed: bool) -> tuple[int, int]:
    """How many parts, and how long, so that XLA's loops over them are fast.

    Of what is computed on the way fifteen parts at most, but for rows of sixteen: of more, XLA
    writes it to memory first. Eight of a long row leave nearly nothing behind; those of a short one
    stay long enough for a loop.
    """
    if size <= 16:
        return size, 1
    if size >= 256:
        count = 8 if computed else 16
        return count, size // count
    length = 16 if computed and size >= 32 else -(-size // 16)
    return size // length, length


def _add_in_pairs(parts: Sequence[Array]) -> Array:
    """The sum of neighbours, of sums of neighbours, and so on."""
    while len(parts) > 1:
        pairs = zip(parts[::2], parts[1::2], strict=False)
        parts = [*map(lax.add, *zip(*pairs, strict=True)), *parts[len(parts) & ~1 :]]
    return parts[0]


def _add_exactly(parts: Sequence[Array]) -> Array:
    """The sum, rounded once: what every addition loses (Knuth's TwoSum) is added at the end."""
    lost = []
    while len(parts) > 1:
        sums = []
        for a, b in zip(parts[::2], parts[1::2], strict=False):
            total = lax.add(a, b)
            virtual = lax.sub(total, a)
            sums.append(total)
            lost.append(lax.add(lax.sub(a, lax.sub(total, virtual)), lax.sub(b, virtual)))
        parts = [*sums, *parts[2 * len(sums) :]]
    (total,) = parts
    if not lost:
        return total
    return lax.select(lax.is_finite(total), lax.add(total, _add_in_pairs(lost)), total)
