"""Where a candidate runs so that it can do no harm."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from softjac._errors import ArgumentError, SandboxError
from softjac.native import _library
from softjac.oracle.calls.call import Call, Growth, Outcome
from softjac.oracle.calls.guard import NativePlan
from softjac.oracle.calls.native_sandbox import NativeSandbox
from softjac.oracle.calls.python_call import PythonPlan
from softjac.oracle.calls.python_sandbox import ChildSandbox, LiveSandbox

__all__ = ["Sandbox", "open_sandbox"]

_DAY = 86_400


@runtime_checkable
class Sandbox(Protocol):
    """Makes calls of a candidate and survives them."""

    def run(
        self,
        calls: Sequence[Call],
        progress: Callable[[int], None] | None = None,
        *,
        past_hangs: bool = True,
    ) -> list[Outcome]:
        """Makes the calls one after another: one outcome each, in order.

        `progress` is told how many calls have been made, now and then. Without `past_hangs` the
        first call that hangs is the last.
        """

    def run_threads(self, calls: Sequence[Call], rounds: int = 1) -> list[Outcome]:
        """Makes all the calls at once, each in a thread of its own, `rounds` times over.

        The outcomes of the first round come first, `len(calls) * rounds` in all.
        """

    def run_blocked(self, calls: Sequence[Call]) -> list[Outcome]:
        """Makes the calls where a fault ends the process, whatever handler is installed."""

    def soak(self, call: Call, count: int) -> Growth:
        """What `count` calls leave behind; fewer `calls` in the result: they did not all end."""


@runtime_checkable
class _Candidate(Protocol):
    """What the sandbox needs of a candidate."""

    @property
    def plan(self) -> NativePlan | PythonPlan: ...


@contextlib.contextmanager
def open_sandbox(candidate: _Candidate, *, timeout: float = 10.0) -> Iterator[Sandbox]:
    """A place to run a candidate in.

    Args:
        candidate: what `softjac.oracle.candidate.load` gives.
        timeout: seconds a single call may take before it is called a hang; a day at most.

    Raises:
        ArgumentError: a timeout that is no such number.
        SandboxError: the platform has no sandbox, or the compiled guard is missing.
        CandidateError: the candidate cannot be loaded.
    """
    if not 0 < timeout <= _DAY:
        raise ArgumentError(f"timeout {timeout:g}: expected seconds above 0, at most {_DAY}")
    plan = candidate.plan
    sandbox: NativeSandbox | ChildSandbox | LiveSandbox
    if isinstance(plan, NativePlan):
        sandbox = NativeSandbox(plan, _guard_library(), timeout=timeout)
    elif isinstance(plan.source, tuple):
        sandbox = ChildSandbox(plan, _library.path(), timeout=timeout)
    else:
        sandbox = LiveSandbox(plan, _library.path(), timeout=timeout)
    try:
        sandbox.start()
        yield sandbox
    finally:
        sandbox.close()


def _guard_library() -> Path:
    """The shared library that holds `csrc/guard.c`."""
    library = _library.path()
    if not library.is_file():
        raise SandboxError(
            f"the sandbox needs the compiled library, and {library} is not there: build it with "
            "`make lib` in a checkout, or, where a C compiler and make are there, install softjac "
            "again with pip's --no-cache-dir --force-reinstall"
        )
    return library
