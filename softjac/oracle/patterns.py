"""Failures with no known formula: where they sit, how long the rows are, how large the errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.fit import judge
from softjac.oracle.formulas import Evidence, evidence
from softjac.oracle.mistakes.arithmetic import VECTOR_LENGTHS
from softjac.oracle.trial import Trial

__all__ = ["explain_by_pattern"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]


def explain_by_pattern(trial: Trial) -> list[Explained]:
    """The first pattern that holds for every failing row."""
    items = evidence(trial)
    failing = [item for item in items if item.failed.any()]
    if not failing:
        return []
    for pattern in (
        _layout,
        _gaps,
        _rows,
        _tail,
        _lane,
        _lengths,
        _offset,
        _sums,
        _exp,
        _precision,
    ):
        found = next(pattern(trial, items), None)
        if found is not None:
            return [found]
    return []


def _layout(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong after other calls, or at some alignments, only."""
    checks = {failure.check for failure in trial.failures if failure.kind == "value"}
    if checks == {"state"}:
        yield "stale-state", 1.0, "wrong only after calls of other shapes"
    if checks == {"memory"} and trial.candidate.kind == "c":
        tasks = [f.batch.task for f in trial.failures if f.check == "memory" and f.kind == "value"]
        if all(task.layout.gap for task in tasks):
            yield "row-stride", 1.0, "wrong only where rows lie further apart than n"


def _gaps(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only for views with strides (Python)."""
    checks = {failure.check for failure in trial.failures if failure.kind == "value"}
    if checks == {"memory"} and trial.candidate.kind == "python":
        views = {f.batch.task.layout.view for f in trial.failures if f.check == "memory"}
        if "contiguous" not in views:
            yield "row-stride", 1.0, f"wrong only for {', '.join(sorted(views))} arrays"


def _rows(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows that are wrong among others, and right alone."""
    if not trial.candidate.takes_rows:
        return
    tried = 0
    for item in items:
        for row in np.flatnonzero(item.failed)[:2]:
            task = item.batch.task
            if task.pick is not None or task.rows == 1 or not trial.allows(task.single(int(row))):
                continue
            alone = trial.run_aside([task.single(int(row))])[0]
            trial.judge([alone])
            if alone.failed().any() or not alone.ok.all():
                return
            tried += 1
        if tried >= 8:
            break
    if tried:
        yield "row-stride", 1.0, f"{tried} rows that are wrong among others are right alone"


def _places(item: Evidence) -> Array:
    """Which elements of the failing rows are beyond the bound, `(failing rows, elements)`."""
    with np.errstate(all="ignore"):
        off = np.abs(item.got - item.exact)
        wrong = ~(off <= item.own) & (item.got != item.exact)
    return np.asarray(wrong[item.failed])


def _tail(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only in the last n mod L elements."""
    if trial.op.output == "jac":
        return
    for lanes in VECTOR_LENGTHS:
        held = rows = 0
        for item in items:
            n = item.batch.task.n
            start = n // lanes * lanes
            if not item.failed.any():
                continue
            wrong = _places(item)
            rows += len(wrong)
            if n % lanes and not wrong[:, :start].any():
                held += len(wrong)
        if rows and held == rows:
            values = [item.got[item.failed][:, item.sample.n // lanes * lanes :] for item in items]
            unwritten = all(np.isnan(v).all() for v in values if v.size)
            name = "tail-not-written" if unwritten else "tail-ignored"
            yield name, 1.0, f"only the last n mod {lanes} elements are wrong, in {rows} rows"
            return


def _lane(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only at positions of one residue modulo a vector length."""
    if trial.op.output == "jac":
        return
    for lanes in VECTOR_LENGTHS[::-1]:
        places = np.concatenate(
            [np.flatnonzero(_places(item).any(axis=0)) for item in items if item.failed.any()]
        )
        residues = np.unique(places % lanes)
        if residues.size == 1 and np.unique(places).size > 1:
            words = f"only elements {residues[0]} modulo {lanes} are wrong"
            yield "lane-error", 1.0, words
            return


def _lengths(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only at some lengths, and at all rows' kinds there."""
    failing = {f.batch.task.n for f in trial.failures if f.kind in ("value", "relation")}
    sound = {n for n in trial.lengths if n not in failing}
    if not failing or not sound:
        return
    low, high = min(failing), max(failing)
    if any(low <= n <= high for n in sound):
        return
    below = max((n for n in sound if n < low), default=0)
    if below < 16 and high >= max(trial.lengths):
        return  # right only where most formulas are
    if high >= max(trial.lengths) and any(abs(below + 1 - edge) <= 2 for edge in (2**15, 2**16)):
        yield "index-overflow", 1.0, f"wrong from n = {low} on, right up to n = {below}"
    elif high < max(trial.lengths) or below:
        words = f"wrong at lengths from {low} to {high} only; right up to {below}"
        yield "size-specialised", 1.0, words


def _size(item: Evidence) -> Array:
    """The largest |z| of each row."""
    z = item.sample.z
    return np.asarray(np.where(np.isfinite(z), np.abs(z), 0.0).max(axis=1))


def _offset(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Errors no larger than a few roundings of the largest logit, on rows far from 0 only."""
    if "x" not in trial.candidate.inputs:
        return
    least, most, rows = np.inf, 0.0, 0
    for item in items:
        size = _size(item)
        if item.failed.any():
            least = min(least, float(size[item.failed].min()))
            with np.errstate(all="ignore"):
                scale = np.abs(item.exact) if trial.op.name != "log_softmax" else 1.0
                off = np.abs(item.got - item.exact) - item.own
                allowed = 8.0 * item.precision.u * size[:, None] * scale
            bad = item.failed & ~(np.where(np.isnan(off), np.inf, off - allowed) <= 0).all(axis=1)
            if bad.any():
                return
            rows += int(item.failed.sum())
        near = item.passed & (size < 4.0)
        most = max(most, float(near.any()))
    if least > 8.0 and most:
        words = f"errors of the size of u · |x| on {rows} rows, all with |x| above {least:.3g}"
        yield "offset-sensitive", 1.0, words


def _sums(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows whose shape is right and whose one number is off by about a 16-bit rounding."""
    if trial.op.output == "jac":
        return
    shortest = np.inf
    for item in items:
        rows = item.failed & item.plain & np.isfinite(item.got).all(axis=1)
        if not rows.any():
            continue
        bound = trial.op.bound(item.sample, item.exact)
        bound.windows = tuple(1e6 * window for window in bound.windows)
        bound.likely = bound.windows
        with np.errstate(all="ignore"):
            judged = judge(item.got - item.exact, bound)
        if not (judged.ratio[rows] <= 1.0).all():
            return
        shortest = min(shortest, item.sample.n)
    if np.isfinite(shortest):
        yield "low-precision-sum", 1.0, f"one number a row is off, from n = {shortest} on"


def _exp(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Relative errors that are one smooth function of max z - z_i."""
    if trial.op.output != "y" or trial.op.logarithmic:
        return
    gaps, errors = [], []
    for item in items:
        if item.batch.got.shape[1] < 2:
            continue
        rows = item.failed & item.plain
        with np.errstate(all="ignore"):
            top = np.take_along_axis(item.got, item.sample.top, 1)
            right = np.take_along_axis(item.exact, item.sample.top, 1)
            error = (item.got / top) / (item.exact / right) - 1.0
        usable = rows[:, None] & np.isfinite(error) & (item.sample.gap > 0) & (item.exact > 1e-30)
        gaps.append(item.sample.gap[usable])
        errors.append(error[usable])
    if not gaps:
        return
    gap, error = np.concatenate(gaps), np.concatenate(errors)
    if gap.size < 50:
        return
    order = np.argsort(gap)
    error = error[order]
    steps = np.abs(np.diff(error))
    largest = float(np.abs(error).max())
    usual = float(np.median(np.abs(error)))
    if 32.0 * trial.precision.u < usual and largest < 0.9 and np.median(steps) < 0.1 * usual:
        words = f"exp is off by up to {largest:.2g}, depending on x - max alone"
        yield "inaccurate-exp", 1.0, words


def _precision(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Errors of the size of a 16-bit rounding, everywhere."""
    worst = 0.0
    for item in items:
        if not item.failed.any():
            continue
        with np.errstate(all="ignore"):
            size = np.abs(item.exact[item.failed])
            largest = size.max(axis=1, keepdims=True)
            off = np.abs(item.got - item.exact)[item.failed] / (size + largest)
        worst = max(worst, float(np.where(np.isnan(off), np.inf, off).max()))
    if worst < 2.0**-5:
        yield "low-precision", 1.0, f"errors up to {worst:.2g} of the row's largest element"
