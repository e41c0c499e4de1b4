"""The child process: loads one candidate, and makes the calls it is told to make.

Started as `python -m softjac.oracle.worker DESCRIPTOR`. For a C function neither NumPy nor JAX is
imported: the calls are made by `csrc/guard.c` on memory shared with the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import difflib
import importlib.util
import mmap
import os
import resource
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softjac.oracle import guard
from softjac.oracle.guard import NativePlan
from softjac.oracle.process import Channel, ChildLostError, footprint, shared_file

__all__ = ["main"]


def main() -> None:
    """Serves one parent until it closes the channel."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(ChildLostError):
        kind, *setup = channel.receive()
        serve = {"native": _serve_native, "python": _serve_python}[kind]
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


def _serve_python(
    channel: Channel, source: tuple[str, str], path: list[str]
) -> Iterator[tuple[Any, ...]]:
    """Answers ("run", calls), ("threads", calls, rounds) and ("soak", call, count)."""
    from softjac.oracle import python_call

    warnings.simplefilter("ignore")  # the candidate's own affair
    sys.path[:] = path
    try:
        function = _import(*source)
    except Exception as error:
        yield "candidate", f"cannot be imported: {type(error).__name__}: {error}"
        return
    except SystemExit as error:
        yield "candidate", f"importing it exits: {error}"
        return
    if not callable(function):
        yield "candidate", f"is {type(function).__name__}, not a callable"
        return
    yield "ready", python_call.parameters(function)
    plan, library = channel.receive()
    caller = python_call.Caller(function, plan, Path(library) if library else None)
    caller.settle()
    yield ("ready",)
    while True:
        command, *arguments = channel.receive()
        if command == "run":
            for call in arguments[0]:
                yield "answer", caller.make(call)
        elif command == "threads":
            yield "answer", python_call.call_together(caller, *arguments)
        else:

            def put(growth: Any) -> None:
                channel.send(("answer" if growth else "alive", growth))

            python_call.soak(caller, *arguments, put)


def _import(module: str, name: str) -> Any:
    """An object by the module or file it is in, and its name there, dots allowed."""
    if module.endswith(".py"):
        file = Path(module).resolve()
        sys.path.insert(0, str(file.parent))
        specification = importlib.util.spec_from_file_location(f"candidate_{file.stem}", file)
        assert specification is not None and specification.loader is not None
        loaded = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = loaded
        specification.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    found: Any = loaded
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 1, 0.6)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise AttributeError(f"{module} has no {part}{hint}")
        found = getattr(found, part)
    return found


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
