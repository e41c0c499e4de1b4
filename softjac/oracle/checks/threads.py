"""threads: calls from several threads at once are right, a process's first calls too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softjac.oracle.calls.call import Call, Outcome
from softjac.oracle.checks.state import APART
from softjac.oracle.conclusion import Result, conclusion, skipped
from softjac.oracle.failure import Batch, Failure, bits
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial

THREADS = 4
LENGTHS = (65_552, 16_384, 4_096, 1_000, 205, 27)

# So many elements of short rows a call, for the calls to last until they meet.
TOGETHER = 32_000

# The first calls of a process, where tables are filled: so short that all of them come early.
FIRST = 64
STARTS = {"quick": 1, "standard": 8, "thorough": 40}


def check(trial: Trial) -> Result:
    """Starts calls together, long enough to meet: n > 65536 where they are affordable at once."""
    if not trial.candidate.reentrant:
        return skipped("threads", "claims one caller at a time")
    calls = trial.calls
    quick = trial.effort.name == "quick"
    lengths = (65_552, 4_096, 1_000, 205, 27) if quick else LENGTHS
    long = [_alone(trial, n) for n in lengths]
    if trial.candidate.takes_scale:
        long += [_alone(trial, n, scale=2.5) for n in (1_000, 27)]
    every = [batch for alone in long for batch in alone]  # all of them, of all lengths
    first = _alone(trial, FIRST, rows=8) if trial.candidate.kind == "c" else []
    for alone in (*(long[::2] if quick else long), every):  # each takes a process
        if alone and _together(trial, alone, _rounds(trial, alone)):
            break
    for _ in range(STARTS[trial.effort.name] if first else 0):
        if trial.fails("threads") or _together(trial, first, 1):
            break
    if trial.candidate.kind == "python" and not trial.fails("threads"):
        _in_between(trial)
    return conclusion(trial, "threads", calls=calls)


def _alone(trial: Trial, n: int, *, rows: int | None = None, scale: float = 1.0) -> list[Batch]:
    """A call for each thread, made one by one; none where they are not affordable or allowed.

    Nor where one of them alone does not return, which is no matter of threads. All are made before
    any threads start: each start takes a new process.
    """
    rows = rows or max(1, TOGETHER // trial.elements(n))
    while not trial.affordable(n, rows * THREADS, plain=True):
        if rows == 1:
            return []
        rows //= 2
    seeds = range(trial.seed + 50, trial.seed + 50 + THREADS)
    moved = (trial.shapes.moved(Task("plain", n, rows, seed, scale=scale)) for seed in seeds)
    planned = [task for task in moved if task is not None and trial.allows(task)]
    if len(planned) < THREADS:
        return []
    several = trial.candidate.takes_rows
    made = trial.run_aside([task if several else replace(task, pick=0) for task in planned])
    return made if all(batch.ok.all() for batch in made) else []


def _rounds(trial: Trial, alone: list[Batch]) -> int:
    """How often: as often as a second or two allows."""
    tasks = [batch.task for batch in alone]
    cost = sum(trial.pace.predicted(task.n, plain=True) * task.size for task in tasks)
    cost = max(cost, 2.5e-4 * len(tasks))
    quick = trial.effort.name == "quick"
    return int(np.clip((0.2 if quick else 1.5) / cost, 2, 12 if quick else 60))


def _together(trial: Trial, alone: list[Batch], rounds: int) -> bool:
    """Rounds of calls at once; whether any failed."""
    before = len(trial.incidents)
    _compare(trial, alone, trial.sandbox.run_threads(_calls(trial, alone), rounds))
    del trial.incidents[before:]
    return trial.fails("threads")


def _in_between(trial: Trial) -> None:
    """A call between any two lines of another, where no input may hold other values either."""
    alone = _alone(trial, FIRST, rows=8)[:2]
    if not alone:
        return
    if "x" in alone[1].inputs:  # so far away that nothing found in the one call serves the other
        far = (alone[1].inputs["x"].astype(np.float64) + APART).astype(trial.dtype)
        with trial.aside():
            alone[1] = trial.run_inputs(alone[1].task, {**alone[1].inputs, "x": far})
    before = len(trial.incidents)
    _compare(trial, alone, trial.sandbox.run_interleaved(_calls(trial, alone)))
    late = trial.incidents[before:]
    del trial.incidents[before:]
    written = [incident for incident in late if incident.kind == "changed"]
    if written and not any(failure.kind == "changed" for failure in trial.failures):
        trial.failures.append(replace(written[0], check="threads"))  # what `memory` has not seen


def _calls(trial: Trial, alone: list[Batch]) -> list[Call]:
    return [trial.call(batch.task, batch.inputs, "nan")[0] for batch in alone]


def _compare(trial: Trial, alone: list[Batch], outcomes: list[Outcome]) -> None:
    """Judges outcomes, of each call in turn, where the bits differ from alone."""
    trial.calls += len(outcomes)
    for number, outcome in enumerate(outcomes):
        expected = alone[number % len(alone)]
        batch = trial.gather(expected.task, expected.inputs, [outcome])
        if outcome.status not in ("ok", "refused", "compiling"):
            failure = Failure("threads", outcome.status, batch, 0, outcome.message, outcome)
            trial.failures.append(failure)
        elif (bits(batch.got) != bits(expected.got)).any():
            trial.judge([batch])
            trial.collect("threads", batch)
        if trial.fails("threads"):
            break
