"""Sums that begin with what new memory holds: a Python candidate finds one number there.

The number is the normaliser of a forward op, the sum or the mean of a product's vector. That of the
sandbox's new memory lies so far out that nobody computes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence
from softjac.oracle.failure import counted
from softjac.oracle.patterns.sums import normalisers
from softjac.oracle.storage import fresh
from softjac.oracle.trial import Trial

__all__ = ["sums"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

ENOUGH = 3  # rows whose sums show it


def sums(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """The sums of several rows are what new memory is filled with."""
    if trial.candidate.kind != "python" or trial.op.output == "jac":
        return
    held, shown = fresh(trial.candidate.dtype), 0
    with np.errstate(all="ignore"):
        for item in items:
            rows = item.failed & item.plain
            shown += int((np.abs(_numbers(trial, item)[rows] / held - 1.0) < 1e-2).sum())
    if shown >= ENOUGH:
        words = f"the sums of {counted(shown, 'row')} begin with what new memory is filled with"
        yield "nondeterministic", 1.0, words


def _numbers(trial: Trial, item: Evidence) -> Array:
    """Each row's number, as the element shows it that moves most with it."""
    if trial.op.vector is None:
        return normalisers(item.sample, item.got)
    moved = np.broadcast_to(item.directions[0], item.got.shape)
    row, place = np.arange(item.batch.rows), np.abs(moved).argmax(axis=1)
    return np.asarray((item.got - item.exact)[row, place] / moved[row, place])
