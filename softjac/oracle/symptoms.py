"""Diagnoses that need no formula: what the candidate did, rather than what it computed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softjac.oracle.trial import Failure, Trial

__all__ = ["explain_by_symptom"]

Explained = tuple[str, float, str]


def explain_by_symptom(trial: Trial) -> Iterator[Explained]:
    """(identifier, share explained, evidence) for every behaviour that has a name."""
    for failure in trial.failures:
        identifier = _of_one(trial, failure)
        if identifier:
            yield identifier, 1.0, failure.told()
    yield from _of_state(trial)
    yield from _of_threads(trial)
    yield from _of_aliasing(trial)
    yield from _of_policies(trial)


def _of_one(trial: Trial, failure: Failure) -> str | None:
    """The name of a failure that speaks for itself."""
    kind, outcome = failure.kind, failure.outcome
    if kind == "empty":
        return "crash-on-empty"
    if kind == "fault":
        return _of_fault(trial, failure)
    if kind == "outside":
        return "out-of-bounds-write"
    if kind == "unwritten":
        return _of_unwritten(failure)
    if kind == "lost" or (kind == "exit" and outcome and "signal" in outcome.message.lower()):
        return "crash"
    return {
        "hang": "hang",
        "exit": "exits",
        "raised": "raises",
        "changed": "input-modified",
        "environment": "fp-environment-changed",
        "swallowed": "out-of-bounds-read",
        "shape": "wrong-shape",
        "dtype": "wrong-dtype",
        "unadded": "accumulates",
        "reused": "reused-output",
    }.get(kind)


def _of_fault(trial: Trial, failure: Failure) -> str:
    """A signal: by where it hit, and which way."""
    assert failure.outcome is not None
    fault = failure.outcome.fault
    if fault is None or fault.signal not in ("SIGSEGV", "SIGBUS"):
        return "crash"
    if fault.role is None:
        return "unaligned-access" if _only_unaligned(trial) else "crash"
    offset = fault.offset or 0
    inside = fault.access == "write" and fault.role != trial.op.output
    if inside and -_size(trial, failure) <= offset < 0 and not _before(failure):
        return "input-modified"
    return "out-of-bounds-write" if fault.access == "write" else "out-of-bounds-read"


def _size(trial: Trial, failure: Failure) -> int:
    """Bytes in one input of the failing call."""
    return failure.batch.rows * failure.batch.task.n * trial.dtype.itemsize


def _before(failure: Failure) -> bool:
    """Whether the array began right behind a guard page."""
    return failure.batch.task.layout.side == "start"


def _only_unaligned(trial: Trial) -> bool:
    """Whether all such faults came at odd alignments, and calls at even ones went well."""
    faults = [f for f in trial.failures if f.kind == "fault" and f.outcome and f.outcome.fault]
    return all(f.outcome and f.outcome.fault and f.outcome.fault.role is None for f in faults)


def _of_unwritten(failure: Failure) -> str:
    """Output that depends on what was there: added to, or not written, in places."""
    row, batch = failure.row, failure.batch
    got = batch.got[row]
    others = [b for b in (failure.batch,) if b.exact is not None]
    stale = np.zeros(got.shape, bool)
    for other in others:
        assert other.exact is not None
        stale = got != other.exact[row]
    values = got[stale] if stale.any() else got
    same = np.unique(values).size == 1
    n = batch.task.n
    if not same and stale.all():
        return "accumulates"
    places = np.flatnonzero(stale)
    if places.size and places.min() >= n - 64 and places.max() == n - 1 and places.size < n:
        return "tail-not-written"
    return "output-not-written"


def _of_state(trial: Trial) -> Iterator[Explained]:
    """Other bits for the same inputs: at once, or only after other calls."""
    mine = [failure for failure in trial.failures if failure.kind == "state"]
    if not mine:
        return
    first = mine[0]
    identifier = "nondeterministic" if first.detail.startswith("at once") else "stale-state"
    yield identifier, 1.0, first.told()


def _of_threads(trial: Trial) -> Iterator[Explained]:
    """Wrong only when called from several threads."""
    mine = [failure for failure in trial.failures if failure.check == "threads"]
    alone = [f for f in trial.failures if f.check != "threads" and f.kind == "value"]
    if mine and not alone:
        yield "not-thread-safe", 1.0, mine[0].told()


def _of_aliasing(trial: Trial) -> Iterator[Explained]:
    """Wrong in place only."""
    mine = [failure for failure in trial.failures if failure.check == "aliasing"]
    if mine and not any(failure.kind == "value" for failure in trial.failures):
        yield "alias-unsafe", 1.0, f"{mine[0].told()}"


def _of_policies(trial: Trial) -> Iterator[Explained]:
    """NaN, +inf and rows of -inf other than JAX has them."""
    for failure in trial.failures:
        if failure.kind == "policy":
            swallowed = failure.detail.startswith("NaN")
            yield "nan-swallowed" if swallowed else "masked-row-policy", 1.0, failure.told()
