"""What the mistakes compute with: softmax, and numbers as the candidate's arithmetic holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle.sample import Sample

__all__ = [
    "VECTOR_LENGTHS",
    "Array",
    "body",
    "has_scale",
    "log",
    "log_softmax",
    "rounded",
    "softmax",
]

Array = np.ndarray[Any, np.dtype[Any]]

VECTOR_LENGTHS = (4, 8, 16, 32, 64)


def softmax(z: Array) -> Array:
    """Softmax of rows."""
    weights = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def log_softmax(z: Array) -> Array:
    """Log-softmax of rows."""
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def log(probabilities: Array) -> Array:
    """log, with log 0 = -inf; what is masked stays masked."""
    if isinstance(probabilities, np.ma.MaskedArray):
        return np.ma.masked_array(log(probabilities.data), mask=probabilities.mask)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(probabilities))


def rounded(values: Array, sample: Sample) -> Array:
    """Values as the candidate's arithmetic holds them: overflow and underflow included."""
    if sample.precision.name == "float64":
        return values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return values.astype(np.float32).astype(np.float64)


def body(sample: Sample, lanes: int) -> Array:
    """Which elements lie in whole vectors of so many lanes."""
    return np.asarray(np.arange(sample.n) < sample.n // lanes * lanes)


def has_scale(sample: Sample) -> bool:
    """Whether a lost scale would show."""
    return sample.scale != 1.0
