"""Sums whose rounding is known: a tree of four branches, whatever XLA does with `jnp.sum`."""

from __future__ import annotations

import jax
import numpy as np
from jax import lax

__all__ = ["tree_sum"]

_BRANCHES = 4


def tree_sum(terms: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Sum over axes, kept with length 1; each term passes through at most 3⌈log4 n⌉ additions."""
    for axis in axes:
        while terms.shape[axis] != 1:
            terms = _reduce_once(terms, axis)
    return terms


def _reduce_once(terms: jax.Array, axis: int) -> jax.Array:
    """Add four parts of an axis, each a quarter of it long (one part if there are at most four)."""
    size = terms.shape[axis]
    part = -(-size // _BRANCHES) if size > _BRANCHES else 1
    count = -(-size // part) if size else 0
    zero = np.zeros((), terms.dtype)
    if part * count != size:
        widths = [(0, 0, 0)] * terms.ndim
        widths[axis] = (0, part * count - size, 0)
        terms = lax.pad(terms, zero, widths)
    shape = (*terms.shape[:axis], count, part, *terms.shape[axis + 1 :])
    sums: jax.Array = lax.reduce(lax.reshape(terms, shape), zero, lax.add, (axis,))
    return sums
