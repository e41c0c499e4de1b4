"""Wrong at some lengths only, or from some element of a call on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from softjac.oracle.explaining.evidence import Evidence
from softjac.oracle.explaining.inquiry import ask, overflowing
from softjac.oracle.patterns.weights import counts_of
from softjac.oracle.planning.plan import EDGED, VOCABULARIES, Task
from softjac.oracle.trial import Trial

__all__ = ["between", "lengths", "offsets", "round_lengths", "sound_lengths", "strides"]

Explained = tuple[str, float, str]


# Errors that grow or shrink with n cross their bound somewhere; a path of its own jumps.
JUMP = 10.0

# How far beyond an edge a row ends that tells a cut row from one without its tail.
BEYOND = 60

# Multiples of these may have a path of their own, without a tail; or what leaves some number.
ROUND = (64, 32, 16, 8, 4)

# Of fewer rows none may be such that a mistake shows.
ENOUGH_ROWS = 8

# A path of its own for the shortest rows ends here.
SHORT = 130


def between(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """The same, where shorter and longer rows are right: no matter of what is in a row."""
    failing, sound = _split(trial)
    if failing and sound and min(sound) < min(failing) and max(sound) > max(failing):
        yield from lengths(trial, items)


def _split(trial: Trial) -> tuple[set[int], set[int]]:
    """The lengths at which rows fail, and those at which none does."""
    values = [f for f in trial.failures if f.kind in ("value", "relation")]
    failing = {f.batch.task.n for f in values if f.check != "threads"} | trial.wrong_lengths
    spoilt = {failure.batch.task.n for failure in values}  # by threads, too
    return failing, sound_lengths(trial) - failing - spoilt


def sound_lengths(trial: Trial) -> set[int]:
    """The lengths at which enough rows were right, and none wrong."""
    few = {n for n, rows in trial.lengths.items() if rows < ENOUGH_ROWS}
    return trial.lengths.keys() - trial.wrong_lengths - few - {*VOCABULARIES, *EDGED}


def lengths(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only at some lengths, and by much there."""
    failing, sound = _split(trial)
    wrong = {f.check for f in trial.failures if f.kind in ("value", "relation")}
    if not failing or not sound or wrong == {"nonfinite"}:  # which tries few lengths
        return
    low, high, most = min(failing), max(failing), max(trial.lengths)
    if any(low <= n <= high for n in sound):
        return
    if low == high and _worst(trial, low) <= 1.0:
        return  # other rows of that length are right
    below = max((n for n in sound if n < low), default=0)
    above = min((n for n in sound if n > high), default=0)
    if below < 16 and (not above or high > SHORT):
        return  # right only where most formulas are, or where the bound has grown
    if not above:
        known = below
        below, low = _edge(trial, below, low, _some_fail)
        if _worst(trial, below) > 1.0:  # the few rows of the search did not show it
            below, low = _edge(trial, known, below, _any_fails)
    beside = [n for n in (below, above) if n]
    edges = [n for n, other in ((low, below), (high, above)) if other]
    if any(_worst(trial, n) > 1.0 for n in beside) or not all(_jumps(trial, n) for n in edges):
        return
    if not above and _is_number_of_terms(trial, below, low):
        words = f"rows of {low} are right where no more than {below} of their terms count"
        yield "unknown", 1.0, f"{words}: it is no matter of the length"
        return
    edge = next((edge for edge in (2**15, 2**16) if abs(below + 1 - edge) <= 2), None)
    if (
        not above
        and edge is not None
        and (
            _is_cut(trial, low + BEYOND, edge)
            or _is_harmed_beyond(trial, low + BEYOND, edge)
            or _spares_first(trial)
        )
    ):
        yield "index-overflow", 1.0, f"wrong from n = {low} on, right up to n = {below}"
    else:
        until = f"to {high} only" if high < most else "on"
        words = f"wrong at lengths from {low} {until}; right up to {below}"
        yield "size-specialised", 1.0, words


def round_lengths(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only at powers of two, or where one number is left over of a step, by much."""
    failing, sound = _split(trial)
    if not failing:
        return
    least = min(failing)
    beside = [n for n in sound if n > least]
    if len(failing) < 2 or len(beside) < 2:
        return
    for step in (*ROUND, 0):
        rest = least % step if step else 0
        rounded = [n % step == rest if step else n & (n - 1) == 0 for n in (*failing, *beside)]
        if rounded == [True] * len(failing) + [False] * len(beside):
            kind = f"multiples of {step}" if step else "powers of two"
            kind = f"those that leave {rest} of a step of {step}" if rest else kind
            if all(_worst(trial, n) >= JUMP for n in failing):
                words = f"of the lengths from {least} on only {kind} are wrong"
                yield "size-specialised", 1.0, words
            return


def _is_number_of_terms(trial: Trial, most: int, n: int) -> bool:
    """Whether a row of n is right with so many terms, wherever they stand, and nearly none else.

    The outermost of them are the largest, so that it shows if one is lost: beside what a sum of n
    terms may be off by, n u of it.
    """
    height = max(4.0, float(np.log(16.0 * trial.precision.u * n * n)))
    ends = (np.arange(n) == 0) | (np.arange(n) == most - 1)
    logits = np.where(np.arange(n) < most, height * ends, -0.9 * overflowing(trial))
    batch = ask(trial, np.stack([logits, logits[::-1]]), np.stack([ends, ends[::-1]]) * 1.0)
    return batch is not None and not batch.failed().any()


def _is_cut(trial: Trial, n: int, edge: int) -> bool:
    """Whether a row's index, or its length, did not fit, so that a part of the row is lost.

    Counted is what lies before the edge alone, or as much as lies beyond it, or so much twice;
    or not all is written. A row that cannot be asked about is taken for one that is cut.
    """
    if not trial.allows(Task("random", n, 1, trial.seed)):
        return True
    found = counts_of(trial, n)
    if found is None or np.isnan(found[1]).any():
        return True
    places, counts = found
    low, beyond = places < edge, places < n - edge
    counted = (low * 1.0, beyond * 1.0, low * 1.0 + beyond)
    return any(bool((np.abs(counts - times) < 0.02).all()) for times in counted)


def _is_harmed_beyond(trial: Trial, n: int, edge: int) -> bool:
    """Whether what is wrong in a row begins where as many elements are left, or at the edge."""
    batch = ask(trial, np.zeros((1, n)), (np.arange(n) % 2.0)[None])
    if batch is None or batch.exact is None or batch.judged is None:
        return False
    wrong = np.flatnonzero(np.abs(batch.got[0] / batch.exact[0] - 1.0) > 0.5)
    return bool(wrong.size) and int(wrong[0]) in (edge, n - edge)


def _spares_first(trial: Trial) -> bool:
    """Whether it is never the first row of a call that is wrong, as where a stride did not fit."""
    values = [f.batch for f in trial.failures if f.kind == "value" and f.check != "threads"]
    several = [batch.failed() for batch in values if batch.rows > 1]
    return bool(several) and len(several) == len(values) and not any(f[0] for f in several)


def _worst(trial: Trial, n: int) -> float:
    """The largest error over bound of every kind of row at one length."""
    task = trial.trimmed(Task("kinds", n, 33, trial.seed))
    batch = trial.run_aside([task if trial.allows(task) else Task("kinds", n, 1, trial.seed)])[0]
    trial.judge([batch])
    if batch.judged is None or not batch.ok.any():
        return 0.0
    return float(batch.judged.ratio[batch.ok].max())


def _jumps(trial: Trial, n: int) -> bool:
    """Whether errors are large at a length, or at one a little longer, where more is lost."""
    if _worst(trial, n) >= JUMP:
        return True
    values = (failure.batch for failure in trial.failures if failure.kind == "value")
    near = [
        batch.judged.ratio[batch.ok]
        for batch in values
        if batch.judged is not None and n <= batch.task.n <= 1.05 * n
    ]
    return any(ratio.max() >= JUMP for ratio in near)


def _edge(
    trial: Trial, below: int, low: int, fails: Callable[[Trial, int], bool]
) -> tuple[int, int]:
    """The neighbouring lengths of which one is right and the next is wrong, by bisection."""
    while low - below > 1:
        middle = (below + low) // 2
        if not trial.allows(Task("random", middle, 2, trial.seed)) or not trial.affordable(middle):
            break
        below, low = (below, middle) if fails(trial, middle) else (middle, low)
    return below, low


def _some_fail(trial: Trial, n: int) -> bool:
    """Whether one of two random rows fails."""
    batch = trial.run_aside([Task("random", n, 2, trial.seed)])[0]
    trial.judge([batch])
    return bool(batch.failed().any())


def _any_fails(trial: Trial, n: int) -> bool:
    """Whether a row of any kind fails."""
    return _worst(trial, n) > 1.0


def offsets(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only from the row on that crosses a power of two of elements, or in calls that do."""
    shortest = min(item.got.shape[1] for item in items if item.failed.any())
    for counted, words in (
        (_row_ends, "from element 2^{} of a call on"),
        (_sizes, "in calls of 2^{} elements and more"),
        (_last_starts, "in calls with a row that begins beyond element 2^{}"),
    ):
        wrong, right = counted(items)
        for bits in (15, 16):
            beyond = sum(end > 2**bits for end in right)
            if 2**bits > min(wrong) or not shortest <= 2 ** (bits - 2) <= max(right, default=0):
                continue
            if counted is not _row_ends and _harms_before(items, 2**bits):
                continue
            if _spares_beyond(items, 2**bits):
                continue
            if beyond <= len(wrong) // 10 and _fails_again(trial, items, 2**bits):
                yield "index-overflow", 1.0, "wrong only " + words.format(bits)
                return


def _harms_before(items: list[Evidence], elements: int) -> bool:
    """Whether rows up to an element of their call are wrong, and what lies beyond is written.

    An index that does not fit harms what lies beyond, or writes that over what lies before.
    """
    for item in items:
        last = elements // item.got.shape[1]
        beyond = item.got[last:][item.batch.ok[last:]]
        if item.failed[:last].any() and beyond.size and np.isfinite(beyond).all():
            return True
    return False


def _spares_beyond(items: list[Evidence], elements: int) -> bool:
    """Whether a call with wrong rows has right ones that begin beyond an element of it."""
    failing = [item for item in items if item.failed.any()]
    return any(item.passed[-(-elements // item.got.shape[1]) :].any() for item in failing)


def _row_ends(items: list[Evidence]) -> tuple[list[int], list[int]]:
    """How many elements of its call come up to the end of each wrong row, and of each right one."""
    wrong: list[int] = []
    right: list[int] = []
    for item in items:
        length = item.got.shape[1]
        wrong += [(int(row) + 1) * length for row in np.flatnonzero(item.failed)]
        right += [(int(row) + 1) * length for row in np.flatnonzero(item.passed & item.plain)]
    return wrong, right


def _sizes(items: list[Evidence]) -> tuple[list[int], list[int]]:
    """The elements of each call with a wrong row, and of each without."""
    wrong = [item.got.size for item in items if item.failed.any()]
    right = [item.got.size for item in items if not item.failed.any()]
    return wrong, right


def _last_starts(items: list[Evidence]) -> tuple[list[int], list[int]]:
    """Where the last row begins in each call with a wrong row, and in each without."""
    wrong = [item.got.size - item.got.shape[1] for item in items if item.failed.any()]
    right = [item.got.size - item.got.shape[1] for item in items if not item.failed.any()]
    return wrong, right


def strides(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only where rows lie further apart than a narrow integer counts."""
    if not trial.candidate.strides:
        return
    failing = [failure.batch.task for failure in trial.failures if failure.check != "threads"]
    if not all(_stride(trial, task) > 2**7 for task in failing):
        return
    apart = [task for task in failing if task.layout.has_gaps]
    near = [replace(task, layout=replace(task.layout, gap=8, spread=0)) for task in apart[:3]]
    if not near or not all(trial.allows(task) for task in near):
        return
    batches = trial.run_aside(near)
    trial.judge(batches)
    if all(batch.ok.all() and not batch.failed().any() for batch in batches):
        least = min(_stride(trial, task) for task in apart)
        words = f"wrong only where rows lie {least} or more elements apart"
        yield "index-overflow", 1.0, words


def _stride(trial: Trial, task: Task) -> int:
    """The longest of a task's row strides."""
    return max(trial.shapes.strides(task).values(), default=0)


def _fails_again(trial: Trial, items: list[Evidence], elements: int) -> bool:
    """Whether the first failing call fails whenever it is made, but no shorter row of one alone."""
    failing = [item for item in items if item.failed.any()]
    again = trial.run_aside([failing[0].batch.task] * 3)
    trial.judge(again)
    short = [item for item in failing if item.got.shape[1] <= elements][:4]
    singles = [item.batch.task.single(int(item.failed.argmax())) for item in short]
    alone = trial.run_aside([task for task in singles if trial.allows(task)])
    trial.judge(alone)
    always = all(batch.failed().any() or not batch.ok.all() for batch in again)
    return always and not any(batch.failed().any() for batch in alone)
