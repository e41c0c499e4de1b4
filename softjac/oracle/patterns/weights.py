"""How often each place of a row, and each row of a call, enters the one number of a row: measured.

The number is the normaliser of a forward op, the sum or the mean of a product's vector. A row with
one large term shows how often that term's place is counted; equal rows show whether others are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence
from softjac.oracle.explaining.inquiry import ask, lengths, some_places
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial

__all__ = ["counts_of", "places", "rows"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

LENGTHS = (2, 3, 5, 8, 13, 29, 33, 57, 64, 77, 100, 130)
VECTORS = (2, 4, 8, 16, 32, 64)
BLOCKS = (128, 256, 512, 1024)  # of a long row
LONG = 10_000  # so long a row's places are asked about
ROWS = 5

Counts = dict[int, tuple[Array, Array]]
"""For some lengths n, the places that were asked about, and how often each is counted."""


def places(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Some places are counted not at all, or more than once."""
    counts = {}
    short = lengths(trial, (), least=2, most=130)[:6]
    longer = lengths(trial, (), least=131, most=LONG)
    for n in dict.fromkeys((*LENGTHS, *short, *longer[:2], *longer[-2:])):
        found = counts_of(trial, n)
        if found is not None:
            counts[n] = found
    if any(not (np.abs(count - np.rint(count)) < 0.02).all() for _, count in counts.values()):
        return
    counts = {n: (place, np.rint(count)) for n, (place, count) in counts.items()}
    wrong = {n: found for n, found in counts.items() if (found[1] != 1.0).any()}
    if not wrong or any((c == c[0]).all() and c[0] != 0.0 for _, c in wrong.values()):
        return
    longest = max(wrong)
    if not _stays(trial, longest, wrong[longest][1], step=-1):
        return  # each element has a number of its own
    yield from _tail(wrong, counts)
    yield from _counted_again(wrong, counts)
    yield from _lanes(wrong)
    if all(count.size == n and abs(count.sum() - n) < 0.5 for n, (_, count) in wrong.items()):
        n, (_, count) = max(wrong.items())
        if not _stays(trial, n, count, slope=0.05):
            return
        words = f"of {n} elements {int((count > 1).sum())} are read more than once, others never"
        yield "pointer-not-advanced", 1.0, words


def _stays(trial: Trial, n: int, count: Array, slope: float = 0.0, step: int = 1) -> bool:
    """Whether a product counts the same places with other probabilities, read elsewhere."""
    if trial.op.vector is None:
        return True
    other = counts_of(trial, n, slope, step)
    return other is not None and bool((np.abs(other[1] - count) <= 0.1 * count + 0.02).all())


def counts_of(
    trial: Trial, n: int, slope: float = 0.0, step: int = 1
) -> tuple[Array, Array] | None:
    """The places asked about in a row of n, and how often its number counts each.

    The logits of a product's row are equal, or rise by the slope from one end to the other; its
    number is read from the element so many steps on from the place with the one term.
    """
    op = trial.op
    if op.output == "jac" or not trial.affordable(n):
        return None
    asked = some_places(n)
    here = np.arange(n) == asked[:, None]
    if op.vector is None:
        nothing = -14.0 if trial.precision.name == "float16" else -40.0
        batch = ask(trial, np.where(here, 0.0, nothing))
    else:
        batch = ask(trial, np.linspace(0.0, slope, n) * np.ones(here.shape), here * 1.0)
    if batch is None:
        return None
    sample, got = trial.sample(batch.inputs, 1.0), batch.got
    row = np.arange(len(asked))
    with np.errstate(all="ignore"):
        if op.vector is None:
            shown = got[row, asked]
            return asked, np.asarray(np.exp(-shown) if op.logarithmic else 1.0 / shown)
        read = (asked + step) % n  # any place but the one with the term
        return asked, np.asarray(got[row, read] / trial.op.formula(sample)[row, read])


def _tail(wrong: Counts, counts: Counts) -> Iterator[Explained]:
    """What is left after whole vectors or blocks, or the last element, is not counted."""
    if all((count[:-1] == 1.0).all() and count[-1] == 0.0 for _, count in wrong.values()):
        odd = all(n % 2 for n in wrong) and any(n % 2 == 0 for n in counts)
        if odd or len(wrong) == len(counts):
            words = "the last element of a row" + (" of odd length" if odd else "")
            yield "tail-ignored", 1.0, f"{words} does not enter the sum"
        return
    low, high = min(wrong), max(wrong)
    within = {n: found for n, found in counts.items() if low <= n <= high}
    listed = ", ".join(str(n) for n in sorted(wrong))
    for some, where, least in (
        (counts, "", 3),
        (within, f" at lengths from {low} to {high}", 3),
        (wrong, f" at the lengths {listed}", 2),
    ):
        for lanes in (*VECTORS, *BLOCKS):
            told = [(p < n // lanes * lanes, c) for n, (p, c) in some.items() if n >= lanes]
            several = len(told) >= least and max(some) >= 2 * lanes
            if several and all((count == inside).all() for inside, count in told):
                words = f"the last n mod {lanes} elements do not enter the sum{where}"
                yield "tail-ignored", 1.0, words
                return
    for lanes in VECTORS[1:]:
        some_of_it = all(
            (c == np.where(p < n // lanes * lanes, 1.0, np.minimum(c, 1.0))).all()
            for n, (p, c) in wrong.items()
        )
        if len(wrong) >= 2 and low >= lanes and some_of_it:
            words = f"some of the last n mod {lanes} elements do not enter the sum"
            yield "tail-ignored", 1.0, f"{words} at the lengths {listed}"
            return


def _counted_again(wrong: Counts, counts: Counts) -> Iterator[Explained]:
    """To fill the last vector or block, the last element is taken again, or those before the tail.

    The latter is what a load that ends with the row brings, if the lanes counted before stay in it.
    """
    for lanes in (*VECTORS, *BLOCKS):
        if min(len(wrong), sum(n % lanes > 0 for n in counts)) < 2:
            continue
        if all(
            (c == np.where(p == n - 1, 1 + -n % lanes, 1)).all() for n, (p, c) in counts.items()
        ):
            yield (
                "tail-leaks-in",
                1.0,
                f"the last element fills the last {lanes}, and is summed again",
            )
            return
        if all((c == 1.0 + _before_tail(p, n, lanes)).all() for n, (p, c) in counts.items()):
            words = (
                f"elements before the last n mod {lanes} are in the last {lanes}, and summed again"
            )
            yield "tail-leaks-in", 1.0, words
            return


def _before_tail(place: Array, n: int, lanes: int) -> Array:
    """Which places are before the tail, and in the vector that ends with the row."""
    whole = n // lanes * lanes
    return np.asarray((place >= n - lanes) & (place < whole) & (whole < n))


def _lanes(wrong: Counts) -> Iterator[Explained]:
    """The same lanes of every whole vector are not counted, or twice."""
    whole = {n: count for n, (place, count) in wrong.items() if place.size == n}
    for lanes in VECTORS[1:]:
        bodies = [count[: n // lanes * lanes] for n, count in whole.items() if n >= 2 * lanes]
        parts = [body.reshape(-1, lanes) for body in bodies]
        if not parts or not all((part == parts[0][0]).all() for part in parts):
            continue
        odd = np.flatnonzero(parts[0][0] != 1.0)
        if odd.size and np.ptp(parts[0][0]) > 0.0:
            shown = ", ".join(str(place) for place in odd)
            times = " or ".join(f"{int(count)}" for count in np.unique(parts[0][0][odd]))
            yield "lane-error", 1.0, f"lanes {shown} of {lanes} enter the sum {times} times"
            return


def rows(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """The number of one row counts other rows of the call too."""
    op = trial.op
    if op.output == "jac" or not trial.candidate.takes_rows:
        return
    name = "batch-sum" if op.vector is None else "batch-reduced"
    for n in LENGTHS[2:]:
        if not trial.allows(Task("random", n, ROWS)):
            continue
        alone, counts = _rows_counted(trial, n, 1), _rows_counted(trial, n, ROWS)
        if alone is None or counts is None or abs(alone[0] - 1.0) > 0.02:
            return
        whole = np.rint(counts)
        if np.abs(counts - whole).max() < 0.02 and (whole > 1.0).any() and (whole > 0.0).all():
            shown = ", ".join(f"{int(count)}" for count in whole)
            most = (whole > 1.0).sum() >= ROWS - 1  # but for the first, or for one
            yield name if most else "unknown", 1.0, f"of {ROWS} equal rows the sums count {shown}"
        elif op.vector is not None:
            yield from _taken_from(trial, n)
        return


def _taken_from(trial: Trial, n: int) -> Iterator[Explained]:
    """Rows whose vectors are powers of 3 times one another show whose number each element takes."""
    powers = 3.0 ** np.arange(ROWS)
    taken = []
    for place in range(min(n, 3)):
        counts = _rows_counted(trial, n, ROWS, powers, place)
        if counts is None or not np.isfinite(counts).all():
            return
        apart = np.abs(np.log(np.abs(counts * powers)[:, None] / powers))
        taken.append(apart.argmin(axis=1))
        right = np.abs(counts * powers - powers[taken[-1]]) <= 0.02 * powers[taken[-1]]
        if not right[:-1].all():
            return  # behind the last row there may be anything
    first, own = taken[0], np.arange(ROWS)
    if all((rows == place % ROWS).all() for place, rows in enumerate(taken)) and len(taken) > 1:
        yield "wrong-axis", 1.0, "element j of every row takes the sum of row j"
        return
    if (first == own).all() or any((rows != first).any() for rows in taken):
        return
    name = "unknown"
    if (first == first[0]).all():
        name = {0: "first-row-only", ROWS - 1: "last-row-only"}.get(int(first[0]), name)
    shown = ", ".join(str(row) for row in first)
    yield name, 1.0, f"{ROWS} rows take the sums of rows {shown}"


def _rows_counted(
    trial: Trial, n: int, rows: int, factors: Array | float = 1.0, place: int = 0
) -> Array | None:
    """The number of each of some rows, equal but for factors, in units of what it should be.

    It is read from the element at one place.
    """
    op, logits = trial.op, np.zeros((rows, n))
    vector = (np.arange(n) != place) * np.ones((rows, 1)) * np.reshape(factors, (-1, 1))
    batch = ask(trial, logits, vector)
    if batch is None:
        return None
    with np.errstate(all="ignore"):
        if op.vector is None:
            total = np.exp(-batch.got[:, 0]) if op.logarithmic else 1.0 / batch.got[:, 0]
            return np.asarray(total / n)
        sample = trial.sample(batch.inputs, 1.0)
        return np.asarray(batch.got[:, place] / op.formula(sample)[:, place])
