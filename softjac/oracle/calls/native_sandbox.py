"""Calls of a C function, made by a child process on memory shared with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from softjac._errors import ArgumentError, CandidateError, SandboxError
from softjac.oracle.calls import guard
from softjac.oracle.calls.batch import Batch
from softjac.oracle.calls.call import Call, Growth, Outcome
from softjac.oracle.calls.channel import ChildLostError
from softjac.oracle.calls.guard import NativePlan
from softjac.oracle.calls.process import FRESH, PRELOAD, ChildProcess, death
from softjac.oracle.description.targets import symbol_hint

__all__ = ["NativeSandbox"]

DAMAGED = Outcome("lost", message="it overwrote the sandbox's own bookkeeping memory")

_START_SECONDS = 60.0
_ROUND_BYTES = 256 << 20
_ROUNDS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Answer:
    """How a command ended: `death` says what ended the child, if anything did."""

    death: Outcome | None = None
    footprint: tuple[int, int, int] | None = None


class NativeSandbox:
    """Makes calls of one C function; whatever it does, each call has an outcome.

    A child that ended or hung is replaced, and only the call that ended it is blamed. Where an
    earlier call of the same child was broken off by a fault, which may have left a lock taken, the
    call is made once more in a fresh child before it is blamed.
    """

    def __init__(
        self, plan: NativePlan, library: Path, *, timeout: float, blocked: bool = False
    ) -> None:
        self._plan = plan
        self._library = library
        self._timeout = timeout
        self._blocked = blocked
        self._child: ChildProcess | None = None
        self._is_ready = False
        self._batch = Batch(plan)
        self.left_by_loading: tuple[str, ...] = ()

    def start(self) -> None:
        """Starts a child now, so that a function that cannot be loaded is known at once."""
        self._ready_child()

    def close(self) -> None:
        """Ends the child and gives the shared memory back."""
        self._replace_child(None)
        self._batch.close()

    def run(
        self,
        calls: Sequence[Call],
        progress: Callable[[int], None] | None = None,
        *,
        past_hangs: bool = True,
    ) -> list[Outcome]:
        """Makes the calls one after another; one outcome each, in order."""
        outcomes: list[Outcome] = []
        began_nothing, at_once = 0, len(calls)
        while len(outcomes) < len(calls):
            done = len(outcomes)
            child = self._ready_child()
            count = self._batch.fill(calls[done : done + at_once])
            answer = self._command(child, "run", count, notice=_shifted(progress, done))
            if self._batch.is_damaged():
                self._replace_child(None)
                if count == 1:
                    outcomes.append(answer.death or DAMAGED)
                at_once = 1  # which of the calls did it?
                continue
            results = self._batch.results()
            for place, result in enumerate(results):
                if result.status not in (guard.DONE, guard.FAULTED):
                    break
                outcomes.append(self._with_print(self._batch.outcome(place, result), child))
                child.has_faulted |= result.status == guard.FAULTED
            finished = len(outcomes) - done
            if answer.death is None and finished < count:
                if results[finished].status == guard.PLACING:
                    raise ArgumentError(f"arrays too large: {calls[len(outcomes)].rows} rows")
                self._replace_child(None)  # its heap or descriptors are damaged
            if answer.death is not None:
                self._replace_child(None)
                was_inside = finished < count and results[finished].status >= guard.INSIDE
                began_nothing = 0 if finished or was_inside else began_nothing + 1
                if child.has_faulted:
                    pass  # the next call is made again, in a fresh child
                elif was_inside:
                    outcomes.append(answer.death)
                elif finished and not outcomes[-1].environment:
                    note = f"after the call had returned: {answer.death.message}"
                    outcomes[-1] = replace(answer.death, message=note)
                elif began_nothing == 3:
                    raise SandboxError(f"the child process ends at once: {answer.death.message}")
            if progress is not None:
                progress(len(outcomes))
            if outcomes and outcomes[-1].status == "hang" and not past_hangs:
                break
        self._batch.shrink()
        return outcomes

    def run_threads(self, calls: Sequence[Call], rounds: int = 1) -> list[Outcome]:
        """Makes all the calls at once, each in a thread of its own, `rounds` times.

        The outcomes of the first round come first. A fresh child makes them, so that what is set up
        at the first call is set up by all threads at once.
        """
        outcomes: list[Outcome] = []
        inputs = sum(array.nbytes for call in calls for array in call.inputs.values())
        at_once = max(1, min(_ROUNDS_AT_ONCE, _ROUND_BYTES // max(1, inputs)))
        for first in range(0, rounds, at_once):
            child = self._fresh_child()
            successor = self._started_child()  # whatever comes next, threads have used this one
            now = min(at_once, rounds - first)
            try:
                self._batch.fill(calls, rounds=now)
                answer = self._command(child, "threads", len(calls), rounds=now)
            finally:
                self._replace_child(successor)
            if self._batch.is_damaged():
                outcomes += [answer.death or DAMAGED] * (len(calls) * now)
                continue
            for place, result in enumerate(self._batch.results()):
                if result.status in (guard.DONE, guard.FAULTED):
                    outcomes.append(self._batch.outcome(place, result))
                elif answer.death is not None and result.status >= guard.INSIDE:
                    outcomes.append(answer.death)
                elif answer.death is not None:
                    note = f"another thread ended the process: {answer.death.message}"
                    outcomes.append(Outcome("lost", message=note))
                else:
                    raise ArgumentError(f"arrays too large: {calls[0].rows} rows")
        self._batch.shrink()
        return outcomes

    def run_blocked(self, calls: Sequence[Call]) -> list[Outcome]:
        """Makes the calls in a fresh child in which a fault ends the process, handler or not."""
        sandbox = NativeSandbox(self._plan, self._library, timeout=self._timeout, blocked=True)
        try:
            return sandbox.run(calls)
        finally:
            sandbox.close()

    def soak(self, call: Call, count: int) -> Growth:
        """What `count` calls leave behind, after some calls to warm up."""
        child = self._fresh_child()
        footprints = []
        made = 0
        for repeats in (max(16, count // 10), count):
            self._batch.fill([call], repeats=repeats)
            answer = self._command(child, "soak", 1)
            made = self._batch.ticks()
            if answer.footprint is None or made < repeats:
                ending = answer.death or self._broken_off()
                self._replace_child(None)
                return Growth(min(made, count), ending=ending)
            footprints.append(answer.footprint)
        memory, threads, descriptors = (
            after - before for before, after in zip(*footprints, strict=True)
        )
        return Growth(made, memory, threads, descriptors)

    def _broken_off(self) -> Outcome:
        """What the only call of the batch came to."""
        if self._batch.is_damaged():
            return DAMAGED
        return self._batch.outcome(0, self._batch.results()[0])

    def _command(
        self,
        child: ChildProcess,
        command: str,
        count: int,
        *,
        rounds: int = 1,
        notice: Callable[[int], None] | None = None,
    ) -> _Answer:
        """Has the child work on the batch, and waits for it to answer, end or hang."""
        try:
            child.send((command, self._batch.size, self._batch.offsets, count, rounds))
            threads = count if command == "threads" else 1
            _, failed, footprint = child.wait(
                self._timeout, self._batch.ticks, notice, threads=threads
            )
        except TimeoutError:
            child.end(seconds=0)
            return _Answer(Outcome("hang", message=f"no end within {self._timeout:g} s"))
        except (ChildLostError, ValueError, TypeError):
            return _Answer(self._batch.stray() or death(child))
        if failed:
            raise SandboxError(f"the child process cannot start {count} threads")
        return _Answer(footprint=footprint)

    def _started_child(self) -> ChildProcess:
        """A fresh child, which takes its time to start beside other work."""
        patience = 2 * int(self._timeout) + 60
        setup = (
            str(self._library), self._plan, self._batch.descriptor, self._blocked,
            patience,
        )  # fmt: skip
        with _allocator(self._library) as (preloaded, descriptors):
            return ChildProcess(
                "softjac.oracle.calls.native_worker",
                setup,
                flags=["-S"],  # no other package is needed, and finding them takes time
                descriptors=[self._batch.descriptor, *descriptors],
                environment=FRESH | preloaded,
            )

    def _replace_child(self, child: ChildProcess | None) -> None:
        """Ends the child, if there is one; this one, just started, or none, takes its place."""
        if self._child is not None:
            self._child.close()
        self._child, self._is_ready = child, False

    def _ready_child(self) -> ChildProcess:
        """The child, started if there is none."""
        if self._child is not None and self._is_ready and self._child.is_alive:
            return self._child
        child = self._child
        if child is None or self._is_ready:
            child = self._started_child()
            self._replace_child(child)
        name = f"{self._plan.file}:{self._plan.symbol}"
        try:
            kind, *detail = child.wait(_START_SECONDS)
        except TimeoutError:
            raise CandidateError(f"{name}: loading the library does not end") from None
        except ChildLostError:
            raise CandidateError(
                f"{name}: loading it ends the process: {death(child).message}"
            ) from None
        if kind == "sandbox":
            raise SandboxError(detail[0])
        if kind == "symbol":
            hint = symbol_hint(self._plan.library, self._plan.symbol)
            raise CandidateError(f"{self._plan.file} has no symbol {self._plan.symbol}{hint}")
        if kind == "candidate":
            raise CandidateError(detail[0])
        self.left_by_loading = guard.environment_names(detail[0])
        self._is_ready = True
        return child

    def _fresh_child(self) -> ChildProcess:
        """A child that has made no calls."""
        if self._child is None or self._is_ready:
            self._replace_child(self._started_child())
        return self._ready_child()

    def _with_print(self, outcome: Outcome, child: ChildProcess) -> Outcome:
        """An outcome, with the child's last words where it called abort."""
        if outcome.fault is None or outcome.fault.signal != "SIGABRT":
            return outcome
        return replace(outcome, message=child.printed())


@contextlib.contextmanager
def _allocator(library: Path) -> Iterator[tuple[dict[str, str], list[int]]]:
    """What a child's environment and descriptors must hold so that it preloads `csrc/heap.c`.

    By its descriptor, since the list of what is preloaded is divided at spaces. What the user
    preloads, such as the runtime of a sanitizer, comes first, and keeps its allocator.
    """
    heap = library.with_name("libsoftjac_heap.so")
    if not (heap.exists() and Path("/proc/self/fd").exists()):
        yield {}, []
        return
    descriptor = os.open(heap, os.O_RDONLY)
    users = os.environ.get(PRELOAD, "")
    try:
        yield {PRELOAD: f"{users} /proc/self/fd/{descriptor}".strip()}, [descriptor]
    finally:
        os.close(descriptor)


def _shifted(progress: Callable[[int], None] | None, done: int) -> Callable[[int], None] | None:
    """A progress callback that counts calls made before, too."""
    if progress is None:
        return None
    return lambda ticks: progress(done + ticks)
