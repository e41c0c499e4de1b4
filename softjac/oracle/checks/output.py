"""output: every element is written, none is accumulated, the right kind of array comes back."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle.conclusion import NO_RESULT, Result, conclusion
from softjac.oracle.failure import Batch, Failure, bits
from softjac.oracle.planning.plan import Task, crowd
from softjac.oracle.storage import held_before
from softjac.oracle.trial import Trial

Array = np.ndarray[Any, np.dtype[Any]]
LENGTHS = (1, 2, 3, 7, 8, 9, 16, 17, 33, 67, 129, 1000, 4099, 20_005)

# Of longer rows `values` sees what is not written, but not what is stored instead of added.
ADDED = (65_539,)


def check(trial: Trial) -> Result:
    """Runs the same calls over two kinds of poison: no bit of either may shine through."""
    calls = trial.calls
    lengths = LENGTHS + ADDED if trial.candidate.accumulates else LENGTHS
    planned = (Task("kinds", n, crowd(n), trial.seed + 5) for n in lengths)
    queue = list(trial.possible(trial.shapes.at_scales(planned)))
    pairs = zip(trial.run(queue, poison="nan"), trial.run(queue, poison="finite"), strict=True)
    compared = 0
    for one, other in pairs:
        compared += int((one.ok & other.ok).sum())
        if trial.candidate.accumulates:
            kind, detail = "unadded", "does not add to what the output held"
            differ = ~_added(trial, one, other)
        else:
            kind, detail = "unwritten", "depends on what the output held"
            differ = (bits(one.got) != bits(other.got)).any(axis=1)
        for row in np.flatnonzero(differ & one.ok & other.ok)[:3]:
            trial.failures.append(Failure("output", kind, other, int(row), detail))
    trial.failures += trial.harvest("output", "shape", "dtype")
    return conclusion(trial, "output", calls=calls, unseen="" if compared else NO_RESULT)


def _added(trial: Trial, one: Batch, other: Batch) -> Array:
    """Which rows are the poison plus what the same call adds to zeros, rounded once."""
    held = held_before(trial.candidate.dtype, "finite")
    unit = max(trial.precision.u, trial.precision.u_out)
    with np.errstate(all="ignore"):
        apart = np.abs(other.got - (held + one.got))
        near = apart <= 4.0 * unit * (abs(held) + np.abs(one.got))
    return np.asarray((near | ~np.isfinite(one.got)).all(axis=1))
