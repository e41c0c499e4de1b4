"""What touches memory outside an array is caught, and named by array and byte."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from softjac.oracle.calls.call import Call, Layout, Outcome
from softjac.oracle.candidate import load, open_sandbox

PROTOTYPE = (
    "void poke(const float *y, const float *dy, float *dx, size_t rows, size_t n, double scale)"
)
ROLES = ("y", "dy", "dx")
WIDTHS = (1, 2, 3, 4, 7, 8, 16, 32, 33, 64)


@dataclass(frozen=True)
class Access:
    """`width` bytes from `offset`, counted from the array's start (before) or end (behind)."""

    n: int
    role: str
    behind: bool
    offset: int
    width: int
    write: bool

    def call(self) -> Call:
        """The call that makes it, beside the guard page of that side."""
        code = (self.offset + 4096) * 128 + self.width
        code = code * 16 + ROLES.index(self.role) * 4 + self.behind * 2 + self.write
        row = np.ones((1, self.n), np.float32)
        layout = Layout("end" if self.behind else "start")
        return Call({"y": row, "dy": row}, 1, self.n, scale=float(code), layout=layout)

    def is_named(self, outcome: Outcome) -> bool:
        """Whether an outcome names the array and the first byte outside it."""
        fault = outcome.fault
        first = max(self.offset, 0) if self.behind else self.offset
        return (
            outcome.status == "fault"
            and fault is not None
            and (fault.signal, fault.role, fault.offset) == ("SIGSEGV", self.role, first)
            and fault.access == ("write" if self.write else "read")
        )


def accesses(lengths: Iterable[int], distances: Iterable[int]) -> Iterator[Access]:
    """Accesses that begin before an array, or end behind it, by up to 64 bytes."""
    for n, role, distance, width, write in itertools.product(
        lengths, ROLES, distances, WIDTHS, (False, True)
    ):
        # wholly behind the array, or across its end
        yield Access(n, role, True, distance - 1, width, write)
        if distance < width and width - distance <= 4 * n:
            yield Access(n, role, True, distance - width, width, write)
        # wholly before the array, or across its start
        yield Access(n, role, False, -distance, width, write)


def missed(found: Iterable[Access]) -> list[tuple[Access, Outcome]]:
    """The accesses that the sandbox does not name."""
    candidate = load(f"{Path(__file__).with_name('poke.c')}:poke", op="softmax_vjp",
                     prototype=PROTOTYPE)  # fmt: skip
    made = list(found)
    with open_sandbox(candidate) as sandbox:
        outcomes = sandbox.run([access.call() for access in made])
    return [(a, o) for a, o in zip(made, outcomes, strict=True) if not a.is_named(o)]


def test_planted_accesses_are_named_by_byte() -> None:
    """An access outside any array, on either side, read or written, is a fault at that byte."""
    found = list(accesses((1, 3, 8, 129), (1, 2, 4, 31, 64)))
    assert len(found) > 2000
    assert missed(found) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("first", range(1, 130, 8))
def test_every_planted_access_is_named_by_byte(first: int) -> None:
    """The same at every length to 129 and every distance to 64."""
    assert missed(accesses(range(first, min(first + 8, 130)), range(1, 65))) == []
