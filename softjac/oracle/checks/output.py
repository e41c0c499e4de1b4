"""output: every element is written, none is accumulated, the right kind of array comes back."""

from __future__ import annotations

import numpy as np

from softjac.oracle.findings import CheckResult
from softjac.oracle.plan import Task
from softjac.oracle.trial import Failure, Trial, bits

LENGTHS = (1, 2, 3, 7, 8, 9, 16, 17, 33, 67, 129, 1000, 4099)


def check(trial: Trial) -> CheckResult:
    """Runs the same calls over two kinds of poison: no bit of either may shine through."""
    calls = trial.calls
    queue = []
    for n in LENGTHS:
        task = trial.trimmed(Task("kinds", n, 9, trial.seed + 5))
        if trial.affordable(n) and trial.allows(task):
            queue.append(task)
    if not trial.candidate.accumulates:
        pairs = zip(trial.run(queue, poison="nan"), trial.run(queue, poison="finite"), strict=True)
        for one, other in pairs:
            differ = (bits(one.got) != bits(other.got)).any(axis=1) & one.ok & other.ok
            for row in np.flatnonzero(differ)[:3]:
                detail = "depends on what the output held"
                trial.failures.append(Failure("output", "unwritten", other, int(row), detail))
    trial.failures += trial.harvest("output", "shape", "dtype")
    return trial.result("output", calls=calls)
