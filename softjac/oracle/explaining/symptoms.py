"""Diagnoses that need no formula: what the candidate did, rather than what it computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from softjac.oracle.counterexample import fails_anew
from softjac.oracle.failure import Batch, Failure, bits
from softjac.oracle.mistakes.arithmetic import VECTOR_LENGTHS
from softjac.oracle.planning.plan import ROOMY
from softjac.oracle.storage import fresh, held_before
from softjac.oracle.trial import Trial

__all__ = ["explain_by_chance", "explain_by_symptom"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

# How the sandbox tells of a process that a signal ended, not a status of its own.
SIGNALLED = "the process ended by "

# What glibc prints before it aborts because its heap is damaged.
HEAP = ("malloc", "free(", "realloc(", "corrupt", "munmap_chunk", "smallbin", "fastbin", "tcache")


def explain_by_symptom(trial: Trial) -> Iterator[Explained]:
    """(identifier, share explained, evidence) for every behaviour that has a name."""
    of_threads = _is_of_threads(trial)
    for failure in trial.failures:
        if failure.check == "threads" and (of_threads or failure.kind == "raised"):
            continue  # what it did to the process follows from that
        identifier = _of_one(trial, failure)
        if identifier:
            yield identifier, 1.0, failure.told()
    yield from _of_output(trial)
    yield from _of_new_memory(trial)
    yield from _of_state(trial)
    yield from _of_threads(trial)
    yield from _of_aliasing(trial)
    yield from _of_policies(trial)


def _of_one(trial: Trial, failure: Failure) -> str | None:
    """The name of a failure that speaks for itself."""
    kind, outcome = failure.kind, failure.outcome
    if kind == "empty":
        return None if _ends_anywhere(trial, failure) else "crash-on-empty"
    if kind in ("fault", "swallowed"):
        return _of_fault(trial, failure)
    if kind == "outside":
        return "row-stride" if _goes_astray(trial) else "out-of-bounds-write"
    if kind == "lost" and any(other.kind == "exit" for other in trial.failures):
        return None
    if kind == "lost" or (kind == "exit" and outcome and SIGNALLED in outcome.message):
        return "crash"
    return {
        "hang": "hang",
        "exit": "exits",
        "raised": "raises",
        "changed": "input-modified",
        "environment": "fp-environment-changed",
        "shape": "wrong-shape",
        "dtype": "wrong-dtype",
        "unadded": "accumulates",
        "reused": "reused-output",
    }.get(kind)


def _ends_anywhere(trial: Trial, failure: Failure) -> bool:
    """Whether calls that are not empty hang, or end their process, as this one does."""
    mine = _end(failure)
    others = {_end(other) for other in trial.failures if other.kind != "empty"}
    return mine in others and mine not in ("", "SIGSEGV", "SIGBUS")


def _end(failure: Failure) -> str:
    """How a call ended: a signal's name, or "exit", "lost" or "hang"; or not at all."""
    if failure.outcome is None:
        return ""
    if failure.outcome.fault is not None:
        return failure.outcome.fault.signal
    return failure.outcome.status if failure.outcome.status in ("exit", "lost", "hang") else ""


def _of_fault(trial: Trial, failure: Failure) -> str:
    """A signal: by where it hit, and which way."""
    assert failure.outcome is not None
    fault = failure.outcome.fault
    access = fault is None or fault.signal in ("SIGSEGV", "SIGBUS")
    if failure.kind == "swallowed" and access:
        return "out-of-bounds-read"
    if fault is None or not access:
        aborts = fault is not None and fault.signal == "SIGABRT"
        return "exits" if aborts and not _by_heap(trial) else "crash"
    if fault.role is None:
        misaligned = "misaligned" in failure.outcome.message and not _at_aligned_rows(trial)
        return "unaligned-access" if misaligned else "crash"
    if failure.batch.task.layout.blocks > 1:
        return "index-overflow"
    if _goes_astray(trial):
        return "row-stride"
    offset = fault.offset or 0
    inside = fault.access == "write" and fault.role != trial.op.output
    if inside and -_size(trial, failure) <= offset < 0 and not _before(failure):
        return "input-modified"
    return "out-of-bounds-write" if fault.access == "write" else "out-of-bounds-read"


def _by_heap(trial: Trial) -> bool:
    """Whether it was glibc's heap that aborted somewhere, as it does where it is damaged."""
    printed = [failure.outcome.message for failure in trial.failures if failure.outcome]
    return any(word in words for word in HEAP for words in printed)


def _at_aligned_rows(trial: Trial) -> bool:
    """Whether such a fault was met where all rows are whole cache lines, at which all is aligned.

    Then the address is one that no page can have.
    """
    size = trial.dtype.itemsize
    for failure in trial.failures:
        task, outcome = failure.batch.task, failure.outcome
        layout = task.layout
        together = not layout.has_gaps and layout.apart is None
        whole = together and not (task.n * size % 64 or layout.offset * size % 64)
        if task.n and whole and outcome is not None and "misaligned" in outcome.message:
            return True
    return False


def _size(trial: Trial, failure: Failure) -> int:
    """Bytes in one input of the failing call."""
    return failure.batch.rows * failure.batch.task.n * trial.dtype.itemsize


def _before(failure: Failure) -> bool:
    """Whether the array began right behind a guard page."""
    return failure.batch.task.layout.side == "start"


def _goes_astray(trial: Trial) -> bool:
    """Whether memory is harmed only where rows lie further apart than n, and rows are wrong there.

    A wrong stride leads past the end of an array, too.
    """
    harmful = (f.batch.task for f in trial.failures if f.kind in ("outside", "fault"))
    if not all(task.layout.has_gaps for task in harmful):
        return False
    apart = (f.batch for f in trial.failures if f.batch.task.layout.has_gaps)
    return any(batch.failed().any() for batch in apart)


def _of_output(trial: Trial) -> Iterator[Explained]:
    """Output that depends on what was there: added to, or not written, in places."""
    mine = [failure for failure in trial.failures if failure.kind == "unwritten"]
    if not mine:
        return
    if trial.candidate.kind == "python":  # it makes its outputs itself
        if not _has_state(trial) and _differs_by_chance(trial, mine[0]):
            yield "nondeterministic", 1.0, mine[0].told()
        return
    held = held_before(trial.candidate.dtype, "finite")
    trial.judge([failure.batch for failure in mine if failure.batch.exact is None])
    kept = [_kept(failure, held) for failure in mine]
    unit = max(trial.precision.u, trial.precision.u_out)
    if _adds(mine, kept, held, unit):
        yield "accumulates", 1.0, mine[0].told()
        return
    if not any(places.any() for places in kept):
        if not _has_state(trial):
            untouched = any((f.batch.got[f.row] == held).all() for f in mine)
            name = "output-not-written" if untouched else "accumulates"
            words = mine[0].told()
            if not untouched and _differs_by_chance(trial, mine[0]):
                name = "nondeterministic"
            elif not untouched and _depends_on_stack(trial, mine[0]):
                name, words = "nondeterministic", "depends on what the stack held before the call"
            yield name, 1.0, words
        return
    if _is_first_alone(mine, held):
        yield "first-row-only", 1.0, "of several rows all but the first are not written"
    elif rows := _rows_left_out(mine, held):
        yield "output-not-written", 1.0, rows
    else:
        yield _not_written(kept, mine[0].told())


def _is_first_alone(failures: list[Failure], held: float) -> bool:
    """Whether the first row of each call is right, and nothing is written of the others."""
    several = [failure.batch for failure in failures if failure.batch.rows > 2]
    return bool(several) and not any(
        batch.failed()[0] or (batch.got[1:] != held).any() for batch in several
    )


def _rows_left_out(failures: list[Failure], held: float) -> str:
    """How many rows are not written at all, where the calls write all others; or nothing."""
    words = ""
    for batch in (failure.batch for failure in failures):
        kept = batch.got == held
        left_out = np.flatnonzero(kept.any(axis=1))
        if len(left_out) == batch.rows or not kept[left_out].all():
            return ""
        if len(left_out) and not words:
            words = (
                f"n = {batch.task.n}: {len(left_out)} of {batch.rows} rows are not written at all, "
                f"row {left_out[0]} the first of them"
            )
    return words


def _has_state(trial: Trial) -> bool:
    """Whether the same call gave other bits a second time."""
    return any(failure.kind == "state" for failure in trial.failures)


def _of_new_memory(trial: Trial) -> Iterator[Explained]:
    """An array that a Python callable made itself, of which some elements were never written."""
    if trial.candidate.kind != "python":
        return
    held = fresh(trial.candidate.dtype)
    values = [f for f in trial.failures if f.kind == "value" and f.check != "threads"]
    kept = [failure.batch.got[failure.row] == held for failure in values]
    if any(places.any() for places in kept):
        yield _not_written(kept, "elements of its result hold what new memory is filled with")


def _not_written(kept: list[Array], words: str) -> Explained:
    """The name of what was not written, from the elements of some rows that still are as before."""
    for lanes in VECTOR_LENGTHS:
        if not any(places[: places.size // lanes * lanes].any() for places in kept):
            words = f"only the last n mod {lanes} elements of a row are not written"
            return "tail-not-written", 1.0, words
    return "output-not-written", 1.0, words


def _adds(failures: list[Failure], kept: list[Array], held: float, unit: float) -> bool:
    """Whether right answers were added to what the output held, wherever that would show."""
    if not any(_is_added(failure, held, unit) for failure in failures):
        return False
    return not any(
        failure.batch.exact is not None
        and (places & (np.abs(failure.batch.exact[failure.row]) > unit * abs(held))).any()
        for failure, places in zip(failures, kept, strict=True)
    )


def _differs_by_chance(trial: Trial, failure: Failure) -> bool:
    """Whether a call gives other bits over the same poison, too."""
    return _vary(_repeated(trial, failure)[1:])


def _depends_on_stack(trial: Trial, failure: Failure) -> bool:
    """Whether a call in place changes with the poison, which the stack alone holds then."""
    if trial.candidate.kind != "c" or trial.op.output == "jac":
        return False
    in_place = replace(ROOMY, alias=(trial.op.output, trial.candidate.inputs[-1]))
    task = replace(failure.batch.task, layout=in_place)
    with trial.aside():
        one, other = trial.run([task], "nan")[0], trial.run([task], "finite")[0]
    differ = (bits(one.got) != bits(other.got)).any(axis=1)
    return bool((one.ok & other.ok & differ).any())


def _is_added(failure: Failure, held: float, unit: float) -> bool:
    """Whether the output is what it held plus a right answer that shows beside it."""
    batch, row = failure.batch, failure.row
    if batch.exact is None:
        return False
    with np.errstate(all="ignore"):
        size = np.abs(batch.exact[row])
        off = batch.got[row] - batch.exact[row]
        near = np.abs(off - held) <= 1e-2 * size
        stored = np.abs(off) <= 1e-2 * size  # what it held is too small to tell
    return bool((near & ~stored & (size > 64.0 * unit * abs(held))).any())


def _kept(failure: Failure, held: float) -> Array:
    """Which elements still are what the output held, and are not that plus nearly nothing."""
    batch, row = failure.batch, failure.row
    kept = batch.got[row] == held
    if batch.exact is None:
        return np.asarray(kept)
    with np.errstate(all="ignore"):
        written = np.abs(batch.got[row] - batch.exact[row]) <= 1e-2 * np.abs(batch.exact[row])
    telling = written.any() | (np.abs(batch.exact[row]) > 1e-2)
    return np.asarray(kept & ~written & telling)


def _of_state(trial: Trial) -> Iterator[Explained]:
    """Other bits for the same inputs: by chance, or after the calls before."""
    mine = [failure for failure in trial.failures if failure.kind == "state"]
    if not mine:
        return
    first = mine[0]
    one, other = _repeated(trial, first), _repeated(trial, first)
    differs, history = _vary(one), _repeat(one, other)
    trial.judge(one)
    right = [bool(batch.ok[0]) and not batch.failed()[0] for batch in one]
    several = len({bits(batch.got).tobytes() for batch in one}) > 2
    if differs:  # what was kept of the calls before repeats itself, and spoils no first row
        noise = several and all(right)  # other bits each time, and never a wrong one
        by_chance = noise or not (history and right[0])
    else:
        by_chance = first.detail.startswith("at once")
    yield "nondeterministic" if by_chance else "stale-state", 1.0, first.told()


def explain_by_chance(trial: Trial) -> list[Explained]:
    """Other bits each time, in the longest failing call, which no check repeats."""
    mine = [f for f in trial.failures if f.kind == "value" and f.check != "threads"]
    if not mine or trial.candidate.kind != "c":
        return []
    longest = max(mine, key=lambda failure: failure.batch.task.n)
    one, other = _repeated(trial, longest), _repeated(trial, longest)
    if not _vary(one[1:]) or _repeat(one, other):
        return []  # what was kept of the calls before repeats itself
    return [("nondeterministic", 1.0, f"{longest.told()}, and other bits each time")]


def _repeated(trial: Trial, failure: Failure) -> list[Batch]:
    """A call that is only repeated, in a new process."""
    with trial.anew():
        return trial.run_aside([failure.batch.task] * 12)


def _vary(batches: list[Batch]) -> bool:
    """Whether some of these gave other bits than the first."""
    return any((bits(batch.got) != bits(batches[0].got)).any() for batch in batches)


def _repeat(one: list[Batch], other: list[Batch]) -> bool:
    """Whether two series of calls gave the same bits, one by one."""
    return all((bits(a.got) == bits(b.got)).all() for a, b in zip(one, other, strict=True))


def _of_threads(trial: Trial) -> Iterator[Explained]:
    """Wrong only when called from several threads."""
    if not _is_of_threads(trial):
        return
    mine = _harmed(trial)
    if mine[0].kind == "value" and fails_anew(trial, mine[0]):
        yield "stale-state", 1.0, "the first call of a process is wrong, on one thread too"
    else:
        yield "not-thread-safe", 1.0, mine[0].told()


def _is_of_threads(trial: Trial) -> bool:
    """Whether nothing of the kind was seen without threads."""
    mine = _harmed(trial)
    alone = {failure.kind for failure in trial.failures if failure.check != "threads"}
    harm = {"value", "shape", "fault", "exit", "lost"}
    return bool(mine) and not alone & {*harm, mine[0].kind}


def _harmed(trial: Trial) -> list[Failure]:
    """What went wrong with several threads; an input written to there is written to on one."""
    return [f for f in trial.failures if f.check == "threads" and f.kind != "changed"]


def _of_aliasing(trial: Trial) -> Iterator[Explained]:
    """Wrong in place only."""
    mine = [failure for failure in trial.failures if failure.check == "aliasing"]
    if mine and not any(failure.kind == "value" for failure in trial.failures):
        yield "alias-unsafe", 1.0, f"{mine[0].told()}"


def _of_policies(trial: Trial) -> Iterator[Explained]:
    """NaN, +inf and rows of -inf other than JAX has them."""
    for failure in trial.failures:
        if failure.kind == "policy":
            swallowed = not failure.detail.startswith("all -inf")
            yield "nan-swallowed" if swallowed else "masked-row-policy", 1.0, failure.told()
