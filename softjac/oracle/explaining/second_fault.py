"""Circumstances that change wrong values into others: a fault beside the one in the formula.

A call is made again without the circumstance. Where that gives other values, by far more than
rounding, and gives them each time, the circumstance does harm whatever the formula is worth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from softjac.oracle.failure import Batch, Failure, bits
from softjac.oracle.planning.plan import ROOMY
from softjac.oracle.trial import Trial

__all__ = ["explain_second_fault"]

Array = np.ndarray[Any, np.dtype[Any]]

FEW = 4  # calls of a kind that are made again


def explain_second_fault(trial: Trial) -> Iterator[tuple[str, float, str]]:
    """Names of what row strides, threads or shared memory do to values that are wrong anyway."""
    if trial.candidate.kind != "c" or any(failure.kind == "state" for failure in trial.failures):
        return  # what gives other bits each time is no measure
    values = [failure for failure in trial.failures if failure.kind in ("value", "aliasing")]
    apart = [f for f in values if f.batch.task.layout.has_gaps and f.batch.rows > 1]
    moves = [_moves(trial, batch) for batch in _batches(apart)]
    if moves and all(not rows[0] and rows[1:].any() for rows in moves):
        yield "row-stride", 1.0, "rows after the first change where a gap lies between rows"
    together = [failure for failure in values if failure.check == "threads"]
    if together and all(_moves(trial, batch).any() for batch in _batches(together)):
        yield "not-thread-safe", 1.0, f"{together[0].told()}; other numbers than on one thread"
    shared = [failure for failure in values if failure.check == "aliasing"]
    if shared and all(_moves(trial, batch).any() for batch in _batches(shared)):
        yield "alias-unsafe", 1.0, f"{shared[0].told()}; other numbers than with arrays apart"


def _batches(failures: list[Failure]) -> list[Batch]:
    """The first few calls that failed, whatever the number of their rows that did."""
    return list({id(failure.batch): failure.batch for failure in failures}.values())[:FEW]


def _moves(trial: Trial, batch: Batch) -> Array:
    """Which rows of a failing call differ from what the same call gives by itself.

    None where that is one thing in a new process and another after other calls.
    """
    task = replace(batch.task, layout=ROOMY)
    with trial.anew():
        one = trial.run_aside([task])[0]
    other = trial.run_aside([task])[0]
    if not one.ok.all() or (bits(one.got) != bits(other.got)).any():
        return np.zeros(one.rows, bool)
    return _differ(batch, one)


def _differ(one: Batch, other: Batch) -> Array:
    """Which rows differ by more than a hundredth of an element."""
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(one.got), np.abs(other.got))
        near = np.abs(one.got - other.got) <= 0.01 * size
    same = near | (bits(one.got) == bits(other.got)) | (np.isnan(one.got) & np.isnan(other.got))
    return np.asarray(~same.all(axis=1))
