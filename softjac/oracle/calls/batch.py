"""Many calls of a C function in one piece of shared memory, and what came of them."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from softjac._errors import ArgumentError
from softjac.oracle.calls import guard
from softjac.oracle.calls.call import BLOCK, Call, Fault, Outcome
from softjac.oracle.calls.channel import shared_file
from softjac.oracle.calls.guard import NativePlan, Result

__all__ = ["Batch"]

Array = np.ndarray[Any, np.dtype[Any]]

_BYTES = 32 << 20
_CALLS = 2048
_JOINED_BYTES = 1 << 20
_KEPT_BYTES = 128 << 20
_ALIGN = 64
_ACCESS = ("unknown", "read", "write")
_HINTS = (
    "",
    "a misaligned vector access, or an address no page can have",
    "stack overflow",
    "memory that it had freed",
)


class Batch:
    """Shared memory that holds progress, calls, results, inputs and outputs, one after another."""

    def __init__(self, plan: NativePlan) -> None:
        self._plan = plan
        self._dtype: np.dtype[Any] = np.dtype(
            ml_dtypes.bfloat16 if plan.dtype == "bfloat16" else plan.dtype
        )
        self._calls: list[Call] = []
        self._repeats = 1
        self._outputs: list[int] = []
        self._memory: mmap.mmap | None = None
        self.descriptor = shared_file()
        self.size = 0
        self.offsets: tuple[int, int, int, int] = (0, 0, 0, 0)
        """Where calls, results, inputs and outputs begin."""

    def close(self) -> None:
        """Gives the memory back."""
        self._unmap()
        os.close(self.descriptor)

    def shrink(self) -> None:
        """Gives the memory back where it has become large; what it held is lost."""
        if self.size > _KEPT_BYTES:
            self._unmap()
            os.ftruncate(self.descriptor, 0)

    def _unmap(self) -> None:
        """Ends the mapping here."""
        if self._memory is not None:
            self._memory.close()
        self._memory, self.size = None, 0

    def fill(self, calls: Sequence[Call], *, rounds: int = 1, repeats: int = 1) -> int:
        """Packs as many of the calls as fit well, or all of them `rounds` times; returns how many.

        With several rounds, all calls of the first come before those of the next.
        """
        parts: list[Any] = []
        starts: list[int] = []
        read = written = 0
        for call in calls:
            if rounds == 1 and starts and (read + written > _BYTES or len(starts) == _CALLS):
                break
            starts.append(read)
            for role in self._plan.arrays[:-1]:
                part = self._checked(call, role)
                parts.append(part)
                read += part.nbytes
            written += self._output_bytes(call)
        self._calls = list(calls[: len(starts)]) * rounds
        self._repeats = repeats
        self._outputs = []
        records, at = [], 0
        for call, start in zip(self._calls, starts * rounds, strict=True):
            records.append(self._record(call, start, at, repeats))
            self._outputs.append(at)
            at += _rounded(self._output_bytes(call))
        self._write(records, parts, at)
        return len(starts)

    def ticks(self) -> int:
        """How many calls have ended since the batch was filled, as far as the child can tell.

        A candidate that writes where it should not may write here: what cannot be counts as none.
        """
        ticks = int(self._progress()[0])
        return ticks if 0 <= ticks <= len(self._calls) * self._repeats else 0

    def is_damaged(self) -> bool:
        """Whether the candidate has written over the records that the child keeps here."""
        states, arrays = range(guard.WAITING, guard.FAULTED + 1), range(len(self._places))
        return any(
            result.status not in states or any(a not in arrays for a, _ in result.outside)
            for result in self.results()
        )

    def stray(self) -> Outcome | None:
        """The fault that ended the child outside any call of ours, in a thread of the candidate."""
        _, number, access, *_, hint = self._progress()
        if not number:
            return None
        fault = Fault(guard.signal_name(number), _access(access))
        return Outcome(
            "fault", fault=fault, message=f"in a thread of its own. {_hint(hint)}".strip()
        )

    def results(self) -> list[Result]:
        """What the child has noted so far, one record a call."""
        start = self.offsets[1]
        size = guard.RESULT.size * len(self._calls)
        return guard.unpack_results(self._bytes(start, size))

    def outcome(self, place: int, result: Result) -> Outcome:
        """The outcome of a call that came back, or was broken off by a signal."""
        names = self._places
        changed: tuple[str, ...] = ()
        if result.changed:
            inputs = self._plan.arrays[:-1]
            changed = tuple(role for a, role in enumerate(inputs) if result.changed >> a & 1)
        outside = tuple((names[a], offset) for a, offset in result.outside)
        environment = guard.environment_names(result.environment) if result.environment else ()
        if result.status == guard.FAULTED:
            near = names[result.array] if 0 <= result.array < len(names) else None
            fault = Fault(
                guard.signal_name(result.signal),
                _access(result.access),
                near,
                result.offset if near else None,
            )
            return Outcome(
                "fault", None, fault, _hint(result.hint), changed, outside, environment,
                result.seconds,
            )  # fmt: skip
        message = f"status {result.returned}" if result.returned else ""
        return Outcome(
            "refused" if result.returned else "ok", self._output(place), None, message, changed,
            outside, environment, result.seconds, processor=result.processor,
        )  # fmt: skip

    @property
    def _places(self) -> tuple[str, ...]:
        """What the guard numbers: the arrays, and any block that the candidate has allocated."""
        return (*self._plan.arrays, BLOCK)

    def _output(self, place: int) -> Array:
        """The output array of a call, as the candidate left it."""
        call = self._calls[place]
        memory = self._bytes(self.offsets[3] + self._outputs[place], self._output_bytes(call))
        shape = (call.rows, call.n, call.n)
        return np.frombuffer(memory, self._dtype).reshape(shape if self._is_matrix else shape[:2])

    @property
    def _is_matrix(self) -> bool:
        """Whether the output is a Jacobian."""
        return self._plan.arrays[-1] == "jac"

    def _output_bytes(self, call: Call) -> int:
        """The size of a call's output, without gaps."""
        lines = call.rows * call.n if self._is_matrix else call.rows
        return lines * call.n * self._dtype.itemsize

    def _checked(self, call: Call, role: str) -> Array:
        """An input as contiguous memory, checked against what the call says of it."""
        array = call.inputs[role]
        if array.shape != (call.rows, call.n) or array.dtype != self._dtype:
            raise ArgumentError(
                f"input {role}: expected {self._dtype} of shape {(call.rows, call.n)}, "
                f"got {array.dtype} of shape {array.shape}"
            )
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        return array.view(np.uint16) if self._dtype.itemsize == 2 else array

    def _place(self, role: str) -> int:
        """Which of the candidate's arrays has this role."""
        if role not in self._plan.arrays:
            known = ", ".join(self._plan.arrays)
            raise ArgumentError(f"{self._plan.symbol} has no array {role!r}; it has {known}")
        return self._plan.arrays.index(role)

    def _record(self, call: Call, start: int, output: int, repeats: int) -> bytes:
        """The guard's record of a call."""
        layout, arguments = call.layout, self._plan.arguments
        if call.rows != 1 and "rows" not in arguments:
            raise ArgumentError(f"{self._plan.symbol} takes one row a call, got {call.rows}")
        page_filling = call.rows * call.n * self._dtype.itemsize % mmap.PAGESIZE == 0
        plain = layout.offset == layout.gap == self._plan.over_read == 0
        if layout.blocks > 1 and not (page_filling and plain and "rows" in arguments):
            raise ArgumentError(
                f"blocks of {call.rows} rows of {call.n}: expected arrays of whole pages of "
                f"{mmap.PAGESIZE} bytes, without offset and gap, for a candidate that takes rows"
            )
        alias = -1
        if layout.alias is not None:
            output_role, input_role = layout.alias
            if output_role != self._plan.arrays[-1] or output_role == "jac":
                raise ArgumentError(f"{output_role} cannot share the array of {input_role}")
            alias = self._place(input_role)
        apart = self._place(layout.apart) if layout.apart else -1
        return guard.pack_call(
            call.rows, call.n, layout.side == "start", layout.offset, apart, layout.gap,
            layout.spread, call.poison == "finite", alias, start, output, repeats, layout.blocks,
            call.scale,
        )  # fmt: skip

    def _write(self, records: list[bytes], inputs: list[Any], output_bytes: int) -> None:
        """Lays the batch out in memory, which grows as needed."""
        input_bytes = sum(array.nbytes for array in inputs)
        calls = _rounded(guard.PROGRESS.size)
        results = calls + _rounded(guard.CALL.size * len(records))
        at = results + _rounded(guard.RESULT.size * len(records))
        outputs = at + _rounded(input_bytes)
        self.offsets = (calls, results, at, outputs)
        memory = self._mapped(outputs + output_bytes)
        memory[: guard.PROGRESS.size] = bytes(guard.PROGRESS.size)
        memory[calls : calls + guard.CALL.size * len(records)] = b"".join(records)
        memory[results : results + guard.RESULT.size * len(records)] = bytes(
            guard.RESULT.size * len(records)
        )
        pieces: list[Any] = inputs if input_bytes > _JOINED_BYTES else [b"".join(inputs)]
        for piece in pieces:
            view = memoryview(piece)
            if view.nbytes:
                memory[at : at + view.nbytes] = view.cast("B")
                at += view.nbytes

    def _mapped(self, size: int) -> mmap.mmap:
        """The shared memory, of at least this size."""
        if self._memory is None or size > self.size:
            self._unmap()
            self.size = max(1 << 20, 1 << (size - 1).bit_length())
            os.ftruncate(self.descriptor, self.size)
            self._memory = mmap.mmap(self.descriptor, self.size)
        return self._memory

    def _bytes(self, start: int, size: int) -> bytes:
        """A copy of a piece of the shared memory."""
        assert self._memory is not None
        return self._memory[start : start + size]

    def _progress(self) -> tuple[Any, ...]:
        """The guard's progress record."""
        return guard.PROGRESS.unpack(self._bytes(0, guard.PROGRESS.size))


def _rounded(size: int) -> int:
    """A size rounded up so that what follows is aligned."""
    return -(-size // _ALIGN) * _ALIGN


def _access(code: int) -> Any:
    """The guard's code of an access, in a word."""
    return _ACCESS[code] if 0 <= code < len(_ACCESS) else "unknown"


def _hint(code: int) -> str:
    """What the guard adds about a fault."""
    return _HINTS[code] if 0 <= code < len(_HINTS) else ""
