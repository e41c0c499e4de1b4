"""What the oracle asks of a candidate (`Call`) and what came of it (`Outcome`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

__all__ = ["BLOCK", "Call", "Fault", "Growth", "Layout", "Outcome", "Side", "View"]

Array = np.ndarray[Any, np.dtype[Any]]
Side = Literal["end", "start"]
View = Literal["contiguous", "strided", "transposed", "reversed", "broadcast"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the arrays of a call lie. Two calls of one shape and layout get the same addresses.

    side:   the guard page each array touches: "end" right behind it, "start" right before it.
    offset: distance from that guard page in elements; other values try other alignments.
    apart:  for C: a role whose array lies one element further, or one step of its alignment.
    gap:    elements between rows, for candidates that take row strides (stride = n + gap).
    spread: how much larger the gap is in each array than in the array before it.
    view:   for Python callables, how the array lies in memory.
    alias:  (output role, input role) that share one array.
    blocks: for C: the candidate is called with `rows * blocks` rows, the call's own over and over,
            in one block of memory mapped so many times. Each array's rows * n elements must fill
            whole pages, without offset and gap; the output is that of the block written last.
    """

    side: Side = "end"
    offset: int = 0
    gap: int = 0
    spread: int = 0
    view: View = "contiguous"
    alias: tuple[str, str] | None = None
    blocks: int = 1
    apart: str | None = None

    @property
    def has_gaps(self) -> bool:
        """Whether rows lie apart, in some array at least."""
        return self.gap != 0 or self.spread != 0


@dataclass(frozen=True, slots=True)
class Call:
    """One call: inputs by role, each `(rows, n)` in the storage dtype.

    poison is what the output holds before the call: "nan" (a NaN of a fixed, unlikely bit
    pattern) or "finite" (a fixed, unlikely number).
    """

    inputs: Mapping[str, Array]
    rows: int
    n: int
    scale: float = 1.0
    layout: Layout = field(default_factory=Layout)
    poison: Literal["nan", "finite"] = "nan"


BLOCK = "a block that it allocated"


@dataclass(frozen=True, slots=True)
class Fault:
    """A signal the candidate raised.

    role and offset name the array nearest to the address: offset in bytes, counted from the
    array's first byte when negative (so -4 is one float32 before it), and from its end otherwise
    (0 is the first byte past it). Both are None where the address is near no array. BLOCK is the
    role of what a C candidate has allocated.
    """

    signal: str
    access: Literal["read", "write", "unknown"] = "unknown"
    role: str | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one call.

    status:  "ok"; "refused" (a non-zero status was returned, or for empty arrays a Python callable
             raised); "fault" (a signal, see `fault`); "raised" (a Python exception, in `message`);
             "exit" (the process ended, `message` says how); "hang" (killed at the time limit);
             "compiling" (killed at the time limit, at which JAX or PyTorch still compiled); "lost"
             (the child died without a trace that names the cause); "retired" (not made: calls of
             its length hang).
    output:  the output array as returned, `(rows, n)` or `(rows, n, n)`; for a Python callable
             whatever shape and dtype it gave; None where there is none.
             A Python callable that returns something else than an array is "ok", without output.
    message: the status refused with, the exception raised, how the process ended, or what is known
             of a signal ("a misaligned vector access, ...", "stack overflow", what abort printed).
    changed: input roles whose bytes differ after the call; for C also those written with the same
             bytes, or written and restored; for Python also those whose shape or flags differ.
    outside: (role, byte offset as in `Fault`) of the first byte written before an array, behind it,
             or between two rows (then counted from the end of the row before), without a fault.
    environment: what the call left changed ("rounding mode", "flush to zero", "denormals are zero",
             "exception mask", "x87 control word", "x87 register stack", "direction flag",
             "signal mask", "file descriptors", "processor affinity", "handler of SIGSEGV", ...); it
             was put back.
    seconds: time of the call alone.
    processor: seconds of processor time the process used meanwhile, all its threads together.
    reused:  what a Python callable did to an array that a call before this one had returned.
    """

    status: Literal[
        "ok", "refused", "fault", "raised", "exit", "hang", "compiling", "lost", "retired"
    ]
    output: Array | None = None
    fault: Fault | None = None
    message: str = ""
    changed: tuple[str, ...] = ()
    outside: tuple[tuple[str, int], ...] = ()
    environment: tuple[str, ...] = ()
    seconds: float = 0.0
    reused: str = ""
    processor: float = 0.0


@dataclass(frozen=True, slots=True)
class Growth:
    """What a long series of calls left behind in the process; `ending` is what broke it off."""

    calls: int
    memory_bytes: int = 0
    threads: int = 0
    descriptors: int = 0
    ending: Outcome | None = None
