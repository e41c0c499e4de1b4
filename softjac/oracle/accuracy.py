"""How accurate a candidate is where it is right: worst error, how it sums, its tails."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import numpy as np

from softjac.oracle import reference
from softjac.oracle.failure import Batch
from softjac.oracle.findings import Accuracy, CheckResult
from softjac.oracle.judging import judge_process, ulps
from softjac.oracle.judging.rows import overflowed
from softjac.oracle.planning.plan import Task
from softjac.oracle.trial import Trial

__all__ = ["measure", "worst_ulp"]

Array = np.ndarray[Any, np.dtype[Any]]

# Multiples of 512 near 10^5, 10^4 and 10^3: the longest that can be afforded is used.
LENGTHS = (98_304, 12_288, 1_536)

# Elements of float64 tails that are looked at: an enclosure takes 5 µs for each.
PROVEN = 40_000

TAILS = ("saturated", "deep", "spike", "offset+1e2", "offset-1e2", "offset+2e4", "offset-2e4")


def measure(trial: Trial) -> tuple[Accuracy | None, CheckResult]:
    """The accuracy and the line that tells it."""
    calls = trial.calls
    if not trial.passed or trial.fails("values"):
        return None, CheckResult("accuracy", "skipped", detail="no right values to measure")
    worst = max((w for check, w in trial.worst.items() if check != "threads"), default=0.0)
    errors = _worst_ulps(trial)
    tails = _tails(trial)
    kind = _kind(trial)
    ulp = max((error.result() for error in errors), default=0.0)
    said = {True: "kept", False: "lost", None: "not measured"}[tails]
    detail = f"sums: {kind}; worst {ulp:.3g} ulp; tails {said}"
    found = Accuracy(kind, ulp, worst, tails)
    return found, CheckResult("accuracy", "reported", trial.calls - calls, worst, detail)


def worst_ulp(trial: Trial) -> float:
    """The worst error seen, in units in the last place."""
    return max((error.result() for error in _worst_ulps(trial)), default=0.0)


def _worst_ulps(trial: Trial) -> list[Future[float]]:
    """The same, being computed beside: of each length and scale."""
    failures = [failure for failure in trial.failures if failure.check != "threads"]
    alike: dict[tuple[int, float], list[Batch]] = {}
    for batch in (*trial.passed, *(failure.batch for failure in failures)):
        if batch.exact is not None and batch.ok.any():
            alike.setdefault((batch.task.n, batch.task.scale), []).append(batch)
    asked = []
    for (_, scale), batches in alike.items():
        ok = np.concatenate([batch.ok for batch in batches])
        exact = np.concatenate([batch.exact for batch in batches if batch.exact is not None])
        got = np.concatenate([batch.got for batch in batches])
        given = {
            role: np.concatenate([batch.inputs[role] for batch in batches])[ok]
            for role in trial.candidate.inputs
        }
        sample = trial.sample(given, scale)
        asked.append(judge_process.submit(ulps.worst_ulp, trial.op, sample, exact[ok], got[ok]))
    return asked


def _tails(trial: Trial) -> bool | None:
    """Whether every component is within (32 + 2 log2 n) u of its condition number C.

    Not measured from float64 probabilities: their sum is 1 but for rounding, which the exact answer
    of them as they are holds, and C does not.
    """
    probabilities = "y" in trial.candidate.inputs and not trial.op.logarithmic
    if probabilities and trial.candidate.dtype == "float64":
        return None
    kept, seen = True, 0
    for batch in trial.passed:
        specs = batch.task.specs()
        chosen = np.array([spec.logits in TAILS for spec in specs]) & batch.ok
        got = batch.got[chosen]
        if not got.size or batch.exact is None:
            continue
        if trial.candidate.dtype == "float64" and seen + got.size > PROVEN:
            continue
        seen += got.size
        given = {role: array[chosen] for role, array in batch.inputs.items()}
        sample = trial.sample(given, batch.task.scale)
        exact = batch.exact[chosen]
        if trial.candidate.dtype == "float64":
            exact = judge_process.answer(trial.op, sample, proven=True)[0]
        u = max(trial.precision.u, trial.precision.u_out)
        with np.errstate(all="ignore"):
            size = trial.op.condition(sample, exact).reshape(exact.shape)
            allowed = (32.0 + 2.0 * np.log2(max(batch.task.n, 1))) * u * size
            error = np.abs(reference.residual(got, (exact, np.zeros(1))))
            fine = error <= allowed + 4.0 * trial.precision.tiny
            fine |= overflowed(trial.precision, got, exact, allowed)
        kept &= bool(fine.all())
    return kept if seen else None


def _kind(trial: Trial) -> str:
    """How the candidate's sums round, from the error of sums of equal terms.

    Such a sum is biased: in sequence its error grows as n u, in L lanes as n u / L, in pairs as
    log n u. A float32 or float64 sum in sequence, simulated, is the measure.
    """
    if trial.op.output == "jac":
        return "unknown"
    for n in LENGTHS:
        few = trial.effort.name == "quick" or trial.candidate.dtype == "float64"
        task = trial.shapes.moved(Task("simple", n, 4 if few else 16, trial.seed))
        if task is None or task.n < LENGTHS[-1] or not trial.affordable(task.n):
            continue
        if trial.candidate.dtype == "float64" and task.n > 20_000:
            continue
        depth = _depth(trial, task)
        if depth is None:
            return "unknown"
        sequence = _sequential_depth(trial, task.n)
        if depth < 3.0:
            return "compensated"
        if depth < 30.0:
            return "pairwise"
        return "sequential" if depth > 0.7 * sequence else "lanes"
    return "unknown"


def _terms(rows: int) -> Array:
    """One number a row, none of them with few bits."""
    return np.asarray(0.7 + 0.0371 * np.arange(rows) + 1e-3 * np.sqrt(np.arange(1, rows + 1)))


def _depth(trial: Trial, task: Task) -> float | None:
    """The worst error of a row's number, in units of u and of the sum of its terms' sizes."""
    terms = _terms(task.rows)[:, None]
    equal = np.zeros((task.rows, task.n))
    if trial.op.vector is None:
        equal = equal - terms * (np.arange(task.n) > 0)
    level = -np.log(task.n) if trial.op.logarithmic else 1.0 / task.n
    inputs: dict[str, Array] = {}
    for role in trial.candidate.inputs:
        if role == "x":
            made = equal
        elif role == "y":
            made = np.full(equal.shape, level)
        else:
            made = terms + np.zeros(equal.shape)
        inputs[role] = made.astype(trial.dtype)
    batch = trial.run_inputs(task, inputs)
    if not batch.ok.all() or not np.isfinite(batch.got).all():
        return None
    sample = trial.sample(inputs, task.scale)
    exact = judge_process.answer(trial.op, sample)
    bound = trial.op.bound(sample, exact[0])
    residual = reference.residual(batch.got, exact)
    slope = bound.directions[0]
    number = np.median(residual / np.where(slope == 0, np.inf, slope), axis=1)
    size = 1.0 if trial.op.vector is None else terms[:, 0]
    if trial.op.name == "log_softmax_vjp":
        size = size * task.n
    return float((np.abs(number) / (size * trial.precision.u)).max())


def _sequential_depth(trial: Trial, n: int) -> float:
    """The same for a plain loop."""
    kind = np.float64 if trial.candidate.dtype == "float64" else np.float32
    term = np.exp(-_terms(16)) if trial.op.vector is None else _terms(16) / n
    if trial.op.name == "log_softmax_vjp":
        term = _terms(16)
    term = term.astype(kind)
    total = np.add.accumulate(np.repeat(term[:, None], n, axis=1), axis=1)[:, -1]
    exact = term.astype(np.longdouble) * n
    return float((np.abs(total - exact) / exact).max() / trial.precision.u)
