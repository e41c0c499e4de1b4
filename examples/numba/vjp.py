"""The vector-Jacobian product of a batch, compiled by Numba."""

import numpy as np
from numba import njit


@njit
def vjp(y, dy):
    rows, n = y.shape
    dx = np.empty_like(y)
    for r in range(rows):
        s = y.dtype.type(0)
        for i in range(n):
            s += y[r, i] * dy[r, i]
        for i in range(n):
            dx[r, i] = y[r, i] * (dy[r, i] - s)
    return dx


@njit
def vjp_of_batch(y, dy):
    """The mistake: the sum is not set back to 0 at the start of a row."""
    rows, n = y.shape
    dx = np.empty_like(y)
    s = y.dtype.type(0)
    for r in range(rows):
        for i in range(n):
            s += y[r, i] * dy[r, i]
        for i in range(n):
            dx[r, i] = y[r, i] * (dy[r, i] - s)
    return dx
