"""What a candidate is like before it is judged: its pace, and whether a compiler is at work."""

from __future__ import annotations

import os
from dataclasses import replace

from softjac.oracle.plan import SLOW, Task
from softjac.oracle.trial import Trial

__all__ = ["probe"]

LENGTHS = (8, 16, 64, 256, 1024, 4096, 16_384, 65_536, 131_072)

# No core multiplies and adds faster than this. A candidate that takes less time than n² of these
# would has not summed afresh for every element, so one number a row must explain its row.
MULTIPLY_ADDS_PER_SECOND = 2e11

# Below this length a clock cannot tell n from n².
SHORTEST_TELLING = 1024


def probe(trial: Trial) -> None:
    """Times plain and slow rows of growing length, so that later calls are known to be affordable.

    It finds `trial.pace`, `trial.compiles` and `trial.own_sums`.
    """
    slow_first = 0
    speed = MULTIPLY_ADDS_PER_SECOND * (os.cpu_count() or 1)
    for wanted in LENGTHS:
        if wanted > trial.effort.longest * 2:
            break
        task = trial.shapes.moved(Task("plain", wanted, 1, trial.seed))
        if task is None:
            continue
        n = task.n
        if not trial.affordable(n, task.rows, plain=True):
            break
        first, fastest = _timed(trial, task)
        if fastest is None:
            continue
        slow_first += first > 5e-3 + 4.0 * fastest
        trial.compiles |= trial.candidate.kind == "python" and slow_first >= 3
        if n >= SHORTEST_TELLING and 0.0 < fastest < n * n / speed:
            trial.own_sums = False
        for kind in range(len(SLOW)):
            one = Task("slow", n, len(SLOW), trial.seed, pick=kind)
            several = trial.shapes.moved(replace(one, pick=None), longer=1)
            slow = one if trial.shapes.suits(one) else several
            if slow is not None and trial.affordable(n, slow.size):
                _timed(trial, slow)
    if trial.op.output == "jac":
        trial.own_sums = False


def _timed(trial: Trial, task: Task) -> tuple[float, float | None]:
    """Seconds a row takes at first, and in the fastest of more calls; None where one failed."""
    plain = task.family == "plain"
    first = trial.run([task])[0]
    if not first.ok.all():
        if first.outcomes[0].status == "hang":
            trial.pace.note(task.n, trial.timeout, plain=plain)
        return first.seconds, None
    fastest = first.seconds
    if trial.candidate.kind == "python" or first.seconds < 0.01:
        again = trial.run([task] * (5 if first.seconds < 0.01 else 2))
        if not again[-1].ok.all():
            return first.seconds, None
        fastest = min(batch.seconds for batch in again)
    trial.pace.note(task.n, fastest / task.size, plain=plain)
    return first.seconds / task.size, fastest / task.size
