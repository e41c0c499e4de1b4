"""The child process: loads one candidate, and makes the calls it is told to make.

Started as `python -m softjac.oracle.worker DESCRIPTOR`. For a C function neither NumPy nor JAX is
imported: the calls are made by `csrc/guard.c` on memory shared with the parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import mmap
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from softjac._errors import SandboxError, did_you_mean
from softjac.oracle import guard
from softjac.oracle.guard import NativePlan
from softjac.oracle.process import Channel, ChildLostError, footprint, shared_file

__all__ = ["main"]

_MOST_PRINTED = 16 << 20
_MOST_MEMORY = 4 << 30  # of the candidate's own, beside its arrays


class _RefusedError(Exception):
    """The candidate or the platform cannot be served: what the parent is told instead of ready."""


def main() -> None:
    """Serves one parent until it closes the channel."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    with contextlib.suppress(ChildLostError):
        kind, *setup = channel.receive()
        try:
            if kind == "native":
                _Native(channel, *setup).serve()
            else:
                _Python(channel, *setup).serve()
        except _RefusedError as refused:
            channel.send(refused.args)
    os._exit(0)  # what a candidate registered with atexit is not run


class _NameMissingError(Exception):
    """The candidate's module was imported, and has no such name."""


class _Native:
    """Has `csrc/guard.c` call a C function."""

    def __init__(
        self, channel: Channel, library: str, plan: NativePlan, memory: int, blocked: bool,
        patience: int,
    ) -> None:  # fmt: skip
        _limit_resources()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt that the candidate raises
        self._channel = channel
        self._shim = _open_shim(library, plan)
        self._memory = _Memory(memory)
        self._plan = guard.pack_plan(
            plan,
            _address(plan),
            blocked=blocked,
            descriptor=int(sys.argv[1]),
            patience=patience,
        )
        # by how many threads it serves at most: the guard of single calls, that of concurrent ones
        self._guards: dict[int, int] = {}
        if not self._guard(1):
            raise _RefusedError("sandbox", "no address space for guard pages: raise `ulimit -v`")

    def serve(self) -> None:
        """Answers (command, size and offsets of the batch, calls, rounds)."""
        self._channel.send(("ready",))
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
        raise _RefusedError("sandbox", str(error)) from None
    limit = shim.softjac_guard_arguments()
    if limit == 0:
        raise _RefusedError("sandbox", "this platform's calling convention is not covered")
    if len(plan.arguments) > limit:
        raise _RefusedError(
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
        raise _RefusedError("candidate", f"{plan.library} cannot be loaded: {error}") from None
    try:
        return ctypes.cast(getattr(loaded, plan.symbol), ctypes.c_void_p).value or 0
    except AttributeError:
        raise _RefusedError("symbol", plan.symbol) from None


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


class _Python:
    """Calls a Python callable."""

    def __init__(self, channel: Channel, source: tuple[str, str], path: list[str]) -> None:
        self._channel = channel
        sys.path[:] = path
        warnings.simplefilter("ignore")  # the candidate's own affair
        try:
            self._function = _import(*source)
        except _NameMissingError as missing:
            raise _RefusedError("candidate", str(missing)) from None
        except Exception as error:
            reason = f"cannot be imported: {type(error).__name__}: {error}{_line_of(error)}"
            raise _RefusedError("candidate", reason) from None
        except SystemExit as error:
            raise _RefusedError("candidate", f"importing it exits: {error}") from None
        if not callable(self._function):
            kind = type(self._function).__name__
            raise _RefusedError("candidate", f"is of type {kind}, not a callable")

    def serve(self) -> None:
        """Tells the parameters, takes a plan, then answers (command, its arguments)."""
        from softjac.oracle import python_call, signature  # NumPy, which C candidates do without

        send = self._channel.send
        send(("ready", signature.describe(self._function)))
        plan, library = self._channel.receive()
        caller = python_call.Caller(self._function, plan, Path(library))
        send(("ready", caller.settle()))
        while True:
            command, *arguments = self._channel.receive()
            if command == "run":
                for call in arguments[0]:
                    send(("answer", caller.make(call)))
            else:
                work = python_call.call_together if command == "threads" else python_call.soak
                for answer in work(caller, *arguments):
                    send(("alive" if answer is None else "answer", answer))


def _import(module: str, name: str) -> Any:
    """An object by the module or file it is in, and its name there, dots allowed."""
    if module.endswith(".py"):
        file = Path(module).resolve()
        sys.path.insert(0, str(file.parent))
        specification = importlib.util.spec_from_file_location(f"candidate_{file.stem}", file)
        assert specification is not None
        assert specification.loader is not None
        loaded = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = loaded
        specification.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    found: Any = loaded
    for part in name.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, dir(found)) or f"; it has {_functions_of(found)}"
            raise _NameMissingError(f"there is no {part}{hint}")
        found = getattr(found, part)
    return found


def _functions_of(loaded: Any) -> str:
    """The names of the first few functions of a module."""
    found = getattr(loaded, "__dict__", {}).items()
    names = [name for name, value in found if callable(value) and not name.startswith("_")]
    return ", ".join([*names[:5], "..."] if len(names) > 5 else names) or "no functions"


def _line_of(error: Exception) -> str:
    """Where in the candidate's module its import failed; nothing where the error says so itself."""
    import traceback

    if isinstance(error, SyntaxError):
        return ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name == "<module>"]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


if __name__ == "__main__":
    main()
