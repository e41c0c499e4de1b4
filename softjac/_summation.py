"""Sums whose rounding is known, whatever order XLA adds in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["accurate_sum"]

_SHORT = 1024
_LONG = 16384


def accurate_sum(terms: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Sum over axes, kept with length 1, with few roundings a term.

    Up to 1024 terms are added four at a time and up to 16384 sixteen at a time, these sums
    exactly but for the last rounding; more take another sixteen. So a term passes through 4, 16,
    31 or 46 roundings at n = 1024, 16384, 2^18 or 2^22: at most 1 + 2 log2 n beyond n = 1024.
    Not linear to JAX: for sums that are to be transposed there is `jnp.sum`.
    """
    for axis in axes:
        while terms.shape[axis] > _LONG:
            terms = _add_parts(terms, axis, 16)
        if terms.shape[axis] > _SHORT // 4:
            terms = _add_parts(terms, axis, 4 if terms.shape[axis] <= _SHORT else 16)
        terms = _exact_sum(terms, axis)
    return terms


def _add_parts(terms: jax.Array, axis: int, count: int) -> jax.Array:
    """Add `count` parts of an axis to each other, in sequence, padded with zeros."""
    size = terms.shape[axis]
    length = -(-size // count)
    zero = np.zeros((), terms.dtype)
    if length * count != size:
        widths = [(0, 0, 0)] * terms.ndim
        widths[axis] = (0, length * count - size, 0)
        terms = lax.pad(terms, zero, widths)
    shape = (*terms.shape[:axis], count, length, *terms.shape[axis + 1 :])
    sums: jax.Array = lax.reduce(lax.reshape(terms, shape), zero, lax.add, (axis,))
    return sums


def _exact_sum(terms: jax.Array, axis: int) -> jax.Array:
    """Add in any order, with one rounding: high parts exactly, then what they left.

    With S >= 4 Σ|p|, q = (S + p) - S is a multiple of ulp(S) / 2, so that sums of q are exact, and
    p - q is exact and at most ulp(S) / 2 (Rump, Ogita and Oishi, "Accurate floating-point
    summation", SIAM J. Sci. Comput. 31 (2008)). Where S overflows, the sum is an ordinary one.
    """
    bound = 4 * jnp.sum(jnp.abs(terms), axis, keepdims=True)
    high = jnp.where(bound < jnp.inf, (bound + terms) - bound, 0)
    low = terms - high
    return jnp.sum(high, axis, keepdims=True) + jnp.sum(low, axis, keepdims=True)
