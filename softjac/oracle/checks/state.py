"""state: the same inputs give the same bits, whatever was computed before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from softjac.oracle.failure import Failure, bits
from softjac.oracle.findings import CheckResult
from softjac.oracle.plan import ROOMY, Task
from softjac.oracle.trial import Trial


def check(trial: Trial) -> CheckResult:
    """Calls again, after other sizes, and with the same storage refilled by other rows."""
    calls, told = trial.calls, []
    for n in (5, 33, 40, 1000, 20_000):
        task = trial.trimmed(Task("kinds", n, 8, trial.seed + 3))
        if not trial.allows(task) or not trial.affordable(n):
            continue
        rounds = 3 if trial.effort.name == "quick" else 8
        sequence = [task, task, *_others(trial, task), *[task] * rounds]
        batches = trial.run(sequence)
        first = batches[0]
        for place, (batch, asked) in enumerate(zip(batches[1:], sequence[1:], strict=True)):
            if asked is not task:
                trial.judge([batch])
                trial.collect("state", batch)
                continue
            differ = (bits(first.got) != bits(batch.got)).any(axis=1) & first.ok & batch.ok
            for row in np.flatnonzero(differ)[:2]:
                when = "at once" if place == 0 else "after other calls"
                detail = f"{when}, other bits for the same inputs"
                trial.failures.append(Failure("state", "state", batch, int(row), detail))
        if trial.candidate.kind == "c":
            step = max(1, trial.candidate.align // trial.dtype.itemsize)
            moved = trial.run([replace(task, layout=replace(ROOMY, offset=64 + step))])[0]
            both = first.ok & moved.ok
            if (bits(first.got) != bits(moved.got))[both].any():
                told.append(f"other bits at another address (n = {n}): peels to alignment")
    trial.failures += trial.harvest("state", "reused")
    return trial.result("state", calls=calls, reported=told[:1])


def _others(trial: Trial, task: Task) -> list[Task]:
    """What is computed in between: the same shape with other rows, and other lengths."""
    others = [replace(task, seed=task.seed + 1)]
    for size in (task.n + 8, max(task.n // 2 // 8 * 8, 1), task.n + 64):
        other = trial.trimmed(Task("random", size, 8, trial.seed + 4))
        others += [other] if trial.allows(other) else []
    return others
