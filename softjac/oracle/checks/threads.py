"""threads: calls from several threads at once are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softjac.oracle.findings import CheckResult
from softjac.oracle.plan import Task
from softjac.oracle.trial import Failure, Trial

THREADS = 4


def check(trial: Trial) -> CheckResult:
    """Starts calls together, long enough to meet: n = 65536 where that is affordable."""
    if not trial.candidate.reentrant:
        return CheckResult("threads", "skipped", detail="claims one caller at a time")
    calls = trial.calls
    for n in (65_536, 4_096, 1_000):
        if not trial.affordable(n) or trial.elements(n) > 3_000_000:
            continue
        rows = 1 if n > 5000 else 8
        planned = [
            trial.trimmed(Task("random", n, rows, trial.seed + 50 + k)) for k in range(THREADS)
        ]
        if not all(trial.allows(task) for task in planned):
            continue
        for _ in range(_rounds(trial, n, rows)):
            if _together(trial, planned):
                return trial.result("threads", calls=calls)
    return trial.result("threads", calls=calls)


def _rounds(trial: Trial, n: int, rows: int) -> int:
    """How often: as often as a second or two allows."""
    cost = max(trial.predicted(n) * rows * THREADS, 1e-3)
    quick = trial.effort.name == "quick"
    return int(np.clip((0.2 if quick else 1.5) / cost, 2, 12 if quick else 60))


def _together(trial: Trial, planned: list[Task]) -> bool:
    """One round; whether it failed."""
    alone = [task if trial.candidate.takes_rows else replace(task, pick=0) for task in planned]
    prepared = [trial.calls_of(task) for task in alone]
    outcomes = trial.sandbox.run_threads([made[0] for _, made in prepared])
    trial.calls += len(outcomes)
    before = len(trial.incidents)
    for task, (inputs, _), outcome in zip(alone, prepared, outcomes, strict=True):
        batch = trial.gather(task, inputs, [outcome])
        trial.judge([batch])
        trial.collect("threads", batch)
        if outcome.status not in ("ok", "refused"):
            failure = Failure("threads", outcome.status, batch, 0, outcome.message, outcome)
            trial.failures.append(failure)
    del trial.incidents[before:]
    return trial.fails("threads")
