"""What `softjac show` prints: softmax, its Jacobian and a VJP at a few logits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["show_lines"]

# Below this a fixed number of decimals would hide the digits.
SMALL = 1e-4


def entry(value: float) -> str:
    """Eight digits behind the point, or nine significant ones where those would hide too much."""
    if value == 0 or not np.isfinite(value) or abs(value) >= SMALL:
        return f"{value:.8f}".replace("-0.00000000", "0.00000000")
    return f"{value:.8e}"


def row_text(values: Any) -> str:
    """A row of numbers, aligned."""
    return "".join(f"{entry(float(value)):>16}" for value in values)


def show_lines(logits: Sequence[float]) -> Iterator[str]:
    """Softmax, Jacobian and VJP of the logits, by the reference in float64.

    Args:
        logits: x, at least one.

    Returns:
        Lines of text. The VJP is that of the cotangent (1, 0, ..., 0), beside what the diagonal
        alone would give.
    """
    import jax

    from softjac import softmax, softmax_jacobian, softmax_vjp

    x = np.asarray(logits, dtype=np.float64)
    cotangent = np.zeros_like(x)
    cotangent[0] = 1.0
    with jax.enable_x64(True):
        result = softmax(x)
        matrix = np.asarray(softmax_jacobian(result))
        pulled = np.asarray(softmax_vjp(result, cotangent))
        y = np.asarray(result)
    yield "x" + row_text(x)
    yield "y" + row_text(y)
    yield ""
    yield "Jacobian, entry (i, j) = dy_i / dx_j:"
    yield from (" " + row_text(row) for row in matrix)
    yield ""
    yield "VJP, the Jacobian transposed times a cotangent dy:"
    yield "dy" + row_text(cotangent)[1:]
    yield "dx" + row_text(pulled)[1:]
    yield "the diagonal alone would give:"
    yield "  " + row_text(np.diagonal(matrix) * cotangent)[1:]
