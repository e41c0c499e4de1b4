"""Calls of a Python callable in two threads, the one between any two lines of the other.

Threads of Python take turns. That one of them loses its turn just where the candidate has left
something behind, in a variable of its module, is rare; here it is made to happen, line by line.
"""

from __future__ import annotations

import contextlib
import site
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from types import FrameType
from typing import Any

from softjac.oracle.calls.call import Call, Outcome
from softjac.oracle.calls.python_call import Caller

__all__ = ["call_interleaved"]

# After so many of its lines at most, evenly spread, and for so many seconds.
_PLACES = 60
_SECONDS = 1.0

# How long the other call may take there; one that waits for a lock of the first takes longer.
_PATIENCE = 0.25

# Where code lies that is not the candidate's own.
_FOREIGN = (
    "<frozen",
    *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
    *site.getsitepackages(),
    site.getusersitepackages(),
)


def call_interleaved(caller: Caller, calls: Sequence[Call]) -> Iterator[list[Outcome] | None]:
    """Makes the first call again and again, and the second after another of its lines each time.

    An input that holds other values there, whatever is put back, counts as changed. Yields None for
    every pair of calls, then the outcomes, of the one and of the other in turn.
    """
    first, second = calls
    one, other = caller.twin(), caller.twin()
    one.make(first)  # what is imported, traced or filled at the first call is no line of the others
    other.make(second)
    lines = _Lines()
    with lines.traced():
        one.make(first)
    yield None
    outcomes: list[Outcome] = []
    end = time.monotonic() + _SECONDS
    for line in _spread(lines.seen):
        meanwhile = _Meanwhile(one, first, other, second)
        with lines.traced(line, meanwhile.begin):
            outcome = one.make(first)
        if meanwhile.has_begun:  # it took as many lines as before
            outcomes += meanwhile.end(outcome)
        yield None
        if meanwhile.has_waited or time.monotonic() > end:
            break
    yield outcomes


class _Meanwhile:
    """A call in another thread, begun while the first one is at some line."""

    def __init__(self, one: Caller, first: Call, other: Caller, second: Call) -> None:
        self._one, self._first = one, first
        self._outcomes: list[Outcome] = []
        self._thread = threading.Thread(
            target=lambda: self._outcomes.append(other.make(second)), daemon=True
        )
        self._disturbed: tuple[str, ...] = ()
        self.has_begun = self.has_waited = False

    def begin(self) -> None:
        """Makes the call, or leaves it waiting for the first one."""
        self.has_begun = True
        self._disturbed = self._one.disturbed(self._first)
        self._thread.start()
        self._thread.join(_PATIENCE)
        self.has_waited = self._thread.is_alive()

    def end(self, outcome: Outcome) -> list[Outcome]:
        """What came of the first call and of this one, which has ended then."""
        self._thread.join()
        changed = dict.fromkeys((*outcome.changed, *self._disturbed))
        return [replace(outcome, changed=tuple(changed)), *self._outcomes]


class _Lines:
    """Counts the lines of its own that a candidate runs in this thread."""

    def __init__(self) -> None:
        self.seen = 0

    @contextlib.contextmanager
    def traced(self, at: int = 0, then: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Counts them while this lasts; before the line with that number something is done."""
        self.seen = 0

        def at_line(_frame: FrameType, event: str, _argument: Any) -> Any:
            if event in ("line", "return"):
                self.seen += 1
                if self.seen == at:
                    then()
            return at_line

        def at_call(frame: FrameType, _event: str, _argument: Any) -> Any:
            module = str(frame.f_globals.get("__name__"))
            return at_line if _is_own(frame.f_code.co_filename, module) else None

        before = sys.gettrace()
        sys.settrace(at_call)
        try:
            yield
        finally:
            sys.settrace(before)


@cache
def _is_own(file: str, module: str) -> bool:
    """Whether code of such a file, or written by a library for such a module, may be its own."""
    return not file.startswith(_FOREIGN) and module.partition(".")[0] != "softjac"


def _spread(count: int) -> list[int]:
    """Numbers from 1 to count, some of them where they are many, the first few far apart."""
    chosen = [1 + place * count // _PLACES for place in range(_PLACES)]
    numbers = list(range(1, count + 1)) if count <= _PLACES else chosen
    return sorted(numbers, key=lambda number: number * 0.6180339887 % 1.0)
