"""Which answer judges whom: the JAX functions in float64; float64 candidates, a wider answer.

For them the textbook formula is taken in extended precision, where the processor has it. It is an
honest computation itself, with u = 2^-64: by the derivation of the bounds its error is at most
2^-11 of what a float64 candidate is allowed, so that only verdicts nearer to the bound than that
need an enclosure in ball arithmetic.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from softjac.oracle.judging import programs
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op

__all__ = ["answer", "has_extended", "prepare", "residual", "seconds_compiling"]

Array = np.ndarray[Any, np.dtype[Any]]

# Rows are padded into few shapes, so that XLA compiles each once (0.1 s): lengths up to these, a
# little past powers of two, and about this many elements at a time. Padding is neutral: logits
# -inf, probabilities and vectors 0.
LENGTHS = (136, 1040, 16_400, 131_088)
ELEMENTS = 2**15

# A Jacobian's padding is squared: shorter steps, up to the longest there is room for.
SQUARE_LENGTHS = (8, 34, 136, 272, 1080, 1450)

# So short a row is padded to this where there are very many of them.
SHORT, MANY = 8, 2**21


def answer(op: Op, sample: Sample, *, proven: bool = False) -> tuple[Array, Array]:
    """The exact answer as (high, low), flattened to `(rows, elements)`; their sum is the value.

    For float32 and 16-bit candidates `low` is 0 and `high` is the JAX reference in float64. For
    float64 candidates both come from extended precision, or, `proven`, from an enclosure.
    """
    if sample.rows == 0 or sample.n == 0:
        shape = (sample.rows, sample.n * (sample.n if op.output == "jac" else 1))
        return np.zeros(shape), np.zeros(shape)
    if sample.precision.name == "float64":
        return _extended(op, sample) if not proven and has_extended() else _enclosed(op, sample)
    return _from_jax(op, sample), np.zeros(1)


def prepare(op: Op, roles: tuple[str, ...], dtype: str) -> None:
    """Imports JAX and compiles what short rows of these roles will need; nothing for float64."""
    if dtype == "float64":
        return
    import jax

    with jax.enable_x64(True):
        _compiled(op.name, op.forward, op.vector, roles, _padded(op, 1))


def residual(got: Array, exact: tuple[Array, Array]) -> Array:
    """got - exact, 0 where both are the same infinity."""
    high, low = exact
    with np.errstate(invalid="ignore", over="ignore"):
        difference = (got - high) - low
    difference[np.isinf(high) & (got == high)] = 0.0
    return difference


def _from_jax(op: Op, sample: Sample) -> Array:
    """The reference in float64, computed in padded blocks."""
    import jax

    n, rows = sample.n, sample.rows
    block, length = _padded(op, n, rows)
    roles = tuple(sample.given)
    found = np.empty(op.shape(rows, n))
    with jax.enable_x64(True):
        run = _compiled(op.name, op.forward, op.vector, roles, (block, length))
        for start in range(0, rows, block):
            stop = min(rows, start + block)
            padded = []
            for role in roles:
                logits = role == "x" or (role == "y" and op.logarithmic)
                array = np.empty((block, length))
                array[: stop - start, :n] = sample.given[role][start:stop]
                array[: stop - start, n:] = -np.inf if logits else 0.0
                array[stop - start :] = 0.0  # rows of padding alone must not be masked whole
                padded.append(array)
            out = np.asarray(run(*padded, float(sample.scale)))[: stop - start]
            found[start:stop] = out[:, :n, :n] if op.output == "jac" else out[:, :n]
    return found.reshape(rows, -1)


def _padded(op: Op, n: int, rows: int = 1) -> tuple[int, int]:
    """The shape that so many rows of length n are computed in."""
    lengths = SQUARE_LENGTHS if op.output == "jac" else LENGTHS
    length = next((size for size in lengths if size >= n), -(-n // lengths[-1]) * lengths[-1])
    if n <= SHORT and rows * LENGTHS[0] > MANY:
        length = SHORT
    square = length if op.output == "jac" else 1
    return max(1, ELEMENTS // (length * square)), length


def seconds_compiling() -> float:
    """Processor seconds this process has spent so far on compiling the reference."""
    return sum(_compiling)


_compiling: list[float] = []


@cache
def _compiled(
    name: str,
    forward: str,
    vector: str | None,
    roles: tuple[str, ...],
    shape: tuple[int, int],
) -> Any:
    """The compiled reference of an op for these input roles, each of this shape."""
    import jax

    def run(*arrays: Any) -> Any:
        import softjac

        result, derivative = getattr(softjac, forward), getattr(softjac, name)
        *inputs, scale = arrays
        given = dict(zip(roles, inputs, strict=True))
        if name == forward:
            return result(given["x"], scale=scale)
        y = given["y"] if "y" in given else result(given["x"], scale=scale)
        return scale * (derivative(y) if vector is None else derivative(y, given[vector]))

    started = time.process_time()
    program = programs.kept(
        f"{name} {' '.join(roles)} {shape}",
        lambda: jax.jit(run).lower(*(np.zeros(shape) for _ in roles), 1.0).compile(),
    )
    _compiling.append(time.process_time() - started)
    return program


def has_extended() -> bool:
    """Whether long double has 64 bits here, and a candidate in this process left it so."""
    return bool(np.longdouble(1.0) + np.longdouble(2.0) ** -63 > 1.0)


def _extended(op: Op, sample: Sample) -> tuple[Array, Array]:
    """The formula in extended precision; rows that have no finite answer as the enclosure says."""
    with np.errstate(all="ignore"):
        value = op.formula(sample.extended()).reshape(sample.rows, -1)
        high = value.astype(np.float64)
        low = np.where(np.isfinite(high), value - high, 0.0).astype(np.float64)
    usual = [_is_usual(role, array) for role, array in sample.given.items()]
    odd = np.flatnonzero(~np.all(usual, axis=0))
    if odd.size:
        high[odd], low[odd] = _enclosed(op, sample.take(odd))
    return high, low


def _is_usual(role: str, array: Array) -> Array:
    """Which rows are finite, but for -inf beside finite numbers in logits or log-probabilities."""
    finite = np.isfinite(array)
    masked = np.isneginf(array) if role in ("x", "y") else False
    return np.asarray((finite | masked).all(axis=1) & finite.any(axis=1))


def _enclosed(op: Op, sample: Sample) -> tuple[Array, Array]:
    """The enclosure, row by row."""
    from softjac.oracle import enclosure

    function = getattr(enclosure, op.name)
    high, low = [], []
    for row in range(sample.rows):
        given = {role: array[row].tolist() for role, array in sample.given.items()}
        parts = enclosure.split(_flat(function(**given, scale=sample.scale)))
        high.append(parts[0])
        low.append(parts[1])
    return np.stack(high), np.stack(low)


def _flat(values: Sequence[Any]) -> list[Any]:
    """A Jacobian's rows one after the other."""
    if values and isinstance(values[0], list):
        return [value for row in values for value in row]
    return list(values)
