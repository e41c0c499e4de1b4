"""Every length in turn, looked at briefly: which ones are worth judging?

A kernel may have a path of its own for any length, and a judge no time for all of them. So a plain
row of each is compared with the formula in float64, within a rough allowance. Nothing is decided
here: an honest kernel may exceed the allowance, and what `values` makes of such a length counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softjac.oracle.failure import Batch
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial

__all__ = ["remarkable"]

# Up to where every length is tried, every multiple of 64, and every multiple of 4096, some with
# three left over.
REACH = {
    "quick": (576, 4096, 65_536),
    "standard": (2112, 8192, 131_072),
    "thorough": (8256, 65_536, 524_288),
}

# Below, `values` tries every length itself.
BEGIN = 20

# Errors that are nothing remarkable: of so many roundings, times √n, in units of the condition.
ROUNDINGS = 8.0

# So many lengths at which the process ends, and the look is over: each takes a new one.
ENDING = 12

# The share of an effort's time that the calls may take.
SHARE = 0.1


def remarkable(trial: Trial) -> list[Task]:
    """The plain rows, of one length each, that are not about what the formula gives."""
    if trial.compiles:
        return []
    found = []
    tasks = list(_affordable(trial))
    for chunk in trial.chunks(tasks) if not trial.shapes.hung else ([task] for task in tasks):
        if len(trial.shapes.ended) > ENDING:
            break
        batches = trial.run([task for task in chunk if trial.allows(task)])  # hangs retire lengths
        found += [batch.task for batch in batches if not _is_about_right(trial, batch)]
    return found


def _affordable(trial: Trial) -> Iterator[Task]:
    """A plain row of each length that is allowed, while their time and size are."""
    every, by_64, by_4096 = REACH[trial.effort.name]
    lengths = {*range(BEGIN, every), *range(64, by_64 + 1, 64), *range(4096, by_4096 + 1, 4096)}
    lengths |= set(range(4099, by_4096, 8192))
    seconds, elements = 0.0, 0
    most = sum(lengths)  # a Jacobian's rows are longer
    for n in sorted(lengths):
        task = Task("plain", n, 1, trial.seed + n)
        seconds += trial.pace.predicted(n, plain=True)
        elements += trial.elements(n)
        if seconds > SHARE * trial.effort.seconds or elements > most:
            return
        if trial.affordable(n, plain=True) and trial.allows(task):
            yield task


def _is_about_right(trial: Trial, batch: Batch) -> bool:
    """Whether a row is what the formula gives, as far as plain float64 tells; or did not return."""
    if not batch.ok.all():
        return True  # which is another check's affair
    n, precision = batch.task.n, trial.precision
    with np.errstate(all="ignore"):
        sample = trial.sample(batch.inputs, batch.task.scale)
        exact = trial.op.formula(sample).reshape(batch.got.shape)
        condition = trial.op.condition(sample, exact).reshape(batch.got.shape)
        rough = (ROUNDINGS * np.sqrt(n) * precision.u + precision.u_out) * condition
        return bool((np.abs(batch.got - exact) <= rough + precision.tiny).all())
