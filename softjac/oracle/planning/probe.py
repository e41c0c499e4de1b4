"""What a candidate is like before it is judged: its pace, and whether a compiler is at work."""

from __future__ import annotations

import math
from dataclasses import replace

from softjac.oracle.failure import Batch
from softjac.oracle.planning.plan import SLOW, Task
from softjac.oracle.trial import Trial

__all__ = ["probe"]

LENGTHS = (8, 16, 64, 256, 1024, 4096, 16_384, 65_536, 131_072)

# Where n is told from n²: the longest of these that are allowed and affordable.
TELLING = (65_536, 16_384, 4_096, 1_024, 512, 256)

# No core multiplies and adds faster than this: 32 numbers a cycle at 6 GHz.
MULTIPLY_ADDS_PER_SECOND = 2e11

# How often a call is timed, in how many seconds at most, and in how many rounds.
REPEATS, SECONDS, ROUNDS = 15, 0.05, 4

# Processor seconds that no compiled program is fetched in: JAX takes 0.01 and more.
COMPILING = 2e-3

SHORT_ROWS = (
    "each element was allowed a sum of its own: rows so short do not tell O(n) from O(n²) by time"
)


def probe(trial: Trial) -> None:
    """Times plain and slow rows of growing length, so that later calls are known to be affordable.

    It finds `trial.pace`, `trial.compiles` and `trial.own_sums`.
    """
    slow_first = 0
    for wanted in LENGTHS:
        if wanted > trial.effort.longest:
            break
        task = trial.shapes.moved(Task("plain", wanted, 1, trial.seed))
        if task is None:
            continue
        n = task.n
        if not trial.affordable(n, task.rows, plain=True):
            break
        compiled = _timed(trial, task)
        if compiled is None:
            continue
        slow_first += compiled
        trial.compiles |= trial.candidate.kind == "python" and slow_first >= 3
        for kind in range(len(SLOW)):
            one = Task("slow", n, len(SLOW), trial.seed, pick=kind)
            several = trial.shapes.moved(replace(one, pick=None), longer=1)
            slow = one if trial.shapes.suits(one) else several
            if slow is not None and trial.affordable(n, slow.size):
                _timed(trial, slow)
    trial.own_sums = trial.op.output != "jac" and _may_sum_afresh(trial)


def _may_sum_afresh(trial: Trial) -> bool:
    """Whether a candidate may sum afresh for every element, for all that its time tells.

    Such sums take n² multiply-adds a row. One that uses less processor time than these at least
    take, or less time for each element of a longer row than these at least add, has not made them;
    so one number a row must explain its row.

    Other work on the machine makes a time too long, never too short. That is harmless for the one
    that is compared, not for the ones that are subtracted, of which one in a hundred was half as
    long again for some milliseconds. So the lengths are called in turn, in several rounds, and the
    least of all times counts.
    """
    told = []
    for wanted in TELLING:
        batches = _compared(trial, wanted)
        if not batches:
            continue
        tasks, least = [batch.task for batch in batches], _shorter({}, batches)
        for _ in range(ROUNDS):
            if _is_too_quick(least):
                return False
            least = _shorter(least, trial.run(tasks * _repeats(trial, tasks)))
        if _is_too_quick(least) or _adds_too_little(least):
            return False
        told.append(tasks[-1].n)
        if len(told) == 2:
            break
    if max(told, default=0) < TELLING[-3]:
        trial.limits.append(SHORT_ROWS)
    return True


def _compared(trial: Trial, wanted: int) -> list[Batch]:
    """Plain rows of nearly no elements, a quarter and half of `wanted`, and from there on: called.

    Those that fail are left out, and where the longest does, there is nothing to compare.
    """
    tasks: dict[int, Task] = {}
    for least in (1, wanted // 4, wanted // 2, wanted):
        task = trial.shapes.moved(Task("plain", least, 1, trial.seed))
        if task and task.n >= least and trial.affordable(task.n, task.rows, plain=True):
            tasks[task.n] = task
    if max(tasks, default=0) < wanted:
        return []
    batches = [batch for batch in trial.run(tasks[n] for n in sorted(tasks)) if batch.ok.all()]
    return batches if batches and batches[-1].task.n >= wanted else []


def _repeats(trial: Trial, tasks: list[Task]) -> int:
    """How often these rows can be called, one after the other."""
    expected = sum(trial.pace.predicted(task.n, plain=True) * task.rows for task in tasks)
    return int(min(REPEATS, max(2.0, SECONDS / max(expected, 1e-9))))


def _shorter(least: dict[int, float], batches: list[Batch]) -> dict[int, float]:
    """The least processor time that a row of each length took, until now or in these batches."""
    times = dict(least)
    for batch in batches:
        if batch.ok.all():
            n = batch.task.n
            times[n] = min(times.get(n, math.inf), batch.processor / batch.task.size)
    return times


def _is_too_quick(least: dict[int, float]) -> bool:
    """Whether the longest row takes less time than n² multiply-adds."""
    n = max(least)
    return least[n] < n**2 / MULTIPLY_ADDS_PER_SECOND


def _adds_too_little(least: dict[int, float]) -> bool:
    """Whether the longest row takes too little longer than shorter ones for own sums."""
    lengths = sorted(least)
    shortest, n = lengths[0], lengths[-1]
    for s in lengths[1:-1]:
        growth = (least[n] - least[shortest]) / n - (least[s] - least[shortest]) / s
        if growth < (n - s) / MULTIPLY_ADDS_PER_SECOND:
            return True
    return False


def _timed(trial: Trial, task: Task) -> bool | None:
    """Notes the pace of a row; whether something was compiled for it; None if a call did not end.

    That shows in the processor's time of the first call, also where the program comes from a cache.
    """
    plain = task.family == "plain"
    made = trial.run([task])
    first = made[0]
    if not _came_back(first):
        if first.outcomes[0].status == "hang":
            trial.pace.note(task.n, trial.timeout, plain=plain)
        return None
    if trial.candidate.kind == "python" or first.seconds < 0.01:
        made += trial.again(first, 5 if first.seconds < 0.01 else 2)
        if not _came_back(made[-1]):
            return None
    if all(outcome.status == "ok" for outcome in first.outcomes):  # not one cut short
        trial.pace.note(task.n, min(batch.seconds for batch in made) / task.size, plain=plain)
    return first.processor > COMPILING + 4.0 * min(batch.processor for batch in made)


def _came_back(batch: Batch) -> bool:
    """Whether each call ended by itself: compilers work for wrong answers, too."""
    ended = (outcome.status in ("ok", "raised") for outcome in batch.outcomes)
    return bool(batch.ok.all()) or (bool(batch.outcomes) and all(ended))
