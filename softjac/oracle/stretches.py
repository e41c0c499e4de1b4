"""The stretch of a row around each element in which no logit is larger."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["sums_beside"]

Array = np.ndarray[Any, np.dtype[Any]]


def sums_beside(gap: Array, values: Array) -> Array:
    """Σ of the values over each element's stretch, the element's own too; 0 where it stands alone.

    A stretch is grown by windows of powers of two, the widest first, whose sums are known: nothing
    is subtracted, so that small sums keep their digits.

    Args:
        gap: `(rows, n)`, how far below the row's largest each logit lies.
        values: `(rows, n)`, not negative.

    Example:
        >>> sums_beside(np.array([[3.0, 1.0, 2.0, 0.0]]), np.array([[1.0, 10.0, 100.0, 1000.0]]))
        array([[   0.,  111.,    0., 1111.]])
    """
    rows, n = gap.shape
    nearest, sums = [gap], [values]  # of the window of 2^k elements that begins at each
    while 2 ** len(sums) < n:
        half = 2 ** (len(sums) - 1)
        nearest.append(np.minimum(nearest[-1][:, :-half], nearest[-1][:, half:]))
        sums.append(sums[-1][:, :-half] + sums[-1][:, half:])
    row = np.arange(rows)[:, None]
    left = np.broadcast_to(np.arange(n), gap.shape)
    right = left + 1
    found = np.zeros(gap.shape)
    for k in range(len(sums) - 1, -1, -1):
        last = n - 2**k  # where the last window begins
        begin = left - 2**k
        fits = (begin >= 0) & (nearest[k][row, np.maximum(begin, 0)] >= gap)
        found = found + np.where(fits, sums[k][row, np.maximum(begin, 0)], 0.0)
        left = np.where(fits, begin, left)
        begin = np.minimum(right, last)
        fits = (right <= last) & (nearest[k][row, begin] >= gap)
        found = found + np.where(fits, sums[k][row, begin], 0.0)
        right = np.where(fits, right + 2**k, right)
    return np.where(right - left > 1, found + values, 0.0)
