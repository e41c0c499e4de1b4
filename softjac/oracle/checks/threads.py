"""threads: calls from several threads at once are right, a process's first calls too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softjac.oracle.failure import Failure, bits
from softjac.oracle.findings import CheckResult
from softjac.oracle.plan import Task
from softjac.oracle.trial import Trial

THREADS = 4
LENGTHS = (65_536, 16_384, 4_096, 1_000)

# The first calls of a process, where tables are filled: so short that all of them come early.
FIRST = 64
STARTS = {"quick": 1, "standard": 8, "thorough": 40}


def check(trial: Trial) -> CheckResult:
    """Starts calls together, long enough to meet: n = 65536 where they are affordable at once."""
    if not trial.candidate.reentrant:
        return CheckResult("threads", "skipped", detail="claims one caller at a time")
    calls = trial.calls
    quick = trial.effort.name == "quick"
    for n in LENGTHS[::3] if quick else LENGTHS:
        rows = 1 if n > 5000 else 8
        planned = _planned(trial, n, rows)
        if planned and _together(trial, planned, _rounds(trial, n, rows)):
            break
    first = _planned(trial, FIRST, 8)
    if first and trial.candidate.kind == "c" and not trial.fails("threads"):
        for _ in range(STARTS[trial.effort.name]):
            if _together(trial, first, 1):
                break
    return trial.result("threads", calls=calls)


def _planned(trial: Trial, n: int, rows: int) -> list[Task]:
    """A call for each thread; none where they are not affordable or not allowed."""
    if not trial.affordable(n, rows * THREADS, plain=True) or trial.elements(n) > 3_000_000:
        return []
    seeds = range(trial.seed + 50, trial.seed + 50 + THREADS)
    moved = (trial.shapes.moved(Task("plain", n, rows, seed)) for seed in seeds)
    planned = [task for task in moved if task is not None and trial.allows(task)]
    return planned if len(planned) == THREADS else []


def _rounds(trial: Trial, n: int, rows: int) -> int:
    """How often: as often as a second or two allows."""
    cost = max(trial.pace.predicted(n, plain=True) * rows * THREADS, 1e-3)
    quick = trial.effort.name == "quick"
    return int(np.clip((0.2 if quick else 1.5) / cost, 2, 12 if quick else 60))


def _together(trial: Trial, planned: list[Task], rounds: int) -> bool:
    """Rounds of calls at once, judged where the bits differ from alone; whether any failed."""
    alone = [task if trial.candidate.takes_rows else replace(task, pick=0) for task in planned]
    expected = trial.run_aside(alone)
    pairs = zip(alone, expected, strict=True)
    calls = [trial.call(task, batch.inputs, "nan")[0] for task, batch in pairs]
    outcomes = trial.sandbox.run_threads(calls, rounds)
    trial.calls += len(outcomes)
    before = len(trial.incidents)
    for number, outcome in enumerate(outcomes):
        place = number % THREADS
        batch = trial.gather(alone[place], expected[place].inputs, [outcome])
        if outcome.status not in ("ok", "refused"):
            failure = Failure("threads", outcome.status, batch, 0, outcome.message, outcome)
            trial.failures.append(failure)
        elif (bits(batch.got) != bits(expected[place].got)).any():
            trial.judge([batch])
            trial.collect("threads", batch)
        if trial.fails("threads"):
            break
    del trial.incidents[before:]
    return trial.fails("threads")
