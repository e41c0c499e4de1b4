"""Judging beside the candidate: a process of its own, for a program of our own.

It imports JAX while this process imports the rest, and judges the rows that came back while the
next ones run.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from softjac._errors import SandboxError
from softjac.oracle.calls.channel import Channel, ChildLostError
from softjac.oracle.calls.process import ChildProcess, death
from softjac.oracle.judging.allocation import KEEPING

if TYPE_CHECKING:  # NumPy, which takes its time: the process is to start before
    import numpy as np

    from softjac.oracle.judging.sample import Sample
    from softjac.oracle.op import Op

    Array = np.ndarray[Any, np.dtype[Any]]

__all__ = ["answer", "judging_beside", "prepare", "seconds", "submit"]

# No threads for matrices, of which there are none.
_ENVIRONMENT = {**KEEPING, "OPENBLAS_NUM_THREADS": "1"}


class JudgeProcess:
    """Computes for this process, one thing after another."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._child = _started()
        self._thread = ThreadPoolExecutor(1)

    def submit(
        self, function: Callable[..., Any], op: str, *arguments: Any, **options: Any
    ) -> Future[Any]:
        """What a function of an op will give."""
        return self._thread.submit(self._ask, function, op, arguments, options)

    def _ask(self, *question: Any) -> Any:
        """Waits for the answer, however long it takes; a process that ends is replaced once."""
        try:
            return self._answer(question)
        except ChildLostError:
            self._child.close()
            self._child = _started()
        try:
            return self._answer(question)
        except ChildLostError:
            ended = death(self._child).message
            self._child.close()
            self._child = _started()
            raise SandboxError(f"judging came to an end twice: {ended}") from None

    def _answer(self, question: object) -> Any:
        """Sends a question and waits; raises what the function there has raised."""
        self._child.send(question)
        answer, error, seconds = self._child.wait(float("inf"))
        if error is not None:
            raise error
        self.seconds += seconds
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._child.close()


def _started() -> ChildProcess:
    """A process that waits for questions."""
    return ChildProcess(__name__, sys.path, environment=_ENVIRONMENT)


_beside: list[JudgeProcess] = []


@contextlib.contextmanager
def judging_beside() -> Iterator[None]:
    """While this lasts a process of its own judges."""
    process = JudgeProcess()
    _beside.append(process)
    try:
        yield
    finally:
        _beside.remove(process)
        process.close()


def submit(function: Callable[..., Any], op: Op, *arguments: Any, **options: Any) -> Future[Any]:
    """What `function(op, ...)` gives: computed beside, or else here and now."""
    if _beside:
        return _beside[-1].submit(function, op.name, *arguments, **options)
    found: Future[Any] = Future()
    found.set_result(function(op, *arguments, **options))
    return found


def answer(op: Op, sample: Sample, *, proven: bool = False) -> tuple[Array, Array]:
    """The exact answer, as `reference.answer` gives it."""
    from softjac.oracle import reference

    found: tuple[Array, Array] = submit(reference.answer, op, sample, proven=proven).result()
    return found


def prepare(op: Op, roles: tuple[str, ...], dtype: str) -> None:
    """Has the process beside compile what the first rows will need, if there is such a process."""
    if _beside:
        from softjac.oracle import reference

        _beside[-1].submit(reference.prepare, op.name, roles, dtype)


def seconds() -> float:
    """Processor seconds of judging beside this process's own, in which compiling counts nothing."""
    if _beside:
        return _beside[-1].seconds
    from softjac.oracle import reference

    return -reference.seconds_compiling()


def _serve(channel: Channel) -> None:
    """Answers questions until nobody asks any more."""
    with contextlib.suppress(ChildLostError):
        sys.path[:] = channel.receive()
        gc.disable()  # what is imported is many objects, and none of them garbage
        import jax  # noqa: F401 (before anybody asks)

        from softjac.oracle import reference
        from softjac.oracle.ops import OPS

        gc.freeze()
        gc.enable()
        while True:
            function, op, arguments, options = channel.receive()
            started = time.process_time() - reference.seconds_compiling()
            answer: Any = None
            error: Exception | None = None
            try:
                answer = function(OPS[op], *arguments, **options)
            except Exception as raised:
                error = raised
                error.add_note(traceback.format_exc())
            spent = time.process_time() - reference.seconds_compiling() - started
            channel.send((answer, error, spent))


if __name__ == "__main__":
    _serve(Channel(socket.socket(fileno=int(sys.argv[1]))))
