"""Sums whose rounding is known, whatever order XLA adds in."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["accurate_sum"]

_FEW = 4
_MANY = 4096
_PARTS = 16


def accurate_sum(terms: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Sum over axes, kept with length 1, with few roundings a term.

    Up to 4096 terms are summed exactly but for the last rounding; sixteen parts of a longer axis
    are added to each other first, again and again. So a term passes through 1, 16, 31 or 46
    roundings at n = 4096, 2^16, 2^20 or 2^24: at most 1 + 2 log2 n.
    Not linear to JAX: for sums that are to be transposed there is `jnp.sum`.
    """
    # High and low parts must come from the same bits. A product that one loop fuses into its sum
    # and another rounds first would not be the same: the selection stands in between.
    terms = jnp.where(terms != 0, terms, 0)
    for axis in axes:
        while terms.shape[axis] > _MANY:
            terms = _add_parts(terms, axis)
        terms = _exact_sum(terms, axis)
    return terms


def _add_parts(terms: jax.Array, axis: int) -> jax.Array:
    """Add sixteen parts of an axis to each other, in sequence, padded with zeros."""
    size = terms.shape[axis]
    length = -(-size // _PARTS)
    zero = np.zeros((), terms.dtype)
    if length * _PARTS != size:
        widths = [(0, 0, 0)] * terms.ndim
        widths[axis] = (0, length * _PARTS - size, 0)
        terms = lax.pad(terms, zero, widths)
    shape = (*terms.shape[:axis], _PARTS, length, *terms.shape[axis + 1 :])
    sums: jax.Array = lax.reduce(lax.reshape(terms, shape), zero, lax.add, (axis,))
    return sums


def _exact_sum(terms: jax.Array, axis: int) -> jax.Array:
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
    return jnp.sum(high, axis, keepdims=True) + jnp.sum(terms - high, axis, keepdims=True)
