"""What is taken off the logits instead of their maximum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from softjac.oracle.judging.sample import Sample
from softjac.oracle.mistakes.arithmetic import VECTOR_LENGTHS, Array

__all__ = ["FLOORS", "Shift", "floored", "nothing", "own_maximum", "shifts"]

Shift = Callable[[Sample], Array]

# What a maximum is started from.
FLOORS = (
    *(0.0, 1.1754944e-38, -1.0, -10.0, -100.0, -1e3, -1e4, -5e4, -65504.0),
    *(-1e5, -1e6, -1e9, -1e10, -1e20, -1e30, -1e37),
)

# How many rows may be computed together.
GROUPS = (2, 4, 8, 16, 32, 64)


def shifts() -> Iterator[tuple[str, Shift, bool]]:
    """What is taken off the logits instead of their maximum; whether it mixes up rows."""
    yield "no-max-subtraction", nothing, False
    for floor in FLOORS:
        yield "max-from-constant", partial(floored, floor=floor), False
    places: list[Callable[[int], slice | Array]]
    places = [_first_half, _first, _all_but_first, _all_but_last, _even, _odd]
    for lanes in VECTOR_LENGTHS:
        places += [partial(_whole_vectors, lanes=lanes), partial(_first_vector, lanes=lanes)]
        places += [partial(_quarter, lanes=lanes, lost=lost) for lost in range(4)]
        places.append(partial(_low_half, lanes=lanes))
    for seen in places:
        yield "partial-max", partial(_partial, seen=seen), False
    yield "batch-max", lambda s: np.full((s.rows, 1), s.z.max()), True
    for rows in GROUPS:
        for cut in (False, True):
            yield "batch-max", partial(_of_rows, rows=rows, cut=cut), True
    yield "low-precision", _in_single, False


def nothing(sample: Sample) -> Array:
    """Nothing is taken off."""
    return np.zeros((sample.rows, 1))


def floored(sample: Sample, floor: float) -> Array:
    """A maximum started from a constant."""
    return np.asarray(np.maximum(own_maximum(sample), floor))


def own_maximum(sample: Sample) -> Array:
    """The row's maximum."""
    return np.asarray(sample.z.max(axis=1, keepdims=True))


def _of_rows(sample: Sample, rows: int, cut: bool) -> Array:
    """The maximum of each group of so many rows.

    The last may be cut short; else rows that groups do not fill keep their own, all of them.
    """
    own = own_maximum(sample)
    if sample.rows % rows and not cut:
        return own
    starts = np.arange(0, sample.rows, rows)
    return np.asarray(np.maximum.reduceat(own, starts)[np.arange(sample.rows) // rows])


def _in_single(sample: Sample) -> Array:
    """The maximum of float64 rows rounded to float32; that of others is no wider."""
    largest = own_maximum(sample)
    if sample.precision.name != "float64":
        return largest
    return largest.astype(np.float32).astype(np.float64)


def _partial(sample: Sample, seen: Callable[[int], slice | Array]) -> Array:
    """The maximum of a part of the row; of nothing, that of the row."""
    part = sample.z[:, seen(sample.n)]
    return np.asarray(part.max(axis=1, keepdims=True)) if part.size else own_maximum(sample)


def _first_half(n: int) -> slice:
    return slice(0, n // 2)


def _first(n: int) -> slice:
    return slice(0, 1)


def _all_but_first(n: int) -> slice:
    return slice(1, None)


def _all_but_last(n: int) -> slice:
    return slice(0, n - 1)


def _even(n: int) -> slice:
    return slice(0, None, 2)


def _odd(n: int) -> slice:
    return slice(1, None, 2)


def _whole_vectors(n: int, lanes: int) -> slice:
    return slice(0, n // lanes * lanes)


def _first_vector(n: int, lanes: int) -> slice:
    return slice(0, lanes)


def _quarter(n: int, lanes: int, lost: int) -> Array:
    """All but one quarter of each vector: an accumulator that is left out."""
    place = np.arange(n)
    kept = (place % lanes // (lanes // 4) != lost) | (place >= n // lanes * lanes)
    return np.flatnonzero(kept)


def _low_half(n: int, lanes: int) -> Array:
    """The lower half of each vector."""
    place = np.arange(n)
    return np.flatnonzero((place % lanes < lanes // 2) | (place >= n // lanes * lanes))
