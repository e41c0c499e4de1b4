"""Judges rows that came back against the reference, within the op's bound."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import reference
from softjac.oracle.judging.fit import EXACT_ROWS, Judged, judge
from softjac.oracle.judging.library_derivative import library_bounds
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op
from softjac.oracle.precision import Precision

__all__ = ["judge_rows", "overflowed"]

Array = np.ndarray[Any, np.dtype[Any]]

# Elements at a time: what is computed on the way stays in a processor's own cache.
BLOCK = 2**15

# Ratios of error to bound that are judged again with proof: the reference of a float64 candidate is
# itself off by up to 2^-11 of the bound.
NEARLY_ONE = (0.99, 1.01)


def judge_rows(
    op: Op,
    sample: Sample,
    got: Array,
    *,
    own_sums: bool = False,
    differentiated: bool = False,
    proven: bool = False,
    answered: bool = True,
) -> tuple[Array | None, Judged]:
    """The exact answer, `(rows, elements)`, and the verdict on each row of `got`.

    own_sums says that the candidate may sum afresh for every element, differentiated that a library
    may have taken its derivative, through the row's maximum too; proven, that the answer be proven;
    answered, that it is wanted where all rows pass as well.
    """
    with np.errstate(all="ignore"):
        high, low = reference.answer(op, sample, proven=proven)
        step = max(1, BLOCK // max(got.shape[1], 1))
        parts: list[Judged] = []
        exactly = EXACT_ROWS
        for start in range(0, len(got), step):
            part = slice(start, start + step)
            few, exact = sample.take(part), high[part]
            bound = op.bound(few, exact)
            residual = reference.residual(got[part], (exact, low[part] if len(low) > 1 else low))
            beyond: Array | None = None
            if np.isinf(got[part]).any():
                beyond = overflowed(sample.precision, got[part], exact, bound.own())
                bound.tolerance = np.where(beyond, np.inf, bound.tolerance)
                residual = np.where(beyond, 0.0, residual)
            judged = judge(residual, bound, exactly=exactly)
            exactly -= int((judged.ratio > 1.0).sum())
            if differentiated and (judged.ratio > 1.0).any():
                for bound in library_bounds(op, few, exact):
                    if beyond is not None:
                        bound.tolerance = np.where(beyond, np.inf, bound.tolerance)
                    within = (np.abs(residual) <= bound.own()).all(axis=1)
                    rows = np.flatnonzero((judged.ratio > 1.0) & within)
                    judged.replace(rows, judge(residual[rows], bound.take(rows)))
            if own_sums and (judged.ratio > 1.0).any():
                rows = np.flatnonzero(judged.ratio > 1.0)
                judged.replace(rows, judge(residual[rows], bound.take(rows), own_sums=True))
            parts.append(judged)
    judged = Judged.joined(parts)
    near = (judged.ratio > NEARLY_ONE[0]) & (judged.ratio < NEARLY_ONE[1])
    extended = sample.precision.name == "float64" and not proven and reference.has_extended()
    if extended and near.any():
        high[near], again = judge_rows(
            op,
            sample.take(near),
            got[near],
            own_sums=own_sums,
            differentiated=differentiated,
            proven=True,
        )
        judged.replace(near, again)
    return (high if answered or not (judged.ratio <= 1.0).all() else None), judged


def overflowed(precision: Precision, got: Array, exact: Array, own: Array) -> Array:
    """Where an infinity is the rounded result: the dtype's numbers end before it does."""
    beyond = np.isfinite(exact) & (np.abs(exact) + own >= precision.largest)
    return np.asarray(np.isinf(got) & (np.sign(got) == np.sign(exact)) & beyond)
