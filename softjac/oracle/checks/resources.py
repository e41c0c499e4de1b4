"""resources: what many calls leave behind is told."""

from __future__ import annotations

from softjac.oracle.conclusion import Result, conclusion, skipped
from softjac.oracle.failure import Failure
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial


def check(trial: Trial) -> Result:
    """Makes one call thousands of times, and looks at memory, threads and descriptors."""
    lengths = (n for n in (1000, 16, 8, 1) if trial.elements(n) <= 1000)
    task = next(trial.possible(Task("random", n, 4, trial.seed) for n in lengths), None)
    if task is None:
        return skipped("resources", "no length that was tried is allowed")
    inputs, [call, *_] = trial.calls_of(task)
    once = max(trial.pace.predicted(task.n), 2e-5) * call.rows
    grown = trial.sandbox.soak(call, int(min(trial.effort.soak, max(50, 2.0 / once))))
    trial.calls += grown.calls
    if grown.ending is not None and grown.ending.status not in ("ok", "refused", "compiling"):
        few = {role: array[: call.rows] for role, array in inputs.items()}
        with trial.aside():
            batch = trial.gather(task, few, [grown.ending])
        detail = f"{grown.ending.message}, after {grown.calls} calls".lstrip(", ")
        failure = Failure("resources", grown.ending.status, batch, 0, detail, grown.ending)
        trial.failures.append(failure)
    told = []
    if grown.memory_bytes > max(1_000_000, 64 * grown.calls):
        told.append(f"{grown.memory_bytes / grown.calls:.0f} bytes of memory a call")
    if grown.threads > 0:
        told.append(f"{grown.threads} threads")
    if grown.descriptors > 0:
        told.append(f"{grown.descriptors} file descriptors")
    detail = f"{grown.calls} calls leave {', '.join(told)}" if told else ""
    return conclusion(
        trial, "resources", calls=trial.calls - grown.calls, reported=[detail] if told else []
    )
