"""How a check went, from what it left on the trial: said once all that it asked for was judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from softjac.oracle.findings import CheckResult, Status
from softjac.oracle.trial import Trial

__all__ = ["NO_CALL", "NO_RESULT", "Result", "conclude", "conclusion", "skipped"]

NO_CALL = "no call that its preconditions allow ends within the time limit"
NO_RESULT = "no call gave a result that could be judged"

# What gives a check's result, once all that it asked for has been judged.
Result = Callable[[], CheckResult]


def conclusion(
    trial: Trial, check: str, *, calls: int = 0, unseen: str = "", reported: Sequence[str] = ()
) -> Result:
    """What gives a check's result, of which the calls after the first `calls` are."""
    made = trial.calls - calls
    return lambda: conclude(trial, check, made, unseen=unseen, reported=reported)


def skipped(check: str, why: str) -> Result:
    """What gives the result of a check that makes no call."""
    return lambda: CheckResult(check, "skipped", detail=why)


def conclude(
    trial: Trial,
    check: str,
    calls: int,
    *,
    suspect: str = "",
    unseen: str = "",
    reported: Sequence[str] = (),
) -> CheckResult:
    """How a check of so many calls went, from the failures it left.

    suspect says what is improbable, though possible; unseen why nothing could be judged; reported
    what is told without being judged.
    """
    mine = [failure for failure in trial.failures if failure.check == check]
    status: Status = "pass"
    detail = ""
    if mine:
        status, detail = "fail", mine[0].told()
    elif suspect:
        status, detail = "suspect", suspect
    elif reported:
        status, detail = "reported", "; ".join(reported)
    elif not calls:
        status, detail = "skipped", NO_CALL
    elif check in trial.collected and check not in trial.worst:
        status, detail = "skipped", NO_RESULT
    elif unseen:
        status, detail = "skipped", unseen
    return CheckResult(check, status, calls, trial.worst.get(check), detail)
