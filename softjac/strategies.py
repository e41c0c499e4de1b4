"""Hypothesis strategies for rows in which every element matters (extra `softjac[strategies]`).

They draw from the same named, seeded kinds of rows that the oracle uses: spikes, offsets, ties,
saturated and masked rows, cotangents that cancel. A failing row shrinks towards few, short and
ordinary ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from softjac._errors import ArgumentError
from softjac.oracle import inputs
from softjac.oracle.ops import OPS
from softjac.oracle.precision import PRECISIONS

__all__ = ["arguments", "cotangents", "logits"]

Array = np.ndarray[Any, np.dtype[Any]]


@st.composite
def drawn(draw: st.DrawFn, op: str, dtype: str, rows: int, n: int, roles: Any) -> dict[str, Array]:
    """Arrays of the roles, `(rows, n)`."""
    picked = [
        inputs.Row(
            draw(st.sampled_from(list(inputs.LOGITS))),
            draw(st.sampled_from(list(inputs.VECTORS))),
            draw(st.integers(0, max(0, n - 1))),
            draw(st.integers(0, 2**32)),
        )
        for _ in range(rows)
    ]
    return inputs.make(picked, n, OPS[op], roles, PRECISIONS[dtype], 1.0)


def sizes(rows: tuple[int, int], n: tuple[int, int]) -> st.SearchStrategy[tuple[int, int]]:
    """Numbers of rows and of classes between the given ones."""
    return st.tuples(st.integers(*rows), st.integers(*n))


def arguments(
    op: str,
    dtype: str = "float32",
    *,
    rows: tuple[int, int] = (1, 4),
    n: tuple[int, int] = (1, 130),
    from_logits: bool = False,
) -> st.SearchStrategy[dict[str, Array]]:
    """The inputs of an op by their roles, of one shape.

    Args:
        op: one of the eight ops.
        dtype: "float32", "float64", "bfloat16" or "float16".
        rows: least and most rows.
        n: least and most classes.
        from_logits: whether a derivative op gets `x` instead of `y`.

    Returns:
        A strategy for dictionaries such as {"y": ..., "dy": ...}, each array `(rows, n)`; `y`
        is the forward op of the row's logits.

    Raises:
        ArgumentError: an unknown op or dtype.

    Example:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, deadline=None)
        ... @given(arguments("softmax_vjp"))
        ... def cotangent_sums_to_zero(given):
        ...     y, dy = given["y"].astype("float64"), given["dy"].astype("float64")
        ...     dx = y * (dy - (y * dy).sum(-1, keepdims=True) / y.sum(-1, keepdims=True))
        ...     assert (abs(dx.sum(-1)) <= 1e-12 * abs(y * dy).sum(-1)).all()
        >>> cotangent_sums_to_zero()
    """
    if op not in OPS:
        raise ArgumentError(f"op must be one of {', '.join(OPS)}; got {op!r}")
    if dtype not in PRECISIONS:
        raise ArgumentError(f"dtype must be one of {', '.join(PRECISIONS)}; got {dtype!r}")
    roles = OPS[op].takes[-1 if from_logits else 0]
    return sizes(rows, n).flatmap(lambda size: drawn(op, dtype, *size, roles))


def logits(
    dtype: str = "float32", *, rows: tuple[int, int] = (1, 4), n: tuple[int, int] = (1, 130)
) -> st.SearchStrategy[Array]:
    """Logits that reveal what a random row hides.

    Args:
        dtype: as in `arguments`.
        rows: least and most rows.
        n: least and most classes.

    Returns:
        A strategy for arrays `(rows, n)`; some entries may be -inf, never a whole row.

    Raises:
        ArgumentError: an unknown dtype.

    Example:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, deadline=None)
        ... @given(logits())
        ... def probabilities_sum_to_one(x):
        ...     e = np.exp((x - x.max(-1, keepdims=True)).astype("float64"))
        ...     assert abs((e / e.sum(-1, keepdims=True)).sum(-1) - 1).max() < 1e-12
        >>> probabilities_sum_to_one()
    """
    return arguments("softmax", dtype, rows=rows, n=n).map(lambda given: given["x"])


def cotangents(shape: tuple[int, int], dtype: str = "float32") -> st.SearchStrategy[Array]:
    """Cotangents for a result of this shape.

    Args:
        shape: `(rows, n)`.
        dtype: as in `arguments`.

    Returns:
        A strategy for arrays of the shape: random, one-hot, constant, huge, tiny, alternating,
        offset.

    Raises:
        ArgumentError: an unknown dtype.

    Example:
        >>> from hypothesis import given, settings
        >>> @settings(max_examples=5, deadline=None)
        ... @given(cotangents((2, 3)))
        ... def has_the_shape(dy):
        ...     assert dy.shape == (2, 3)
        >>> has_the_shape()
    """
    rows, n = shape
    given = arguments("softmax_vjp", dtype, rows=(rows, rows), n=(n, n))
    return given.map(lambda found: found["dy"])
