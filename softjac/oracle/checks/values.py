"""values: every element lies within its proven bound, over all kinds of rows and lengths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softjac.oracle.conclusion import Result, conclude
from softjac.oracle.failure import Batch
from softjac.oracle.findings import CheckResult
from softjac.oracle.judging import judge_process
from softjac.oracle.planning.pace import Clock
from softjac.oracle.planning.plan import Task, lengths, tasks
from softjac.oracle.planning.probe import probe
from softjac.oracle.planning.shapes import LONGER
from softjac.oracle.planning.sweep import remarkable
from softjac.oracle.trial import Trial

# From here on a length that the preconditions exclude is replaced by one near it.
DENSE = 130

# Of the lengths that a look at all of them remarks so many are judged.
REMARKED = 12

# Rows on which the second tier may find a sum improbable: random, without ties or structure.
RANDOM_LOGITS = ("normal", "wide")
RANDOM_VECTORS = ("normal", "positive")


def check(trial: Trial) -> Result:
    """Judges rows of every kind and length while the time lasts."""
    budget = trial.effort.seconds * (2.0 if trial.candidate.kind == "python" else 1.0)
    probe(trial)
    remarked = remarkable(trial)
    clock, spent = Clock(budget), trial.seconds + judge_process.seconds()
    queue = _queue(trial, remarked[:REMARKED])
    done, suspects = 0, 0

    def take(batch: Batch) -> None:
        nonlocal suspects
        trial.collect("values", batch)
        suspects += _suspects(trial, batch)

    for chunk in trial.chunks(queue):
        elsewhere = trial.seconds + judge_process.seconds()
        if done and clock.left(elsewhere - spent) < 0:
            left = len(queue) - done
            told = f"{left} of {len(queue)} planned batches were skipped for lack of time"
            more = {"quick": " (--effort standard runs more)"}.get(trial.effort.name, "")
            trial.limits.append(told + more)
            break
        trial.judge_later(trial.run(chunk), take)
        done += len(chunk)
        trial.progress("values", done, len(queue))
    trial.failures += trial.harvest("values", "raised")
    calls = trial.calls

    def result() -> CheckResult:
        told = f"on {suspects} random rows the sum is off by more than 6 √n u"
        return conclude(trial, "values", calls, suspect=told if suspects >= 3 else "")

    return result


def _queue(trial: Trial, remarked: list[Task]) -> list[Task]:
    """The batches to judge: what a look at all lengths remarked, then of each the most telling."""
    layers: dict[int, list[Task]] = {-1: remarked}
    for n in dict.fromkeys(_lengths(trial)):
        if not trial.affordable(n):
            if trial.affordable(n, plain=True):
                layers.setdefault(0, []).append(Task("plain", n, 1, trial.seed))
            continue
        planned = tasks(
            n,
            trial.effort,
            trial.seed,
            scaled=trial.candidate.takes_scale,
            several_rows=trial.candidate.takes_rows,
        )
        for layer, several in enumerate(planned):
            layers.setdefault(layer, []).extend(trial.trimmed(task) for task in several)
    queue = (task for layer in sorted(layers) for task in layers[layer])
    moved = (trial.shapes.moved(task, longer=1) for task in queue)
    return [task for task in dict.fromkeys(moved) if task is not None and trial.allows(task)]


def _lengths(trial: Trial) -> Iterator[int]:
    """The lengths to try; a far one that the preconditions exclude gives way to one near it."""
    for n in lengths(trial.effort):
        task = trial.shapes.moved(Task("plain", n, 1), longer=1 if n < DENSE else LONGER)
        if task is not None:
            yield task.n


def _suspects(trial: Trial, batch: Batch) -> int:
    """How many random rows have a sum that is improbable, though possible."""
    if batch.judged is None or not 1 < batch.task.n <= 2**17 or not batch.judged.suspect.any():
        return 0
    specs = batch.task.specs()
    random = [row.logits in RANDOM_LOGITS and row.vector in RANDOM_VECTORS for row in specs]
    return int((batch.judged.suspect & batch.ok & np.array(random)).sum())
