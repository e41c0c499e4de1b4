"""memory: nothing outside the arrays is touched, at every alignment, and no input is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from softjac.oracle.calls.call import Layout, Side, View
from softjac.oracle.conclusion import Result, conclusion
from softjac.oracle.failure import Failure
from softjac.oracle.planning.plan import MANY_ROWS, Task, crowd
from softjac.oracle.trial import Trial

VIEWS: tuple[View, ...] = ("contiguous", "strided", "transposed", "reversed", "broadcast")
SIDES: tuple[Side, ...] = ("end", "start")

# Elements between rows, and how many more in each further array: alike in all, and different; more
# than 8 bits hold, and more than 16 do; none in the first array, and none in the last of two or of
# three.
GAPS = (
    (1, 0), (3, 1), (8, 8), (40, 0), (40, 24), (300, 0), (66_000, 8), (0, 8), (8, -8), (16, -8)
)  # fmt: skip

# Also where preconditions speak of strides: mostly of what divides them.
WIDE_GAPS = ((64, 0), (64, 64))

# Lengths from which on kernels take another path.
LONG = (200, 1031, 2053, 4099, 8199, 20_005, 65_539)

# More elements than 32 bits can count: so many blocks of so many rows of one megabyte.
MANY = Task("kinds", 4096, 64, layout=Layout(blocks=2**31 // (4096 * 64) + 1))


def check(trial: Trial) -> Result:
    """Runs calls whose arrays touch guard pages, one side and the other, at all alignments."""
    calls = trial.calls
    planned = trial.shapes.at_scales(_tasks(trial))
    queue = list(trial.possible(planned))
    if trial.effort.name == "thorough" and trial.op.output != "jac" and _affords_many(trial):
        queue.append(replace(MANY, seed=trial.seed))
    done = 0
    for chunk in trial.chunks(queue):
        trial.judge_later(trial.run(chunk), partial(trial.collect, "memory"))
        done += len(chunk)
        trial.progress("memory", done, len(queue))
    trial.failures += trial.harvest("memory", "changed", "outside", "raised")
    trial.failures += trial.harvest("memory", "fault", which=touches_memory)
    return conclusion(trial, "memory", calls=calls)


def touches_memory(failure: Failure) -> bool:
    """Whether a fault is an access of the candidate's to memory it should not touch so."""
    fault = failure.outcome.fault if failure.outcome else None
    return fault is not None and fault.signal in ("SIGSEGV", "SIGBUS")


def _tasks(trial: Trial) -> Iterator[Task]:
    """Lengths around every vector length, both sides, alignments, crowds, gaps; views in Python."""
    quick = trial.effort.name == "quick"
    lengths = [*range(1, 34), 63, 64, 65, 67, 100, 127, 128, 129, 1000]
    if not quick:
        lengths = [*range(1, 131), 255, 257, 1000, 4099]
    if trial.candidate.kind == "python":
        for n in (1, 2, 3, 7, 16, 33, 100, 300, 600):
            for view in VIEWS:
                rows = 8 if n % 16 else crowd(n)  # of one length many
                yield Task("kinds", n, rows, trial.seed, layout=Layout(view=view))
        return
    step = max(1, trial.candidate.align // trial.dtype.itemsize)
    several = trial.candidate.takes_rows
    for n in (*lengths, *LONG):
        rows = 3 if several and n <= 1000 else 1
        for number, side in enumerate(SIDES):
            yield Task("kinds", n, rows, trial.seed + number, layout=Layout(side=side))
    crowded = (5, 16, 33, 100, 1000)  # with rows left over, and without
    shapes = [(n, rows) for n in crowded for rows in (crowd(n), crowd(n) // 8 * 8)]
    for n, rows in (*shapes, (5, MANY_ROWS)) if several else ():
        for number, side in enumerate(SIDES):
            yield Task("kinds", n, rows, trial.seed + number, layout=Layout(side=side))
    offsets = range(step, 64 // trial.dtype.itemsize + 1, step)
    for n in (1, 5, 8, 16, 33, 64, 100) if quick else (1, 2, 3, 5, 8, 9, 16, 24, 33, 64, 100, 128):
        for offset in offsets:
            for side in SIDES:
                layout = Layout(side=side, offset=offset)
                yield Task("kinds", n, 3 if several else 1, trial.seed + 2, layout=layout)
    for n in LONG[:2]:
        for offset in offsets:
            layout = Layout(side="start", offset=offset)
            yield Task("plain", n, 1, trial.seed + 2, layout=layout)  # where each element matters
    for n in (8, 16, 33, 64, 100, *LONG[:4]):  # all but one array aligned, and one alone
        family, rows = ("kinds", 3) if several and n <= 1000 else ("plain", 1)
        for role in (*trial.candidate.inputs, trial.op.output):
            for offset in (0, 64 // trial.dtype.itemsize - step):
                layout = Layout(side="start", offset=offset, apart=role)
                yield Task(family, n, rows, trial.seed + 2, layout=layout)
    if trial.candidate.strides:
        last = len(trial.candidate.inputs)
        wide = WIDE_GAPS if trial.candidate.limits_strides else ()
        gaps = (*GAPS, *wide)
        fitting = [(gap, spread) for gap, spread in gaps if gap + last * spread >= 0]
        for n in (1, 2, 5, 8, 16, 33, 100):
            for gap, spread in fitting:
                layout = Layout(gap=gap * step, spread=spread * step)
                yield Task("kinds", n, 7, trial.seed + 3, layout=layout)
        for n, rows in ((5, MANY_ROWS), (100, crowd(100))):
            for whole in (8, 16, 64):  # rows that begin at multiples of so many elements
                yield Task("kinds", n, rows, trial.seed + 3, layout=Layout(gap=-n % whole))
        for n in (5, 16, 100, *LONG):
            for gap, spread in (*GAPS[1:3], *wide):
                layout = Layout(gap=gap * step, spread=spread * step)
                yield Task("kinds", n, crowd(n), trial.seed + 3, layout=layout)


def _affords_many(trial: Trial) -> bool:
    """Whether 2³¹ elements fit into the time limit, and the candidate takes them as they lie."""
    plain = trial.candidate.takes_rows and not trial.candidate.over_read and trial.allows(MANY)
    seconds = np.inf
    if plain and trial.affordable(MANY.n, MANY.rows):
        one = replace(MANY, seed=trial.seed, layout=Layout())
        seconds = trial.run_aside([one])[0].seconds * MANY.layout.blocks
    if seconds > 0.7 * trial.timeout:
        trial.limits.append("calls of more than 2³¹ elements were left out")
        return False
    return True
