"""values: every element lies within its proven bound, over all kinds of rows and lengths."""

from __future__ import annotations

import os

import numpy as np

from softjac.oracle.findings import CheckResult
from softjac.oracle.plan import Task, lengths, tasks
from softjac.oracle.trial import Batch, Clock, Trial

# No core multiplies and adds faster than this. A candidate that takes less time than n² of these
# would has not summed afresh for every element, so one number a row must explain its row.
MULTIPLY_ADDS_PER_SECOND = 2e11

# Below this length a clock cannot tell n from n².
SHORTEST_TELLING = 1024

# Rows on which the second tier may find a sum improbable: random, without ties or structure.
RANDOM_LOGITS = ("normal", "wide")
RANDOM_VECTORS = ("normal", "positive")


def check(trial: Trial) -> CheckResult:
    """Judges rows of every kind and length while the time lasts."""
    budget = trial.effort.seconds * (2.0 if trial.candidate.kind == "python" else 1.0)
    clock = Clock(budget)
    probe(trial)
    queue = _queue(trial)
    done, suspects = 0, 0
    for chunk in trial.chunks(queue):
        if done and clock.left() < 0:
            left = len(queue) - done
            trial.limits.append(f"the time budget left out {left} of {len(queue)} batches")
            break
        batches = trial.run(chunk)
        trial.judge(batches)
        for batch in batches:
            trial.collect("values", batch)
            suspects += _suspects(trial, batch)
        done += len(chunk)
        trial.progress("values", done, len(queue))
    trial.failures += trial.harvest("values", "raised")
    if suspects >= 3:
        detail = f"on {suspects} random rows the sum is off by more than {6} √n u"
        return trial.result("values", suspect=True, detail=detail)
    return trial.result("values")


def probe(trial: Trial) -> None:
    """Times the candidate at growing lengths, so that later calls are known to be affordable."""
    slow_first = 0
    for n in (8, 16, 64, 256, 1024, 4096, 16_384, 65_536, 131_072):
        if trial.compiles or n > trial.effort.longest * 2 or not trial.affordable(n):
            break
        task = trial.trimmed(Task("random", n, 1, trial.seed))
        if not trial.allows(task):
            continue
        first = trial.run([task])[0]
        if not first.ok.all():
            if first.outcomes[0].status == "hang":
                trial.seconds_per_row[n] = trial.timeout
            continue
        again = trial.run([task, task])
        if not again[-1].ok.all():
            continue
        fastest = min(batch.seconds for batch in again)
        trial.seconds_per_row[n] = fastest
        slow_first += first.seconds > 5e-3 + 4.0 * fastest
        trial.compiles = trial.candidate.kind == "python" and slow_first >= 3
        speed = MULTIPLY_ADDS_PER_SECOND * (os.cpu_count() or 1)
        if n >= SHORTEST_TELLING and 0.0 < fastest < n * n / speed:
            trial.own_sums = False
    if trial.op.output == "jac":
        trial.own_sums = False


def _queue(trial: Trial) -> list[Task]:
    """The batches to judge: of every length the most telling first."""
    wanted = [n for n in lengths(trial.effort) if trial.affordable(n)]
    layers: dict[int, list[Task]] = {}
    for n in wanted:
        planned = tasks(n, trial.effort, trial.seed, trial.candidate.takes_scale)
        for layer, several in enumerate(planned):
            layers.setdefault(layer, []).extend(trial.trimmed(task) for task in several)
    return [task for layer in sorted(layers) for task in layers[layer] if trial.allows(task)]


def _suspects(trial: Trial, batch: Batch) -> int:
    """How many random rows have a sum that is improbable, though possible."""
    if batch.judged is None or not 1 < batch.task.n <= 2**17 or not batch.judged.suspect.any():
        return 0
    specs = batch.task.specs()
    random = [row.logits in RANDOM_LOGITS and row.vector in RANDOM_VECTORS for row in specs]
    return int((batch.judged.suspect & batch.ok & np.array(random)).sum())
