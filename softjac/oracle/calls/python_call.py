"""Calls of a Python callable: made as it takes them, judged by nobody here."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.util
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from softjac._errors import SandboxError
from softjac.oracle.calls import derivatives
from softjac.oracle.calls.arrays import (
    EXAMPLES,
    ArrayKind,
    Arrays,
    to_numpy,
    wide_floats,
)
from softjac.oracle.calls.call import Call, Growth, Layout, Outcome
from softjac.oracle.calls.channel import footprint
from softjac.oracle.calls.guard import environment_names, open_library
from softjac.oracle.calls.returned import Returned
from softjac.oracle.calls.settings import put_back, settings
from softjac.oracle.description.signature import callable_of
from softjac.oracle.storage import storage

__all__ = [
    "Caller",
    "LeftError",
    "PythonPlan",
    "Traits",
    "call_together",
    "interrupt",
    "quiet",
    "soak",
]

Array = np.ndarray[Any, np.dtype[Any]]

# Libraries that take derivatives of functions.
_DIFFERENTIATING = frozenset(
    ("autograd", "jax", "jaxlib", "mlx", "mxnet", "paddle", "tensorflow", "tinygrad", "torch")
)

_SIGN_OF_LIFE = 0.2


@dataclass(frozen=True, slots=True)
class PythonPlan:
    """How to call a Python callable.

    source:    (module or file, name in it) to import in a child, or the callable itself.
    arguments: (parameter name, role) in order; a name of "" is passed by position.
    autodiff:  the callable is the forward function, and the op its derivative.
    array:     what it takes; None: what it accepts.
    """

    source: tuple[str, str] | Callable[..., Any]
    op: str
    dtype: str
    inputs: tuple[str, ...]
    output: str
    arguments: tuple[tuple[str, str], ...]
    autodiff: bool = False
    array: ArrayKind | None = None


class Traits(NamedTuple):
    """What a callable turns out to be like.

    kind:             which arrays it takes.
    is_derived:       whether a library may have taken the derivative that it gives.
    sees_environment: whether what it does to the floating-point environment can be read.
    """

    kind: ArrayKind
    is_derived: bool
    sees_environment: bool


class Caller:
    """Makes calls of one callable, in the thread that asks for them."""

    def __init__(
        self, function: Callable[..., Any], plan: PythonPlan, library: Path | None = None
    ) -> None:
        self._function = callable_of(function)
        self._plan = plan
        self._arrays = Arrays()
        self._kind: ArrayKind = plan.array or "numpy"
        self._returned = Returned()
        reader = _environment_reader(library)
        self._environment = reader or (lambda: 0)
        self._sees_environment = reader is not None
        self._found = self._environment()
        self._settings = settings()
        self._owed: tuple[str, ...] = ()

    def settle(self, *, tries: bool) -> Traits:
        """Finds out what the callable is like; which arrays it takes, unless the plan says so.

        It tries a small call then too, if it may, for what is imported there to be seen.
        """
        if self._plan.array is None:
            kinds = _possible_kinds(self._plan.autodiff)
            self._kind = next((kind for kind in kinds if self._accepts(kind)), kinds[0])
        elif tries:
            self._accepts(self._kind)
        return Traits(self._kind, self._may_be_derived(), self._sees_environment)

    def _may_be_derived(self) -> bool:
        """Whether a library may have taken the derivative that the callable gives.

        A child process has loaded only what the candidate asked for; elsewhere the modules that the
        callable refers to are looked at.
        """
        if self._plan.autodiff or self._kind != "numpy":
            return True
        if isinstance(self._plan.source, tuple):
            return not _DIFFERENTIATING.isdisjoint(sys.modules)
        return not _DIFFERENTIATING.isdisjoint(_libraries_of(self._function))

    def twin(self) -> Caller:
        """A caller of the same callable with arrays of its own, for another thread."""
        other = Caller(self._function, self._plan)
        other._kind, other._environment = self._kind, self._environment
        other._found = self._found
        return other

    def prepare(self, call: Call) -> None:
        """Imports what the call needs: threads that import a library at once find half of it."""
        with wide_floats(self._plan.dtype):
            for role in self._plan.inputs:
                self._arrays.give(self._kind, role, call.inputs[role], call.layout)

    def make(self, call: Call) -> Outcome:
        """One call and what came of it; only the end of the process is not survived."""
        kind, layout = self._kind, call.layout
        with wide_floats(self._plan.dtype):
            begin, used = time.perf_counter(), time.process_time()
            try:
                given = {
                    role: self._arrays.give(kind, role, call.inputs[role], layout)
                    for role in self._plan.inputs
                }
                begin, used = time.perf_counter(), time.process_time()
                result = self._call(given, call)
                output, message = to_numpy(result)
            except SystemExit as error:
                return Outcome("exit", message=f"SystemExit: {error.code}")
            except BaseException as error:
                empty = call.rows == 0 or call.n == 0
                return Outcome(
                    "refused" if empty and isinstance(error, Exception) else "raised",
                    message=f"{type(error).__name__}: {error}"[:500],
                    changed=self._changed(call),
                    seconds=time.perf_counter() - begin,
                    processor=time.process_time() - used,
                )
            seconds, processor = time.perf_counter() - begin, time.process_time() - used
        reused = self._returned.take(result, list(given.values()))
        left = self._left_changed()
        return Outcome(
            "ok",
            output,
            None,
            message,
            self._changed(call),
            (),
            left,
            seconds,
            reused,
            processor,
        )

    def _call(self, given: dict[str, Any], call: Call) -> Any:
        """Calls the function, or has its derivative taken."""
        numbers = {"scale": call.scale, "rows": call.rows, "n": call.n}
        if self._plan.autodiff:
            scales = {name: call.scale for name, role in self._plan.arguments if role == "scale"}
            return derivatives.take(self._kind, self._plan, self._function, scales, given)
        positional, named = [], {}  # those passed by position come first
        for name, role in self._plan.arguments:
            value = given[role] if role in given else numbers[role]
            if name:
                named[name] = value
            else:
                positional.append(value)
        return self._function(*positional, **named)

    def _changed(self, call: Call) -> tuple[str, ...]:
        """The inputs that hold other bytes than before the call, or none any more."""
        return tuple(
            role
            for role in self._plan.inputs
            if self._arrays.is_changed(self._kind, role, call.inputs[role], call.layout)
        )

    def disturbed(self, call: Call) -> tuple[str, ...]:
        """The inputs that hold other values, while the call is being made."""
        return tuple(
            role
            for role in self._plan.inputs
            if not self._arrays.holds(self._kind, role, call.inputs[role], call.layout)
        )

    def _left_changed(self) -> tuple[str, ...]:
        """What the calls left otherwise than they found it, put back where Python can do that."""
        owed, self._owed = self._owed, ()
        found, self._found = self._found, self._environment()
        left = environment_names(self._found & ~found) + put_back(self._settings)
        return tuple(dict.fromkeys(owed + left))

    def _accepts(self, kind: ArrayKind) -> bool:
        """Whether a small call with this kind of array raises nothing."""
        dtype = storage(self._plan.dtype)
        rows = {role: np.array([EXAMPLES[role]] * 2, dtype) for role in self._plan.inputs}
        if self._plan.op.startswith("log") and "y" in rows:
            rows["y"] = np.log(rows["y"].astype(np.float64)).astype(dtype)
        before, self._kind = self._kind, kind
        try:
            outcome = self.make(Call(rows, 2, 3, layout=Layout()))
        finally:
            self._kind = before
        self._owed = outcome.environment  # a later call shall tell it
        return outcome.status == "ok"


def call_together(
    caller: Caller, calls: Sequence[Call], rounds: int
) -> Iterator[list[Outcome] | None]:
    """Makes all the calls at once, a thread each, `rounds` times.

    Yields None for every call that ends, then the outcomes round by round.
    """
    caller.prepare(calls[0])
    barrier = threading.Barrier(len(calls))
    outcomes: list[list[Outcome]] = [[] for _ in calls]
    broken: list[Exception] = []
    made = threading.Semaphore(0)

    def work(place: int) -> None:
        twin = caller.twin()
        try:
            with contextlib.suppress(threading.BrokenBarrierError, LeftError):
                for _ in range(rounds):
                    barrier.wait()
                    outcomes[place].append(twin.make(calls[place]))
                    made.release()
        except Exception as error:  # not the candidate's: those are outcomes
            broken.append(error)
            barrier.abort()
            made.release()

    threads = [threading.Thread(target=work, args=(p,), daemon=True) for p in range(len(calls))]
    try:
        for thread in threads:
            thread.start()
        for _ in range(rounds * len(calls)):
            while not made.acquire(timeout=_SIGN_OF_LIFE):  # interrupted now and then
                pass
            if broken:
                raise broken[0]
            yield None
    except BaseException:  # nobody waits any more: the threads shall not go on for ever
        barrier.abort()
        for thread in threads:
            interrupt(thread, LeftError)
        raise
    yield [outcome for together in zip(*outcomes, strict=True) for outcome in together]


def interrupt(thread: threading.Thread, error: type[BaseException]) -> None:
    """Raises an exception in a thread, as soon as that runs Python code again."""
    if thread.ident is not None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(error)
        )


class LeftError(BaseException):
    """Raised inside a thread that nobody waits for any more."""


def soak(caller: Caller, call: Call, count: int) -> Iterator[Growth | None]:
    """What `count` calls leave behind, after None now and then as a sign of life."""
    told = time.monotonic()
    footprints = []
    for repeats in (max(16, count // 10), count):
        for _ in range(repeats):
            caller.make(call)
            if time.monotonic() - told > _SIGN_OF_LIFE:
                told = time.monotonic()
                yield None
        gc.collect()
        footprints.append(footprint())
    yield Growth(count, *(after - before for before, after in zip(*footprints, strict=True)))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Warnings of the candidate's arithmetic are its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _possible_kinds(autodiff: bool) -> list[ArrayKind]:
    """Kinds of arrays to try: of the libraries the candidate has loaded, NumPy first."""
    libraries: tuple[ArrayKind, ...] = ("jax", "torch")
    loaded: list[ArrayKind] = [kind for kind in libraries if kind in sys.modules]
    if not autodiff:
        return ["numpy", *loaded]
    others: list[ArrayKind] = [
        kind
        for kind in libraries
        if kind not in loaded and importlib.util.find_spec(kind) is not None
    ]
    return [*loaded, *others]


def _libraries_of(function: Any) -> set[str]:
    """The packages that a callable's type, its names and its module's objects come from."""
    code = getattr(function, "__code__", None)
    named = set(code.co_names) if code is not None else set()
    objects = [type(function), *getattr(function, "__globals__", {}).values()]
    modules = (getattr(one, "__module__", None) or getattr(one, "__name__", "") for one in objects)
    return named | {str(module).partition(".")[0] for module in modules}


def _environment_reader(library: Path | None) -> Callable[[], int] | None:
    """Reads what of the floating-point environment is not the default; None without the library."""
    if library is not None:
        with contextlib.suppress(OSError, SandboxError):
            reader: Callable[[], int] = open_library(str(library)).softjac_guard_environment
            return reader
    return None
