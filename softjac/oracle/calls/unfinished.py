"""A Python call that has not ended in time: it hangs, or JAX or PyTorch still compile for it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from softjac.oracle.calls.call import Outcome

__all__ = ["UnfinishedError", "ending"]

Answer = TypeVar("Answer")

# So many times the limit has a call for which something is traced, compiled or imported.
COMPILING = 6.0

# What shows in the stacks of Python meanwhile.
COMPILERS = (
    "/jax/_src/compiler.py",
    "/jax/_src/interpreters/mlir.py",
    "/jax/_src/interpreters/partial_eval.py",
    "/torch/_inductor/",
    "/torch/_dynamo/convert_frame.py",
    "<frozen importlib._bootstrap>",
)

# A frame, as `faulthandler` writes it, the innermost first.
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+)', re.MULTILINE)
_THREAD = re.compile(r"^(?:Current t|T)hread ", re.MULTILINE)
_LIBRARIES = ("/site-packages/", "/lib/python", "<", str(Path(__file__).resolve().parents[1]))

# An honest tracer is nearly always in its library when looked at, now or so many seconds later.
LOOKS, APART = 4, 0.02


class UnfinishedError(Exception):
    """A call did not end within its limit; `outcome` is what is known of it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


def ending(wait: Callable[[float], Answer], stacks: Callable[[], str], seconds: float) -> Answer:
    """What `wait` gives, which raises TimeoutError after so many seconds.

    JAX compiles anew for every shape, PyTorch for some: no earlier call tells how long that takes,
    so while `stacks` tells that something is compiled the call has six times as long, and what does
    not end then is no hang.

    Raises:
        UnfinishedError: it has not ended.
    """
    try:
        return wait(seconds)
    except TimeoutError:
        compiles, where = _looked(stacks)
    limit = COMPILING * seconds
    if compiles:
        try:
            return wait(limit - seconds)
        except TimeoutError:
            compiles, where = _looked(stacks)
        if compiles:
            words = f"tracing or compiling takes more than {limit:g} s"
            raise UnfinishedError(Outcome("compiling", message=words))
        seconds = limit
    words = f"no end within {seconds:g} s" + (f" ({where})" if where else "")
    raise UnfinishedError(Outcome("hang", message=words))


def _looked(stacks: Callable[[], str]) -> tuple[bool, str]:
    """Whether something compiles, seen in one of a few looks, and else the line that runs."""
    found = ""
    for look in range(LOOKS):
        if look:
            time.sleep(APART)
        found = stacks()
        if any(_is_compiling(stack) for stack in _THREAD.split(found)):
            return True, ""
    return False, _place(found)


def _is_compiling(stack: str) -> bool:
    """Whether a thread is in a compiler, and not in a line of the candidate's that it traces."""
    innermost = _FRAME.search(stack)
    return _is_library(innermost) and any(name in stack for name in COMPILERS)


def _place(stacks: str) -> str:
    """The innermost line that is no library's, in words; nothing where there is none."""
    for frame in _FRAME.finditer(stacks):
        if not _is_library(frame):
            return f"{Path(frame['file']).name}, line {frame['line']}"
    return ""


def _is_library(frame: re.Match[str] | None) -> bool:
    """Whether a frame is not the candidate's own."""
    return frame is None or any(part in frame["file"] for part in _LIBRARIES)
