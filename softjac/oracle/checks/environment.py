"""environment: the process is left as it was, and no call ends it, aborts, crashes or hangs.

What loading a library leaves changed is told: linkers put code there that the kernel has not.
"""

from __future__ import annotations

from dataclasses import replace

from softjac.oracle.calls.call import Layout
from softjac.oracle.conclusion import Result, conclusion
from softjac.oracle.failure import Failure
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial

UNSEEN = "reading it needs the compiled library"


def check(trial: Trial) -> Result:
    """Picks up what all calls left changed; calls once more with faults not to be swallowed."""
    kinds = ("exit", "hang", "lost", "environment", "fault", "raised")
    trial.failures += trial.harvest("environment", *kinds)
    trial.settle()  # whether memory has failed is known then
    if trial.candidate.kind == "c" and not trial.fails("memory"):
        _blocked(trial)
    unseen = ""
    if trial.candidate.kind == "python" and not trial.sandbox.traits.sees_environment:
        unseen = UNSEEN
        trial.limits.append(f"the floating-point environment was not looked at: {UNSEEN}")
    left = trial.sandbox.left_by_loading if trial.candidate.kind == "c" else ()
    told = [f"loading it leaves changed: {', '.join(left)} (as -ffast-math does)"] if left else []
    return conclusion(trial, "environment", unseen=unseen, reported=told)


def _blocked(trial: Trial) -> None:
    """Calls beside guard pages, SIGSEGV blocked: a fault ends the child, handled or not."""
    wanted = (Task("simple", n, 1, trial.seed, layout=Layout()) for n in (1, 3, 8, 9, 17, 64))
    planned = list(trial.possible(wanted))
    prepared = [trial.calls_of(task) for task in planned]
    outcomes = trial.sandbox.run_blocked([call for _, made in prepared for call in made])
    trial.calls += len(outcomes)
    for task, (inputs, _), outcome in zip(planned, prepared, outcomes, strict=True):
        if outcome.status == "fault":  # what ends a call otherwise, ends the others too
            before = len(trial.incidents)
            batch = trial.gather(task, inputs, [replace(outcome, status="exit")])
            del trial.incidents[before:]
            detail = "faults, and hides the fault with a signal handler of its own"
            trial.failures.append(Failure("environment", "swallowed", batch, 0, detail, outcome))
            return
