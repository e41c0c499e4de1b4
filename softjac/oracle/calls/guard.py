"""The records of `csrc/guard.h` as Python packs and unpacks them, and the plan of a C function."""

from __future__ import annotations

import ctypes
import signal
import struct
from typing import Any, Final, NamedTuple

from softjac._errors import SandboxError

__all__ = [
    "CALL",
    "DONE",
    "FAULTED",
    "INSIDE",
    "ITEM_BYTES",
    "PLACING",
    "POISON",
    "PROGRESS",
    "RESULT",
    "VERSION",
    "WAITING",
    "NativePlan",
    "Result",
    "environment_names",
    "open_library",
    "pack_call",
    "pack_plan",
    "signal_name",
    "unpack_results",
]

VERSION: Final = 5
ARGUMENTS: Final = 14
OUTSIDE: Final = 6

PLAN: Final = struct.Struct(f"={15 + ARGUMENTS}q")
CALL: Final = struct.Struct("=13qd")
RESULT: Final = struct.Struct(f"={10 + 2 * OUTSIDE}q2d")
PROGRESS: Final = struct.Struct("=6q")

WAITING: Final = 0
PLACING: Final = 1
INSIDE: Final = 2
DONE: Final = 4
FAULTED: Final = 5

ITEM_BYTES: Final = {"float32": 4, "float64": 8, "bfloat16": 2, "float16": 2}

POISON: Final = {
    "float32": {"nan": 0x7FE5A3C9, "finite": 0xC4D2A3C9},
    "float64": {"nan": 0x7FFCA5A3C9E5A3C9, "finite": 0xC09A543C9E5A3C95},
    "bfloat16": {"nan": 0x7FE5, "finite": 0xC4D3},
    "float16": {"nan": 0x7EA5, "finite": 0xE695},
}
"""The bit patterns an output holds before a call: a NaN nobody computes, and about -1685."""

_ENVIRONMENT: Final = (
    "rounding mode",
    "flush to zero",
    "denormals are zero",
    "exception mask",
    "x87 control word",
    "x87 register stack",
    "direction flag",
    "signal mask",
    "file descriptors",
    "processor affinity",
)
_HANDLER_SHIFT: Final = 16
_WATCHED: Final = (
    "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS",
    "SIGINT", "SIGTERM", "SIGALRM", "SIGPIPE",
)  # fmt: skip


def open_library(path: str) -> ctypes.CDLL:
    """The guard's functions, by ctypes and without NumPy, which `softjac.native` imports.

    Raises:
        OSError: the library cannot be opened.
        SandboxError: it is of another version than this module.
    """
    library = ctypes.CDLL(path)
    try:
        version = library.softjac_guard_version()
    except AttributeError:
        version = 0
    if version != VERSION:
        raise SandboxError(f"{path} is of another version: rebuild it with `make lib`")
    library.softjac_guard_open.restype = ctypes.c_void_p
    library.softjac_guard_environment.restype = ctypes.c_int64
    return library


class NativePlan(NamedTuple):
    """How to call a C function: plain data that can be sent to another process.

    file:      the library, or the source it was compiled from, as messages name it.
    arrays:    the roles with an array, inputs first, the output last.
    arguments: one entry for each integer or pointer parameter, in order: a role for its array,
               "rows", "n", or "ld" and a role for its row stride.
    returned:  bytes of the integer status returned, 0 where the function returns nothing.
    scale:     bytes of the floating-point parameter `scale`, 0 where there is none.
    accumulates: it adds to its output, which then holds 0 in place of the NaN before a call.
    """

    library: str
    file: str
    symbol: str
    dtype: str
    arrays: tuple[str, ...]
    arguments: tuple[str, ...]
    returned: int = 0
    scale: int = 0
    align: int = 0
    over_read: int = 0
    accumulates: bool = False

    @property
    def strided(self) -> frozenset[str]:
        """The roles whose row stride is a parameter."""
        return frozenset(a.removeprefix("ld") for a in self.arguments if a.startswith("ld"))


def pack_plan(
    plan: NativePlan, function: int, *, blocked: bool, descriptor: int, patience: int
) -> bytes:
    """A `softjac_guard_plan` for a function at an address."""
    codes = {"rows": -1, "n": -2}
    for place, role in enumerate(plan.arrays):
        codes |= {role: place, f"ld{role}": -3 - place}
    item = ITEM_BYTES[plan.dtype]
    arguments = [codes[name] for name in plan.arguments]
    poison = [_signed(POISON[plan.dtype][kind]) for kind in ("nan", "finite")]
    if plan.accumulates:
        poison[0] = 0
    return PLAN.pack(
        function, item, len(plan.arrays), plan.arrays[-1] == "jac",
        sum(1 << place for place, role in enumerate(plan.arrays) if role in plan.strided),
        max(plan.align, item), plan.over_read, *poison, plan.returned, plan.scale,
        blocked, descriptor, patience, len(arguments),
        *arguments, *[0] * (ARGUMENTS - len(arguments)),
    )  # fmt: skip


def pack_call(
    rows: int, n: int, start: bool, offset: int, apart: int, gap: int, spread: int,
    poison: bool, alias: int, inputs: int, output: int, repeat: int, blocks: int, scale: float,
) -> bytes:  # fmt: skip
    """A `softjac_guard_call`."""
    return CALL.pack(
        rows, n, start, offset, apart, gap, spread, poison, alias, inputs, output, repeat, blocks,
        scale,
    )  # fmt: skip


class Result(NamedTuple):
    """A `softjac_guard_result`."""

    status: int
    returned: int
    signal: int
    access: int
    array: int
    offset: int
    hint: int
    changed: int
    environment: int
    outside: tuple[tuple[int, int], ...]
    seconds: float
    processor: float


def unpack_results(memory: bytes) -> list[Result]:
    """All the `softjac_guard_result` records in a piece of memory."""
    results = []
    for record in RESULT.iter_unpack(memory):
        count = min(max(record[9], 0), OUTSIDE)
        arrays, offsets = record[10 : 10 + count], record[10 + OUTSIDE : 10 + OUTSIDE + count]
        outside = tuple(zip(arrays, offsets, strict=True))
        fields: tuple[Any, ...] = (*record[:9], outside, *record[-2:])
        results.append(Result(*fields))
    return results


def environment_names(bits: int) -> tuple[str, ...]:
    """What a call left changed, in words."""
    names = [name for place, name in enumerate(_ENVIRONMENT) if bits >> place & 1]
    handlers = bits >> _HANDLER_SHIFT
    names += [f"handler of {name}" for place, name in enumerate(_WATCHED) if handlers >> place & 1]
    return tuple(names)


def signal_name(number: int) -> str:
    """A signal's name, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _signed(pattern: int) -> int:
    """A pattern of 64 bits as the signed number C stores it in."""
    return pattern - (1 << 64) if pattern >= 1 << 63 else pattern
