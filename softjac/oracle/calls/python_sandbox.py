"""Calls of a Python callable: in a child process if it can be imported there, else right here."""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import functools
import queue
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from softjac._errors import CandidateError
from softjac.oracle import cache
from softjac.oracle.calls.call import Call, Growth, Outcome
from softjac.oracle.calls.channel import ChildLostError
from softjac.oracle.calls.interleaved import call_interleaved
from softjac.oracle.calls.process import FRESH, ChildProcess, Patience, death
from softjac.oracle.calls.python_call import (
    Caller,
    LeftError,
    PythonPlan,
    Traits,
    call_together,
    interrupt,
    quiet,
    soak,
)
from softjac.oracle.calls.unfinished import UnfinishedError, ending
from softjac.oracle.description.signature import Description

__all__ = ["ChildSandbox", "LiveSandbox", "describe"]

_IMPORT_SECONDS = 180.0
_LOOK_SECONDS = 0.05
_BATCH_BYTES = 64 << 20
_BATCH_CALLS = 512

# The child that `describe` started, with its module imported: the next sandbox takes it over.
_spare: dict[tuple[str, str, str], ChildProcess] = {}


class ChildSandbox:
    """Makes calls of an importable callable in a child process that is replaced when it ends."""

    def __init__(self, plan: PythonPlan, library: Path, *, timeout: float) -> None:
        self._plan = plan
        self._library = library
        self._timeout = timeout
        self._child: ChildProcess | None = None
        self.traits: Traits

    def start(self) -> None:
        """Starts the child and has it find out which arrays the callable takes."""
        self._ready_child()

    def close(self) -> None:
        """Ends the child."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def run(
        self,
        calls: Sequence[Call],
        progress: Callable[[int], None] | None = None,
        *,
        past_hangs: bool = True,
    ) -> list[Outcome]:
        """Makes the calls one after another; one outcome each, in order."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(calls):
            taken = _take(calls[len(outcomes) :])
            outcomes += self._answers("run", (taken,), taken)
            if progress is not None:
                progress(len(outcomes))
            if outcomes[-1].status == "hang" and not past_hangs:
                break
        return outcomes

    def run_threads(self, calls: Sequence[Call], rounds: int = 1) -> list[Outcome]:
        """Makes all the calls at once, each in a thread of its own, `rounds` times."""
        self.close()
        answers = self._answers("threads", (calls, rounds), calls[:1], threads=len(calls))
        if isinstance(answers[0], list):
            return answers[0]
        return [answers[0]] * (len(calls) * rounds)

    def run_interleaved(self, calls: Sequence[Call]) -> list[Outcome]:
        """Makes the first call, the second between two of its lines, as often as it has lines."""
        answers = self._answers("interleaved", (calls,), calls[:1], threads=len(calls))
        return answers[0] if isinstance(answers[0], list) else answers[:1]

    def run_blocked(self, calls: Sequence[Call]) -> list[Outcome]:
        """As `run`: a Python callable's faults end its process anyway."""
        return self.run(calls)

    def soak(self, call: Call, count: int) -> Growth:
        """What `count` calls leave behind, after some calls to warm up."""
        answers = self._answers("soak", (call, count), [call])
        return answers[0] if isinstance(answers[0], Growth) else Growth(0, ending=answers[0])

    def _answers(
        self, command: str, arguments: tuple[Any, ...], calls: Sequence[Call], *, threads: int = 1
    ) -> list[Any]:
        """The child's answers to a command, one of each call, the last made up if it ended."""
        answers: list[Any] = []
        child = self._ready_child()
        wait = functools.partial(child.wait, threads=threads)
        try:
            child.send((command, *arguments))
            while len(answers) < len(calls):
                kind, answer = ending(wait, child.stack, self._timeout)
                if kind == "answer":
                    answers.append(answer)
        except UnfinishedError as unfinished:
            child.end(seconds=0)
            answers.append(unfinished.outcome)
        except (ChildLostError, ValueError, TypeError):
            answers.append(death(child))
            self.close()
        return answers

    def _ready_child(self) -> ChildProcess:
        """The child, started if there is none."""
        if self._child is not None and self._child.is_alive:
            return self._child
        self.close()
        plan = self._plan
        source = plan.source
        assert isinstance(source, tuple)
        for attempt in range(2):
            child = _imported(source, plan.dtype)[0]
            try:
                child.send((plan, str(self._library), attempt == 0))
                state, traits = child.wait(max(self._timeout, 60.0))
            except (TimeoutError, ChildLostError) as error:
                child.close()
                # the trial of small arrays ended it: the calls proper will show that, too
                plan = replace(plan, array=plan.array or "numpy")
                if attempt:
                    raise CandidateError(f"{':'.join(source)} ends its process") from error
            else:
                assert state == "ready"
                self.traits = traits
                break
        self._child = child
        return child


class LiveSandbox:
    """Makes calls of a callable that exists in this process alone, in a thread that can be left.

    An exception, `sys.exit` and an endless loop in Python are survived; what ends the process or
    holds the interpreter's lock for ever is not: such a callable belongs in a module of its own.
    """

    def __init__(self, plan: PythonPlan, library: Path, *, timeout: float) -> None:
        assert callable(plan.source)
        self._timeout = timeout
        self._caller = Caller(plan.source, plan, library)
        self.traits = Traits(plan.array or "numpy", plan.autodiff, sees_environment=False)

    def start(self) -> None:
        """Finds out which arrays the callable takes."""
        for traits in self._apart(lambda put: put(self._caller.settle(tries=False))):
            if not isinstance(traits, Outcome):  # which a hang is
                self.traits = traits

    def close(self) -> None:
        """Nothing to give back."""

    def run(
        self,
        calls: Sequence[Call],
        progress: Callable[[int], None] | None = None,
        *,
        past_hangs: bool = True,
    ) -> list[Outcome]:
        """Makes the calls one after another; one outcome each, in order."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(calls):
            rest = calls[len(outcomes) :]
            done = len(outcomes)
            notice = None if progress is None else (lambda k, done=done: progress(done + k))

            def work(put: Callable[[Any], None], rest: Sequence[Call] = rest) -> None:
                for call in rest:
                    put(self._caller.make(call))

            outcomes += self._apart(work, notice)
            if outcomes[-1].status == "hang" and not past_hangs:
                break
        return outcomes

    def run_threads(self, calls: Sequence[Call], rounds: int = 1) -> list[Outcome]:
        """Makes all the calls at once, each in a thread of its own, `rounds` times."""

        def work(put: Callable[[Any], None]) -> None:
            for answer in call_together(self._caller, calls, rounds):
                put(answer)

        answer = self._apart(work, threads=len(calls))[-1]
        return answer if isinstance(answer, list) else [answer] * (len(calls) * rounds)

    def run_interleaved(self, calls: Sequence[Call]) -> list[Outcome]:
        """Makes the first call, the second between two of its lines, as often as it has lines."""

        def work(put: Callable[[Any], None]) -> None:
            for answer in call_interleaved(self._caller, calls):
                put(answer)

        answer = self._apart(work, threads=len(calls))[-1]
        return answer if isinstance(answer, list) else [answer]

    def run_blocked(self, calls: Sequence[Call]) -> list[Outcome]:
        """As `run`."""
        return self.run(calls)

    def soak(self, call: Call, count: int) -> Growth:
        """What `count` calls leave behind, after some calls to warm up."""

        def work(put: Callable[[Any], None]) -> None:
            for growth in soak(self._caller, call, count):
                put(growth)

        answers = self._apart(work)
        return answers[-1] if isinstance(answers[-1], Growth) else Growth(0, ending=answers[-1])

    def _apart(
        self,
        work: Callable[[Callable[[Any], None]], None],
        notice: Callable[[int], None] | None = None,
        threads: int = 1,
    ) -> list[Any]:
        """All that `work` puts, done in a thread; a hang ends the list early."""
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        left = threading.Event()

        def put(answer: Any) -> None:
            if left.is_set():
                raise LeftError
            answers.put(answer)

        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(_do, work, put), daemon=True)
        found: list[Any] = []
        wait = functools.partial(_next, answers, threads)
        stack = functools.partial(_stack, thread)
        with quiet():
            thread.start()
            try:
                while (answer := ending(wait, stack, self._timeout)) is not _END:
                    found.append(answer)
                    if notice is not None:
                        notice(len(found))
                thread.join()
            except UnfinishedError as unfinished:
                found.append(unfinished.outcome)
            finally:
                left.set()
                if thread.is_alive():
                    interrupt(thread, LeftError)
        return found


_END = object()


def _next(answers: queue.SimpleQueue[Any], threads: int, seconds: float) -> Any:
    """The next answer; raises TimeoutError when it does not come in time."""
    patience = Patience(seconds, time.process_time, threads=threads)
    while True:
        try:
            return answers.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if patience.is_over():
                raise TimeoutError from None


def _stack(thread: threading.Thread) -> str:
    """The stack of a thread as `faulthandler` writes it, the innermost frame first.

    `traceback` would look for the lines in their files, and lose the interpreter to the thread at
    each of them: a minute beside one that seldom gives it back.
    """
    frame = sys._current_frames().get(thread.ident or 0)
    lines = []
    while frame is not None:
        lines.append(f'  File "{frame.f_code.co_filename}", line {frame.f_lineno}\n')
        frame = frame.f_back
    return "".join(lines)


def _do(work: Callable[[Callable[[Any], None]], None], put: Callable[[Any], None]) -> None:
    """Does the work, and says so at the end."""
    with contextlib.suppress(LeftError):
        work(put)
        put(_END)


def describe(source: tuple[str, str], dtype: str) -> Description:
    """The parameters of an importable callable, as a child process finds them.

    Raises:
        CandidateError: it cannot be imported.
    """
    child, description = _imported(source, dtype)
    _close_spare()
    _spare[*source, dtype] = child
    return description


def _imported(source: tuple[str, str], dtype: str) -> tuple[ChildProcess, Description]:
    """A child that has imported a callable, and the callable's parameters."""
    spare = _spare.pop((*source, dtype), None)
    if spare is not None and spare.is_alive:
        return spare, None
    name = f"{Path(source[0]).name}:{source[1]}"
    child = ChildProcess(
        "softjac.oracle.calls.python_worker",
        (source, [str(Path.cwd()), *sys.path]),
        environment={
            **FRESH,
            **cache.xla(),
            **({"JAX_ENABLE_X64": "1"} if dtype == "float64" else {}),
        },
    )
    try:
        kind, answer = child.wait(_IMPORT_SECONDS)
    except TimeoutError:
        reason = f"importing it takes more than {_IMPORT_SECONDS:g} s"
    except ChildLostError:
        reason = f"importing it ends the process: {death(child).message}"
    else:
        if kind == "ready":
            return child, answer
        reason = answer
    child.close()
    raise CandidateError(f"{name}: {reason}")


def _take(calls: Sequence[Call]) -> Sequence[Call]:
    """As many of the calls as one message should hold."""
    size = 0
    for count, call in enumerate(calls):
        if count == _BATCH_CALLS or (count and size > _BATCH_BYTES):
            return calls[:count]
        size += sum(array.nbytes for array in call.inputs.values())
    return calls


@atexit.register
def _close_spare() -> None:
    """Ends the child that nobody took over."""
    while _spare:
        _spare.popitem()[1].close()
