"""What numbers are stored as: the dtypes, and what an output holds before a call."""

from __future__ import annotations

from typing import Any, Literal

import ml_dtypes
import numpy as np

from softjac.oracle.calls.guard import POISON
from softjac.oracle.calls.process import FRESH_BYTE

__all__ = ["fresh", "held_before", "storage"]


def storage(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a dtype's name; bfloat16 is ml_dtypes'."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


def held_before(name: str, poison: Literal["nan", "finite"]) -> float:
    """What each element of an output of this dtype holds before a call: nobody computes it."""
    dtype = storage(name)
    pattern = np.array([POISON[name][poison]], f"u{dtype.itemsize}")
    return float(pattern.view(dtype).astype(np.float64)[0])


def fresh(name: str) -> float:
    """What each element of a Python candidate's new array holds: nobody computes it."""
    dtype = storage(name)
    return float(np.full(dtype.itemsize, FRESH_BYTE, np.uint8).view(dtype).astype(np.float64)[0])
