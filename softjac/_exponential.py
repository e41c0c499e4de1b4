"""The exponential of a logit less the row's maximum, whatever the platform's own exp is worth."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from softjac._types import Array

__all__ = ["exponential"]


class _Format(NamedTuple):
    """What a dtype asks for: its exponent's bias, its bits, and ln 2 as a sum."""

    integers: str
    bias: int
    fraction: int
    # High + low is ln 2; k times high is exact for every exponent k (W. J. Cody and W. Waite,
    # "Software Manual for the Elementary Functions", 1980).
    high: float
    low: float
    # On |r| <= ln(2)/2 the next term of exp's series is below 0.1 u.
    degree: int


_FORMATS = {
    "float32": _Format(
        "int32", 127, 23, float.fromhex("0x1.62e4p-1"), float.fromhex("0x1.7f7d1cp-20"), 7
    ),
    "float64": _Format(
        "int64", 1023, 52, float.fromhex("0x1.62e42fefa38p-1"),
        float.fromhex("0x1.ef35793c7673p-45"), 13,
    ),
}  # fmt: skip


def exponential(difference: Array, error: Array) -> Array:
    """Take exp(difference + error), for difference <= 0 and what its rounding lost.

    exp(d) = 2^k exp(r) with k = round(d / ln 2). The error, lost in a sum with d, is added to r;
    after an exp it would cost a product. Within 2 u; 0 from the smallest normal number on.

    Divides by 2^-k instead of multiplying by 2^k: equally exact, and XLA does not recompute a
    quotient in each consumer loop.
    """
    form = _FORMATS[difference.dtype.name]
    lowest = -(form.bias + 1) * math.log(2)
    clamped = jnp.maximum(difference, lowest)
    # In the sum with so large a number the quotient is rounded to an integer: its last bits.
    large = jnp.full_like(difference, 1.5 * 2**form.fraction)
    k = _bits(clamped * (1 / math.log(2)) + large) - _bits(large)
    whole = k.astype(difference.dtype)
    r = (clamped - whole * form.high) - whole * form.low
    r = r + jnp.where(difference > lowest, error, 0)  # an infinite difference has NaN for error
    series = jnp.full_like(r, 1 / math.factorial(form.degree))
    for power in range(form.degree - 1, -1, -1):
        series = series * r + 1 / math.factorial(power)
    biased = form.bias - k  # at the lowest difference: 2^-k is infinite
    return series / lax.bitcast_convert_type(biased << form.fraction, difference.dtype)


def _bits(x: Array) -> Array:
    return lax.bitcast_convert_type(x, _FORMATS[x.dtype.name].integers)
