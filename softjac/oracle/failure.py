"""What came of one task's calls, and one thing among it that must not be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from softjac.oracle.calls.call import Outcome
from softjac.oracle.judging.fit import Judged
from softjac.oracle.planning.plan import Task

__all__ = ["Batch", "Failure", "beside", "bits", "counted", "deal"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(slots=True)
class Batch:
    """One task's inputs, what came of its calls, and the verdict on each row.

    got is `(rows, elements)` in float64, NaN in rows whose call did not return; ok says which did.
    outcomes are those of calls where anything but an output came back, without the output.
    """

    task: Task
    inputs: dict[str, Array]
    outcomes: list[Outcome]
    got: Array
    ok: Array
    seconds: float
    processor: float = 0.0
    exact: Array | None = None
    judged: Judged | None = None

    @property
    def rows(self) -> int:
        """Rows in this batch."""
        return len(self.ok)

    def failed(self) -> Array:
        """Which rows are refuted by their values."""
        if self.judged is None:
            return np.zeros(self.rows, bool)
        return self.ok & ~(self.judged.ratio <= 1.0)


def deal(batches: Sequence[Batch], exact: Array | None, judged: Judged) -> None:
    """Gives each batch its rows of what was judged at once, and of the answer if there is one."""
    start = 0
    for batch in batches:
        part = slice(start, start + batch.rows)
        batch.exact, batch.judged = None if exact is None else exact[part], judged.take(part)
        start += batch.rows


@dataclass(slots=True)
class Failure:
    """One thing that must not be: which check saw it, what kind it is, and where."""

    check: str
    kind: str
    batch: Batch
    row: int = 0
    detail: str = ""
    outcome: Outcome | None = None

    def told(self) -> str:
        """The failure in a few words."""
        task = self.batch.task
        where = f"n = {task.n}"
        if task.layout.apart:
            where += f", {task.layout.apart} aligned otherwise than the rest"
        if self.kind == "value" and self.batch.judged is not None:
            index = int(self.batch.judged.index[self.row])
            ratio = self.batch.judged.ratio[self.row]
            return f"{where}, element {index}: {ratio:.3g} times the bound"
        fault = self.outcome.fault if self.outcome else None
        if fault is not None and fault.role is not None:
            place = beside(fault.role, fault.offset or 0)
            return f"{where}: {fault.signal}, {fault.access} {place}"
        if fault is not None:
            said = self.outcome.message if self.outcome else ""
            return f"{where}: {fault.signal}" + (f", {said}" if said else "")
        words = f"{self.kind}: {self.detail}" if self.detail else self.kind
        return f"{where}: {words}"


def beside(role: str, offset: int) -> str:
    """A place beside an array, or in it, in words: its offset is that of `Fault`."""
    if offset < 0:
        return f"{-offset} bytes before the start of {role}"
    return f"{offset} bytes behind the end of {role}"


def counted(number: int, noun: str) -> str:
    """So many of something, in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def bits(values: Array) -> Array:
    """The bits of float64 numbers, so that NaN equals itself and -0 differs from 0."""
    return values.view(np.uint64)
