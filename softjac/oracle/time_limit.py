"""How long a Python callable's call may take, where a library may first compile for its shape."""

from __future__ import annotations

from collections.abc import Sequence

from softjac.oracle.arrays import ArrayKind
from softjac.oracle.call import Call

__all__ = ["TimeLimit"]

# So many times the limit has a call of a shape for which JAX or PyTorch may compile first.
COMPILING = 6.0


class TimeLimit:
    """Seconds a call may take before it is a hang.

    JAX compiles anew for every shape, PyTorch for some: no earlier call tells how long that takes,
    so it is not held against the callable. A callable that uses the longer limit up hangs, and
    gets it no more.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._may_compile = False
        self._is_used_up = False
        self._seen: set[tuple[int, int]] = set()

    def restart(self, kind: ArrayKind) -> None:
        """In a new process nothing is compiled; it calls with this kind of arrays."""
        self._may_compile = kind != "numpy"
        self._seen.clear()

    def of(self, ahead: Sequence[Call]) -> float:
        """The limit of the first of these calls, or of what is waited for after the last."""
        if not ahead:
            return self._seconds
        shape = ahead[0].rows, ahead[0].n
        compiles = self._may_compile and not self._is_used_up and shape not in self._seen
        self._seen.add(shape)
        return self._seconds * COMPILING if compiles else self._seconds

    def exceeded(self, seconds: float) -> str:
        """That a call did not end within its limit, in words."""
        self._is_used_up |= seconds > self._seconds
        return f"no end within {seconds:g} s"
