"""What the mistakes compute with: softmax, and numbers as the candidate's arithmetic holds them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np

from softjac.oracle.judging.sample import Sample

__all__ = [
    "VECTOR_LENGTHS",
    "Array",
    "as_computed",
    "body",
    "column_by_column",
    "eye",
    "has_scale",
    "log",
    "log_softmax",
    "longer",
    "misread",
    "narrowed",
    "ragged",
    "rescaled",
    "rounded",
    "softmax",
    "underflow",
    "unknown_at",
    "unsure",
    "with_diagonal",
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


def rescaled() -> tuple[tuple[str, Callable[[Sample], Sample]], ...]:
    """The rows as if the scale were left out, divided by, or multiplied by twice.

    Before the maximum is taken off or after: far from 0 that is rounded differently.
    """

    def before(sample: Sample, change: Callable[[Array, float], Array]) -> Sample:
        z = rounded(change(sample.given["x"], sample.scale), sample)
        return sample.with_gap(z.max(axis=1, keepdims=True) - z)

    def after(sample: Sample, change: Callable[[Array, float], Array]) -> Sample:
        return sample.with_gap(change(sample.unscaled.gap, sample.scale))

    def squared(values: Array, scale: float) -> Array:
        return values * scale * scale

    return (
        ("missing-scale", lambda sample: sample.unscaled),
        *(
            ("wrong-factor", partial(taken, change=change))
            for taken in (before, after)
            for change in (np.divide, squared)
        ),
    )


def column_by_column(formula: Callable[[Sample], Array]) -> Callable[[Sample], Array]:
    """A formula on a batch whose elements are taken to be stored column by column."""

    def made(sample: Sample) -> Array:
        rows, n = sample.rows, sample.n
        other = sample.take(np.arange(rows))
        other.given = {role: array.reshape(n, rows).T for role, array in sample.given.items()}
        return np.asarray(formula(other).T.reshape(rows, n))

    return made


def as_computed(values: Array, sample: Sample) -> Array:
    """Values as arithmetic in float64 holds them, whatever the candidate's storage is."""
    return values


def narrowed(values: Array, sample: Sample) -> Array:
    """Values as the candidate's storage holds them, overflow and underflow included."""
    if sample.precision.bits > 16:
        return rounded(values, sample)
    dtype = np.float16 if sample.precision.name == "float16" else ml_dtypes.bfloat16
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.asarray(values.astype(dtype).astype(np.float64))


def underflow(sample: Sample) -> tuple[Array, Array]:
    """Which probabilities the candidate's arithmetic holds as 0, and which are nearly lost."""
    kept = rounded(sample.y, sample)
    lost = kept == 0.0
    return lost, (kept < 1e3 * sample.precision.tiny) & ~lost


def unknown_at(mask: Array | np.bool_ | bool, values: Array) -> Array:
    """Values of which nothing is said where masked, not even that they are numbers."""
    where = np.broadcast_to(mask, values.shape)
    return np.ma.masked_array(np.where(where, np.nan, values), mask=where)


def unsure(inputs: Array, values: Array) -> Array:
    """Values, unsure in the rows where the inputs are not finite."""
    return unknown_at(~np.isfinite(inputs).all(axis=1, keepdims=True), values)


def eye(y: Array) -> Array:
    """Identity matrices, one for each row of probabilities, `(rows, n, n)`."""
    return np.broadcast_to(np.eye(y.shape[1]), (*y.shape, y.shape[1]))


def with_diagonal(matrices: Array, values: Array) -> Array:
    """The matrices with other values on the diagonal."""
    on = np.arange(values.shape[1])
    changed = matrices.copy()
    changed[:, on, on] = values
    return changed


def body(sample: Sample, lanes: int) -> Array:
    """Which elements lie in whole vectors of so many lanes."""
    return np.asarray(np.arange(sample.n) < sample.n // lanes * lanes)


def misread(lanes: int) -> tuple[Callable[[int], Array], ...]:
    """Which element is read in place of each, where a pointer over vectors is not advanced.

    Never, never before the tail, only every second or fourth time, and back to the start for the
    tail.
    """

    def never(n: int) -> Array:
        return np.arange(n) % lanes

    def before_tail(n: int) -> Array:
        place = np.arange(n)
        return np.where(place < n // lanes * lanes, place % lanes, place)

    def within(several: int, n: int) -> Array:
        place, step = np.arange(n), several * lanes
        return np.where(place < n // step * step, place // step * step + place % lanes, place)

    def tail_from_start(n: int) -> Array:
        place, start = np.arange(n), n // lanes * lanes
        return np.where(place >= start, place - start, place)

    return never, before_tail, partial(within, 2), partial(within, 4), tail_from_start


def longer(lanes: int, sample: Sample) -> bool:
    """Whether there is more than one vector."""
    return bool(sample.n > lanes)


def ragged(lanes: int, sample: Sample) -> bool:
    """Whether anything is left after whole vectors."""
    return bool(sample.n % lanes)


def has_scale(sample: Sample) -> bool:
    """Whether a lost scale would show."""
    return sample.scale != 1.0
