"""Rows of the right shape whose one number is rounded to few bits.

The number is the normaliser of a forward op, the sum or the mean of a product's vector.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence
from softjac.oracle.explaining.inquiry import ask
from softjac.oracle.judging.fit import judge
from softjac.oracle.judging.sample import Sample
from softjac.oracle.patterns.precision import LEAST, too_late
from softjac.oracle.trial import Trial

__all__ = ["normalisers", "rounding", "stalls"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

# Half of float16's smallest number: what is below may be lost; and its smallest normal number.
FLUSHED, NORMAL = 2.0**-25, 2.0**-14


def stalls(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """A sum of few bits: equal terms by the thousand are counted up to a power of two.

    Half as many terms swallow quarters then, in fewer places than are counted: so it is no limit
    on their number.
    """
    if trial.op.output == "jac":
        return
    counted = {}
    for n in (2**power for power in range(3, 17)):
        share = _counted(trial, np.ones((1, n)))
        if share is not None:
            counted[n] = share
    wrong = [n for n in counted if abs(counted[n] - 1.0) > 0.02]
    if not wrong:
        yield from _swallowed(trial)
        return
    limit = max((n for n in counted if n < min(wrong)), default=0)
    stuck = [n for n in wrong if abs(counted[n] * n / limit - 1.0) < 0.02] if limit else []
    if limit < 2**8 or wrong != stuck:
        return
    terms = np.where(np.arange(limit) < limit // 2, 1.0, 0.25)[None]
    shares = [_counted(trial, terms), _counted(trial, terms[:, ::-1])]
    if any(share is not None and share < 0.9 for share in shares):
        yield "low-precision-sum", 1.0, f"a sum of equal terms stops growing after {limit} of them"


def _swallowed(trial: Trial) -> Iterator[Explained]:
    """In float64: one large term swallows thousands that a float32 cannot add to it."""
    if trial.precision.name != "float64":
        return
    terms = np.full((1, 4096), 2.0**-26)
    terms[:, 0] = 1.0
    share = _counted(trial, terms)
    if share is not None and 2.0**-20 < abs(share - 1.0) < 2.0**-12:
        words = "a term of 1 swallows thousands of 2^-26, which 53 bits would hold"
        yield "low-precision-sum", 1.0, words


def _counted(trial: Trial, terms: Array) -> float | None:
    """The candidate's number over the right one, where these are the terms of its sum."""
    op, n = trial.op, terms.shape[1]
    if not trial.affordable(n):
        return None
    if op.vector is None:
        logits, vector = np.log(np.maximum(terms, np.exp(-0.9 * _depth(trial)))), None
    else:
        logits, vector = np.zeros(terms.shape), terms.copy()
        vector[:, -1] = 0.0
    batch = ask(trial, logits, vector)
    if batch is None:
        return None
    sample = trial.sample(batch.inputs, 1.0)
    with np.errstate(all="ignore"):
        if op.vector is None:
            return float(normalisers(sample, batch.got)[0] / np.exp(-sample.gap).sum())
        return float(batch.got[0, -1] / trial.op.formula(sample)[0, -1])


def normalisers(sample: Sample, got: Array) -> Array:
    """Each row's, as a forward op's largest element shows it: nobody gets its exponential wrong."""
    largest = got[np.arange(sample.rows), sample.gap.argmin(axis=1)]
    return np.asarray(np.exp(-largest) if sample.logarithmic else 1.0 / largest)


def _depth(trial: Trial) -> float:
    """A distance whose exponential is nearly nothing, but a number."""
    return {"float64": 700.0, "float16": 16.0}.get(trial.precision.name, 80.0)


def rounding(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows whose shape is right and whose one number is off by about a 16-bit rounding.

    A sum is off by more where it is longer; any other number by as much at all lengths. With so few
    bits either is off in short rows already: what begins later is a term that is missing. And it
    is off to either side there: what is always too small, or too large, was not rounded.
    """
    if trial.op.output == "jac":
        return
    shortest, worst, sizes = np.inf, 0.0, {True: 0.0, False: 0.0}
    sides: list[Array] = []
    for item in items:
        rows = item.failed & item.plain & np.isfinite(item.got).all(axis=1)
        if not rows.any():
            continue
        larger = np.where(np.abs(item.got) > np.abs(item.exact), item.got, item.exact)
        bound = trial.op.bound(item.sample, larger)
        size = bound.windows[0] / ((item.sample.n + 3) * trial.precision.u)
        bound.windows = tuple(2.0**17 * window + FLUSHED for window in bound.windows)
        bound.likely = bound.windows
        with np.errstate(all="ignore"):
            judged = judge(item.got - item.exact, bound)
        if not (judged.ratio[rows] <= 1.0).all():
            return
        shortest = min(shortest, item.sample.n)
        if item.sample.n < 500:
            sides.append(judged.numbers[rows, 0] > 0.0)
        off = np.abs(judged.numbers[:, 0]) * bound.windows[0] / np.maximum(size, NORMAL)
        largest = float(off[rows].max())
        worst = max(worst, largest)
        if not 8 < item.sample.n < 500:
            sizes[item.sample.n > 8] = max(sizes[item.sample.n > 8], largest)
    if not sides or too_late(trial, int(shortest)) or worst > 2.0**-4:
        return  # a term is missing, or counted twice
    more = np.concatenate(sides).mean()
    if trial.op.vector is None and not 0.02 < more < 0.98:
        return
    if sizes[True] > 4.0 * sizes[False]:
        yield "low-precision-sum", 1.0, f"one number a row is off, from n = {shortest} on"
    elif LEAST[trial.precision.name] <= worst < 2.0**-6:
        yield "low-precision", 1.0, f"one number a row is off by up to {worst:.2g} of its terms"
