"""Failures with no known formula: where they sit, how long the rows are, how large the errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.fit import judge
from softjac.oracle.formulas import Evidence, evidence
from softjac.oracle.mistakes.arithmetic import VECTOR_LENGTHS
from softjac.oracle.plan import Task
from softjac.oracle.trial import Trial

__all__ = ["explain_by_pattern"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]


def explain_by_pattern(trial: Trial) -> list[Explained]:
    """The first pattern that holds for every failing row."""
    items = evidence(trial)
    failing = [item for item in items if item.failed.any()]
    if not failing:
        return list(_lengths(trial, items))
    for pattern in (
        _layout,
        _gaps,
        _offsets,
        _fresh,
        _tail,
        _lane,
        _lanes_of_sums,
        _exchanged,
        _lengths,
        _offset,
        _sums,
        _exp,
        _precision,
        _rows,
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


def _offsets(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only from the row on that crosses a power of two of elements."""
    ends, sound = [], 0
    for item in items:
        length = item.got.shape[1]
        ends += [(int(row) + 1) * length for row in np.flatnonzero(item.failed)]
        sound = max([sound, *((int(row) + 1) * length for row in np.flatnonzero(item.passed))])
    shortest = min(item.got.shape[1] for item in items if item.failed.any())
    for bits in (15, 16):
        if 2**bits <= min(ends) and shortest <= 2 ** (bits - 2) <= sound:
            yield "index-overflow", 1.0, f"wrong only from element 2^{bits} of a call on"
            return


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
        name = (
            "row-stride"
            if any(f.kind in ("fault", "outside") for f in trial.failures)
            else "unknown"
        )
        yield name, 1.0, f"{tried} rows that are wrong among others are right alone"


def _fresh(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows that are wrong alone, but right in a new process."""
    chosen: list[Task] = []
    for item in items:
        if item.failed.any() and item.got.size < 100_000 and len(chosen) < 4:
            chosen.append(item.batch.task.single(int(np.flatnonzero(item.failed)[0])))
    chosen = [task for task in chosen if trial.allows(task)]
    here = trial.run_aside(chosen)
    trial.judge(here)
    if not chosen or any(not batch.failed().any() for batch in here):
        return
    for task in chosen:
        with trial.anew():
            there = trial.run_aside([task])
        trial.judge(there)
        if there[0].failed().any() or not there[0].ok.all():
            return
    yield "stale-state", 1.0, f"{len(chosen)} rows that are wrong here are right in a new process"


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
        if rows and held == rows and any(i.sample.n > lanes for i in items if i.failed.any()):
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


def _lanes_of_sums(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """The one number of a row counts some lanes not at all, or twice, or leaves out the tail.

    How often it counts each lane is solved for, over all rows that were judged.
    """
    if trial.op.output == "jac":
        return
    for lanes in VECTOR_LENGTHS[::-1]:
        parts, totals = [], []
        for item in items:
            if item.sample.n >= lanes:
                some, total = _parts_of_sums(trial, item, lanes)
                parts.append(some)
                totals.append(total)
        if not parts:
            continue
        system, wanted = np.concatenate(parts), np.concatenate(totals)
        if len(system) < 2 * (lanes + 1) or np.linalg.matrix_rank(system) <= lanes:
            continue
        counts = np.linalg.lstsq(system, wanted)[0]
        whole = np.rint(counts)
        if np.abs(system @ whole - wanted).max() > 1e-3 or not {*whole} <= {0.0, 1.0, 2.0}:
            continue
        if (whole[:-1] != 1).any():
            odd = ", ".join(f"{lane}" for lane in np.flatnonzero(whole[:-1] != 1))
            times = " and ".join(f"{int(w)}" for w in np.unique(whole[:-1][whole[:-1] != 1]))
            yield "lane-error", 1.0, f"lanes {odd} of {lanes} enter the sum {times} times"
            return
        if whole[-1] == 0:
            yield "tail-ignored", 1.0, f"the last n mod {lanes} elements do not enter the sum"
            return


def _parts_of_sums(trial: Trial, item: Evidence, lanes: int) -> tuple[Array, Array]:
    """What each lane, and the tail, adds to the row's number, and the number that was used.

    Both in units of the sum of sizes, `(rows, lanes + 1)` and `(rows,)`, of rows that tell.
    """
    sample, op = item.sample, trial.op
    top = sample.top
    with np.errstate(all="ignore"):
        at_top = np.take_along_axis(item.got, top, 1)
        if op.vector is None:
            terms = np.exp(-sample.gap)
            number = np.exp(-at_top) if op.logarithmic else 1.0 / at_top
        else:
            plain = op.logarithmic and op.output == "dx"
            terms = sample.vector if plain else sample.y * sample.vector
            factor = 1.0 if op.logarithmic else np.take_along_axis(sample.y, top, 1)
            number = np.take_along_axis(sample.vector, top, 1) - at_top / (sample.scale * factor)
            number = number / np.take_along_axis(sample.y, top, 1) if plain else number
        size = np.abs(terms).sum(axis=1, keepdims=True)
        near = np.abs(np.take_along_axis(sample.vector, top, 1)) < 1e3 * size if op.vector else True
        body = sample.n // lanes * lanes
        inside = terms[:, :body].reshape(sample.rows, -1, lanes).sum(axis=1)
        tail = terms[:, body:].sum(axis=1, keepdims=True)
        system, wanted = np.hstack([inside, tail]) / size, (number / size)[:, 0]
        told = item.plain & (item.failed | item.passed) & np.isfinite(wanted)
        told &= np.isfinite(system).all(axis=1) & np.asarray(near & (size > 0)).all(axis=1)
    return system[told], wanted[told]


def _exchanged(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Right elements in wrong places, none of them outside its vector."""
    if trial.op.output == "jac":
        return
    for lanes in VECTOR_LENGTHS:
        rows, held, moved = 0, True, 0
        for item in items:
            body = item.sample.n // lanes * lanes
            got = item.got[item.failed, :body].reshape(-1, lanes)
            exact = item.exact[item.failed, :body].reshape(-1, lanes)
            held &= bool(_near(item, np.sort(got, axis=1), np.sort(exact, axis=1)).all())
            moved += int((~_near(item, got, exact)).any(axis=1).sum())
            rows += int(item.failed.sum())
        if held and rows and moved >= rows // 2:
            yield "lane-error", 1.0, f"right elements change places within vectors of {lanes}"
            return


def _edge(trial: Trial, below: int, low: int) -> tuple[int, int]:
    """The neighbouring lengths of which one is right and the next is wrong, by bisection."""
    while low - below > 1:
        middle = (below + low) // 2
        task = Task("random", middle, 2, trial.seed)
        if not trial.allows(task) or not trial.affordable(middle):
            break
        batch = trial.run_aside([task])[0]
        trial.judge([batch])
        below, low = (below, middle) if batch.failed().any() else (middle, low)
    return below, low


def _near(item: Evidence, got: Array, exact: Array) -> Array:
    """Whether elements are equal up to a few roundings."""
    with np.errstate(all="ignore"):
        slack = (64.0 * item.precision.u + 4.0 * item.precision.u_out) * np.abs(exact)
        close = np.abs(got - exact) <= slack + 4.0 * item.precision.tiny
    return np.asarray(close | (got == exact))


def _lengths(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only at some lengths, and at all rows' kinds there."""
    failing = {f.batch.task.n for f in trial.failures if f.kind in ("value", "relation")}
    failing |= trial.wrong_lengths
    sound = {n for n in trial.lengths if n not in failing}
    if not failing or not sound:
        return
    low, high = min(failing), max(failing)
    if any(low <= n <= high for n in sound):
        return
    below = max((n for n in sound if n < low), default=0)
    if below < 16 and high >= max(trial.lengths):
        return  # right only where most formulas are
    if high >= max(trial.lengths):
        below, low = _edge(trial, below, low)
    if high >= max(trial.lengths) and any(abs(below + 1 - edge) <= 2 for edge in (2**15, 2**16)):
        yield "index-overflow", 1.0, f"wrong from n = {low} on, right up to n = {below}"
    elif high < max(trial.lengths) or below >= 16:
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
    shortest, sizes = np.inf, {True: 0.0, False: 0.0}
    for item in items:
        rows = item.failed & item.plain & np.isfinite(item.got).all(axis=1)
        if not rows.any():
            continue
        larger = np.where(np.abs(item.got) > np.abs(item.exact), item.got, item.exact)
        bound = trial.op.bound(item.sample, larger)
        bound.windows = tuple(2.0**17 * window for window in bound.windows)
        bound.likely = bound.windows
        with np.errstate(all="ignore"):
            judged = judge(item.got - item.exact, bound)
        if not (judged.ratio[rows] <= 1.0).all():
            return
        shortest = min(shortest, item.sample.n)
        largest = float(_off_by(item)[rows].max())
        if not 8 < item.sample.n < 500:
            sizes[item.sample.n > 8] = max(sizes[item.sample.n > 8], largest)
    if np.isfinite(shortest) and sizes[True] > 4.0 * sizes[False]:
        yield "low-precision-sum", 1.0, f"one number a row is off, from n = {shortest} on"


def _off_by(item: Evidence) -> Array:
    """The largest error of each row, relative to the row's largest result."""
    size = np.maximum(np.abs(item.exact).max(axis=1), np.abs(item.got).max(axis=1))
    with np.errstate(all="ignore"):
        return np.asarray(np.nan_to_num(np.abs(item.got - item.exact).max(axis=1) / size))


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
    if 8.0 * trial.precision.u < usual and largest < 0.9 and np.median(steps) < 0.1 * usual:
        words = f"exp is off by up to {largest:.2g}, depending on x - max alone"
        yield "inaccurate-exp", 1.0, words


def _precision(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Errors of the size of a 16-bit rounding, everywhere."""
    worst, off_bound, elements = 0.0, 0, 0
    for item in items:
        if not item.failed.any():
            continue
        places = _places(item)
        off_bound, elements = off_bound + int(places.sum()), elements + places.size
        with np.errstate(all="ignore"):
            size = np.abs(item.exact[item.failed])
            largest = size.max(axis=1, keepdims=True)
            if item.vector is not None:
                largest = largest + np.abs(item.vector[item.failed]).max(axis=1, keepdims=True)
            off = np.abs(item.got - item.exact)[item.failed] / (size + largest)
        worst = max(worst, float(np.where(np.isnan(off), np.inf, off).max()))
    if worst < 2.0**-5 and 5 * off_bound > elements:
        yield "low-precision", 1.0, f"errors up to {worst:.2g} of the row's largest element"
