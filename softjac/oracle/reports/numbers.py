"""How numbers are written: short enough to read, long enough to mean one number of their dtype."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["digits", "number", "plural", "ratio", "short"]

# Decimal digits that tell any two numbers of the dtype apart: 1 + ceil(p log10 2), p its precision.
DIGITS = {"float64": 17, "float32": 9, "float16": 5, "bfloat16": 4}


def digits(dtype: str) -> int:
    """Significant digits that determine a number of the dtype."""
    return DIGITS.get(dtype, 9)


def number(value: Any, dtype: str) -> str:
    """A number with as many digits as its dtype needs, and no more.

    Example:
        >>> import numpy as np
        >>> number(np.float32(0.1), "float32"), number(2.0, "float64"), number(np.inf, "float32")
        ('0.1', '2', 'inf')
    """
    if dtype == "float32":
        value = np.float32(value) if math.isfinite(float(value)) else value
    text = f"{float(value):.{digits(dtype)}g}"
    shortest = str(np.float32(value) if dtype == "float32" else float(value))
    shortest = shortest.removesuffix(".0")
    return shortest if len(shortest) < len(text) else text


def short(value: float) -> str:
    """Two significant digits, for a ratio or a count of ulps.

    Example:
        >>> short(0.4123), short(3214567.0), short(12.4), short(float("inf"))
        ('0.41', '3.2e+06', '12', 'inf')
    """
    return f"{value:.2g}" if not 10 <= abs(value) < 10000 else f"{value:.0f}"


def ratio(value: float | None) -> str:
    """The worst error over its bound, in words.

    Example:
        >>> ratio(0.41), ratio(None)
        ('error/bound 0.41', '')
    """
    return "" if value is None else f"error/bound {short(value)}"


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    Example:
        >>> plural(1, "call"), plural(41873, "call")
        ('1 call', '41,873 calls')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
