"""The run and its verdict: a candidate goes through the checks, its failures into a diagnosis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from softjac._errors import ArgumentError, RefutedError
from softjac.oracle import accuracy, diagnosis, pictures
from softjac.oracle.candidate import Candidate, load, open_sandbox
from softjac.oracle.checks import CHECKS
from softjac.oracle.conclusion import NO_CALL, Result, conclude
from softjac.oracle.counterexample import ONE_CALL, counterexamples, parse, rerun
from softjac.oracle.failure import counted
from softjac.oracle.findings import Accuracy, CheckResult, Report, Verdict
from softjac.oracle.judging import judge_process
from softjac.oracle.planning.plan import EFFORTS, SCALES, Task
from softjac.oracle.planning.probe import probe
from softjac.oracle.planning.short_rows import excuse_short_rows
from softjac.oracle.trial import Trial

__all__ = ["assert_verified", "replay", "verify"]

# A candidate that was tried on shorter rows than these alone, for lack of time, is not verified.
TELLING = 33

# What a check is told of calls that others make after it.
LATE = {"memory": ("changed", "outside"), "output": ("shape", "dtype"), "state": ("reused",)}

# What a counterexample says that is right when its call is made alone.
ALONE = (
    "this call alone gives the right result; if `verify` still fails, the failure depends on "
    "earlier calls"
)


def verify(
    candidate: Any,
    *,
    effort: str = "standard",
    seed: int = 0,
    timeout: float = 10.0,
    progress: Callable[..., None] | None = None,
    **options: Any,
) -> Report:
    """Judge whether a candidate computes what it claims, and name the bug if it does not.

    Args:
        candidate: a target as on the command line ("lib.so:symbol", "file.c:symbol",
            "module:function", "file.py:function"), a Python callable, or a `CFunction`. Targets
            given as text run in a child process; a callable runs in this one.
        effort: "quick", "standard" or "thorough".
        seed: seed of the random inputs, 0 to 2**32 - 1; the same seed gives the same rows.
        timeout: seconds a single call may take before it counts as a hang; a day at most.
        progress: called as progress(check, done, total) now and then, and as progress(result) with
            the `CheckResult` of each check that ends.
        **options: what the candidate claims, named as on the command line: `op` (required),
            `prototype`, `header`, `roles`, `autodiff`, `dtype`, `assume`, `not_reentrant`, `align`,
            `in_place`, `accumulates`, `nonfinite`, `over_read`, `cflags`, `array`.

    Returns:
        The report; `report.verdict` is "verified", "refuted" or "inconclusive".

    Raises:
        CandidateError: the candidate cannot be loaded.
        SandboxError: the sandbox cannot run on this platform.
        ArgumentError: an option's value is not one of those there are.

    Numerics:
        No absolute tolerance: every element is compared with the exact answer within a bound
        derived from its row, `softjac.oracle.judging.bounds`.

    Example:
        >>> import numpy as np
        >>> def vjp(y, dy):
        ...     return y * (1 - y) * dy
        >>> report = verify(vjp, op="softmax_vjp", effort="quick")
        >>> report.verdict, report.diagnoses[0].id
        ('refuted', 'diagonal-only')
    """
    if effort not in EFFORTS:
        known = ", ".join(EFFORTS)
        raise ArgumentError(f"effort is one of {known}, not {effort!r}")
    if seed not in range(2**32):
        raise ArgumentError(f"seed {seed}: expected 0 to 2**32 - 1")
    started = time.perf_counter()
    loaded = candidate if isinstance(candidate, Candidate) else load(candidate, **options)
    tell = progress or (lambda *told: None)
    with open_sandbox(loaded, timeout=timeout) as sandbox:
        trial = Trial(loaded, sandbox, EFFORTS[effort], seed, timeout, tell)
        judge_process.prepare(trial.op, loaded.inputs, loaded.dtype)
        results = _checked(trial)
        measured, result = accuracy.measure(trial)
        results.append(result)
        tell(result)
        tell("diagnosis", 0, 0)
        report = _report(trial, results)
        report.accuracy = measured
        report.counterexamples = counterexamples(trial)
        report.diagnoses = diagnosis.diagnose(trial)
        _reclassify(trial, report)
        pictures.add(trial, report)
    report.seconds = time.perf_counter() - started
    report.calls, report.rows = trial.calls, trial.rows
    return report


def assert_verified(candidate: Any, **options: Any) -> Report:
    """Raise unless a candidate is verified.

    Args:
        candidate: as in `verify`.
        **options: as in `verify`.

    Returns:
        The report, where the verdict is "verified".

    Raises:
        RefutedError: the verdict is another; the message is the report's text.

    Example:
        >>> def vjp(y, dy):
        ...     return y * (dy - (y * dy).sum(-1, keepdims=True))
        >>> assert_verified(vjp, op="softmax_vjp", effort="quick").verdict
        'verified'
    """
    report = verify(candidate, **options)
    if report.verdict != "verified":
        from softjac.oracle.reports.text import render

        raise RefutedError(render(report))
    return report


def replay(replay: str, candidate: Any, *, timeout: float = 10.0, **options: Any) -> Report:
    """Make one counterexample again, bit for bit.

    Args:
        replay: the string from the report.
        candidate: as in `verify`.
        timeout: seconds the call may take.
        **options: as in `verify`.

    Returns:
        A report of that one call: "refuted" if it still fails, else "verified". The mistake is
        named only where the check is made again whole, as it is for relations, state and threads.

    Raises:
        ArgumentError: not a replay string of this version.
    """
    check, task, effort, seed, own_sums = parse(replay)
    started = time.perf_counter()
    for known in ("effort", "seed", "progress"):
        options.pop(known, None)
    loaded = candidate if isinstance(candidate, Candidate) else load(candidate, **options)
    with open_sandbox(loaded, timeout=timeout) as sandbox:
        trial = Trial(loaded, sandbox, effort, seed, timeout, lambda *told: None)
        trial.own_sums = own_sums
        if check in ONE_CALL:
            rerun(trial, task)
            trial.failures += trial.harvest(
                check, "fault", "raised", "exit", "hang", "lost", "changed", "outside", "shape"
            )
            results = [conclude(trial, check, trial.calls)]
            if not trial.failures:
                trial.limits.append(ALONE)
        elif check in CHECKS:
            if check == "environment":  # it picks up what other calls did
                rerun(trial, task)
            probe(trial)  # what it can afford
            trial.own_sums = own_sums
            begun = CHECKS[check](trial)
            trial.settle()
            results = [begun()]
        else:
            raise ArgumentError(f"the replay string names no check: {check!r}")
        report = _report(trial, results)
        report.counterexamples = counterexamples(trial)
        if check not in ONE_CALL:  # one call shows numbers, not which mistake made them
            report.diagnoses = diagnosis.diagnose(trial)
    report.verdict = "refuted" if trial.failures else "verified"
    report.seconds = time.perf_counter() - started
    report.calls, report.rows = trial.calls, trial.rows
    return report


def _checked(trial: Trial) -> list[CheckResult]:
    """Runs the checks, each while rows of those before it are still being judged.

    A check's line is told when all is judged, and once more where a later call changed it.
    """
    begun: list[Result] = []
    told: list[CheckResult] = []
    for name, check in CHECKS.items():
        trial.progress(name, 0, 0)
        begun.append(check(trial))
        if trial.settle(wait=False):
            told += _told(trial, [result() for result in begun[len(told) :]])
    trial.settle()
    excuse_short_rows(trial)
    for name, kinds in LATE.items():
        if name in CHECKS:
            trial.failures += trial.harvest(name, *kinds)
    order = list(CHECKS)
    trial.failures.sort(key=lambda failure: order.index(failure.check))
    results = [result() for result in begun]
    _told(trial, [result for result in results if result not in told])
    return results


def _told(trial: Trial, results: list[CheckResult]) -> list[CheckResult]:
    """These results, shown."""
    for result in results:
        trial.progress(result)
    return results


def _report(trial: Trial, results: list[CheckResult]) -> Report:
    """The verdict, and what limits it."""
    candidate = trial.candidate
    refused = [incident for incident in trial.incidents if incident.kind == "refused"]
    lengths = sorted(n for n in trial.lengths if n > 1)
    limits = []
    if trial.lengths:
        reach = f"n up to {max(trial.lengths)} ({counted(len(trial.lengths), 'length')})"
        many = f"up to {trial.most_rows} rows and {trial.most_elements} logits a call"
        limits.append(f"{reach}, {many}")
    if candidate.takes_scale:
        limits.append(f"scales from {min(SCALES):.2g} to {max(SCALES):g}, none of them 0 or below")
    if refused:
        n = refused[0].batch.task.n
        told = (
            f"returned an error for {counted(len(refused), 'call')} that --assume does not exclude"
        )
        limits.append(f"{told}, first n = {n}")
    if trial.shapes.uncompiled < math.inf:
        words = f"n = {trial.shapes.uncompiled} and more tried once at most"
        limits.append(f"{words}: a call took more than {trial.timeout:g} s, to compile perhaps")
    if len(lengths) < 3:
        limits.append(f"only {counted(len(lengths), 'length')} above 1 could be tried")
    limits += [f"only where {condition}" for condition in candidate.assumptions]
    telling = trial.shapes.suits(Task("plain", TELLING, 1)) or trial.shapes.uncompiled <= TELLING
    short = bool(lengths) and lengths[-1] < TELLING and telling
    if short:
        limits.append(f"its preconditions allow n = {TELLING}, the time limit only {lengths[-1]}")
    uncalled = [result.name for result in results if result.detail == NO_CALL]
    if uncalled:
        limits.append(f"left out, as {NO_CALL}: {', '.join(uncalled)}")
    verdict: Verdict = "verified"
    if any(result.status == "fail" for result in results):
        verdict = "refuted"
    elif (
        refused
        or short
        or len(lengths) < 3
        or any(result.status == "suspect" for result in results)
    ):
        verdict = "inconclusive"
    return Report(
        target=candidate.target,
        op=candidate.op,
        dtype=candidate.dtype,
        verdict=verdict,
        assumptions=tuple(candidate.assumptions),
        limits=tuple(limits + trial.limits),
        checks=results,
        tried=_tried(trial),
    )


def _reclassify(trial: Trial, report: Report) -> None:
    """Faults of precision name the accuracy's class, which a sum of equal terms cannot show."""
    kinds = {"low-precision-sum": "16-bit sums", "inaccurate-exp": "inaccurate exp"}
    for named in report.diagnoses:
        if named.id in kinds and report.accuracy is None:
            worst = max(result.worst_ratio or 0.0 for result in report.checks)
            ulp = accuracy.worst_ulp(trial)
            report.accuracy = Accuracy(kinds[named.id], ulp, worst)


def _tried(trial: Trial) -> list[str]:
    """What was tried, in a few lines."""
    lengths = sorted(trial.lengths)
    if not lengths:
        return []
    shown = ", ".join(str(n) for n in lengths if n > 130) or "none"
    return [
        f"{sum(n <= 130 for n in lengths)} lengths up to 130; longer: {shown}",
        f"seed {trial.seed}, effort {trial.effort.name}",
    ]
