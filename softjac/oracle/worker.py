"""The child process: loads one candidate, and makes the calls it is told to make.

Started as `python -m softjac.oracle.worker DESCRIPTOR`. For a C function neither NumPy nor JAX is
imported: the calls are made by `csrc/guard.c` on memory shared with the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softjac.oracle import guard
from softjac.oracle.guard import NativePlan
from softjac.oracle.process import Channel, ChildLostError, shared_file

__all__ = ["footprint", "main"]


def footprint() -> tuple[int, int, int]:
    """Resident bytes, threads and open descriptors of this process."""
    process = Path("/proc/self")
    if process.is_dir():
        pages = int((process / "statm").read_text().split()[1])
        memory = pages * mmap.PAGESIZE
        threads = len(list((process / "task").iterdir()))
        return memory, threads, len(list((process / "fd").iterdir()))
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    return usage, threading.active_count(), len(list(Path("/dev/fd").iterdir()))


def main() -> None:
    """Serves one parent until it closes the channel."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(ChildLostError):
        kind, *setup = channel.receive()
        serve = {"native": _serve_native}[kind]
        for answer in serve(channel, *setup):
            channel.send(answer)
    os._exit(0)  # what a candidate registered with atexit is not run


def _serve_native(
    channel: Channel,
    library: str,
    plan: NativePlan,
    memory: int,
    blocked: bool,
    patience: int,
) -> Iterator[tuple[Any, ...]]:
    """Answers ("run", ...), ("threads", ...) and ("soak", ...)."""
    _limit_resources()
    shim = ctypes.CDLL(library)
    for name in ("version", "arguments", "open", "run", "run_threads"):
        getattr(shim, f"softjac_guard_{name}").restype = ctypes.c_int64
    shim.softjac_guard_open.restype = ctypes.c_void_p
    if shim.softjac_guard_version() != guard.VERSION:
        yield "sandbox", "the compiled guard is of another version than the Python part: make lib"
        return
    limit = shim.softjac_guard_arguments()
    if limit == 0:
        yield "sandbox", "this platform's calling convention is not covered"
        return
    if len(plan.arguments) > limit:
        yield (
            "candidate",
            (
                f"{plan.symbol} has {len(plan.arguments)} integer and pointer parameters; "
                f"at most {limit} can be passed on this platform"
            ),
        )
        return
    try:
        loaded = ctypes.CDLL(plan.library, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        yield "candidate", f"{plan.library} cannot be loaded: {error}"
        return
    try:
        function = ctypes.cast(getattr(loaded, plan.symbol), ctypes.c_void_p).value or 0
    except AttributeError:
        yield "symbol", plan.symbol
        return
    packed = guard.pack_plan(
        plan,
        function,
        blocked=blocked,
        descriptor=int(sys.argv[1]),
        patience=patience,
    )
    opened: dict[bool, tuple[int, int]] = {}  # concurrent or not: threads, address of the guard
    batch = _Batch(memory)
    yield ("ready",)
    while True:
        command, size, offsets, count, rounds = channel.receive()
        concurrent = command == "threads"
        threads = count if concurrent else 1
        if opened.get(concurrent, (0, 0))[0] < threads:
            address = shim.softjac_guard_open(packed, shared_file(), ctypes.c_int64(threads))
            if not address:
                yield "sandbox", "no address space for guard pages: raise `ulimit -v`"
                return
            opened[concurrent] = threads, address
        handle = ctypes.c_void_p(opened[concurrent][1])
        calls, results, inputs, outputs = batch.addresses(size, offsets)
        counts = [count, rounds] if concurrent else [count]
        call = shim.softjac_guard_run_threads if concurrent else shim.softjac_guard_run
        arguments = (
            handle,
            calls,
            results,
            *map(ctypes.c_int64, counts),
            batch.addresses(size, (0,))[0],
            inputs,
            outputs,
        )
        failed = call(*arguments)
        yield ("done", failed, footprint() if command == "soak" else None)


class _Batch:
    """The memory shared with the parent: progress, calls, results, inputs, outputs."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = 0
        self._address = 0
        self._maps: list[mmap.mmap] = []

    def addresses(self, size: int, offsets: tuple[int, ...]) -> list[ctypes.c_void_p]:
        """The addresses of some offsets; the memory is mapped again when it has grown."""
        if size != self._size:
            mapped = mmap.mmap(self._descriptor, size)
            self._maps.append(mapped)  # never unmapped: a candidate's thread may still run
            self._address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
            self._size = size
        return [ctypes.c_void_p(self._address + offset) for offset in offsets]


def _limit_resources() -> None:
    """No core files, and not more than half of the machine's memory for one candidate."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):
        half = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE // 2
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        limit = half if hard == resource.RLIM_INFINITY else min(half, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


if __name__ == "__main__":
    main()
