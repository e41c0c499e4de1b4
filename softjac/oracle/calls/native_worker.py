"""The child process for a C function: `csrc/guard.c` calls it, on memory shared with the parent.

Started as `python -m softjac.oracle.calls.native_worker DESCRIPTOR`; it needs the standard library
alone, and little of that: a run starts half a dozen of these.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import signal
import sys
from collections.abc import Iterator

from softjac._errors import SandboxError
from softjac.oracle.calls import guard
from softjac.oracle.calls.channel import Channel, footprint, shared_file
from softjac.oracle.calls.guard import NativePlan
from softjac.oracle.calls.worker import RefusedError, serve

__all__: list[str] = []

_MOST_PRINTED = 16 << 20
_MOST_MEMORY = 4 << 30  # of the candidate's own, beside its arrays


class _Native:
    """Has `csrc/guard.c` call a C function."""

    def __init__(
        self, channel: Channel, library: str, plan: NativePlan, memory: int, blocked: bool,
        patience: int,
    ) -> None:  # fmt: skip
        _limit_resources()
        os.environ.pop("LD_PRELOAD", None)  # not for what the candidate starts
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt that the candidate raises
        self._channel = channel
        self._shim = _open_shim(library, plan)
        self._memory = _Memory(memory)
        address = _address(plan)
        self._left = self._shim.softjac_guard_environment()
        self._plan = guard.pack_plan(
            plan,
            address,
            blocked=blocked,
            descriptor=int(sys.argv[1]),
            patience=patience,
        )
        # by how many threads it serves at most: the guard of single calls, that of concurrent ones
        self._guards: dict[int, int] = {}
        if not self._guard(1):
            raise RefusedError("sandbox", "no address space for guard pages: raise `ulimit -v`")

    def serve(self) -> None:
        """Tells what loading left changed, then answers (command, batch, calls, rounds)."""
        self._channel.send(("ready", self._left))
        while True:
            command, size, offsets, count, rounds = self._channel.receive()
            threads = count if command == "threads" else 1
            counts = [count, rounds] if command == "threads" else [count]
            run = getattr(self._shim, f"softjac_guard_run{'_threads' * (command == 'threads')}")
            progress, calls, results, inputs, outputs = self._memory.at(size, (0, *offsets))
            address = self._guard(threads)
            failed = not address or run(
                ctypes.c_void_p(address), calls, results, *map(ctypes.c_int64, counts), progress,
                inputs, outputs,
            )  # fmt: skip
            self._channel.send(("done", bool(failed), footprint() if command == "soak" else None))

    def _guard(self, threads: int) -> int:
        """The address of a guard for so many threads, 0 where there is no room for it."""
        if threads not in self._guards:
            with _files_of_any_size():
                opened = self._shim.softjac_guard_open(
                    self._plan, shared_file(), ctypes.c_int64(threads)
                )
            self._guards[threads] = opened or 0
        return self._guards[threads]


class _Memory:
    """The memory shared with the parent, mapped again when it has grown."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = 0
        self._address = 0
        self._maps: list[mmap.mmap] = []

    def at(self, size: int, offsets: tuple[int, ...]) -> list[ctypes.c_void_p]:
        """The addresses of some offsets."""
        if size != self._size:
            mapped = mmap.mmap(self._descriptor, size)
            self._maps.append(mapped)  # for ever: a candidate's thread may still run
            self._address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
            self._size = size
        return [ctypes.c_void_p(self._address + offset) for offset in offsets]


def _open_shim(library: str, plan: NativePlan) -> ctypes.CDLL:
    """The library that holds the guard, checked against what is asked of it."""
    try:
        shim = guard.open_library(library)
    except (OSError, SandboxError) as error:
        raise RefusedError("sandbox", str(error)) from None
    limit = shim.softjac_guard_arguments()
    if limit == 0:
        raise RefusedError("sandbox", "this platform's calling convention is not covered")
    if len(plan.arguments) > limit:
        raise RefusedError(
            "candidate",
            f"{plan.symbol} has {len(plan.arguments)} integer and pointer parameters; "
            f"at most {limit} can be passed on this platform",
        )
    return shim


def _address(plan: NativePlan) -> int:
    """The address of the candidate."""
    try:
        loaded = ctypes.CDLL(plan.library, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise RefusedError("candidate", f"{plan.file} cannot be loaded: {error}") from None
    try:
        address = ctypes.cast(getattr(loaded, plan.symbol), ctypes.c_void_p).value or 0
    except AttributeError:
        raise RefusedError("symbol", plan.symbol) from None
    if not _is_code(address):
        raise RefusedError("candidate", f"{plan.file}: {plan.symbol} is data, not a function")
    return address


def _is_code(address: int) -> bool:
    """Whether what lies at an address may be executed; where nothing tells, it may."""
    try:
        with os.fdopen(os.open("/proc/self/maps", os.O_RDONLY)) as file:
            maps = file.readlines()
    except OSError:
        return True
    for line in maps:
        place, permissions, *_ = line.split()
        first, last = (int(end, 16) for end in place.split("-"))
        if first <= address < last:
            return "x" in permissions
    return True


def _limit_resources() -> None:
    """No core files, no floods of text, and only a part of the machine's memory."""
    memory = min(_MOST_MEMORY, os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE // 2)
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _MOST_PRINTED),
        (resource.RLIMIT_DATA, memory),
    ):
        hard = resource.getrlimit(limit)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (wanted, hard))


@contextlib.contextmanager
def _files_of_any_size() -> Iterator[None]:
    """Lifts the limit on files, since shared memory is one, and a large one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


if __name__ == "__main__":
    serve(_Native)
