"""Which shapes a candidate is called with: those its preconditions admit, or others near them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from softjac.oracle.calls.call import Outcome
from softjac.oracle.candidate import Candidate
from softjac.oracle.planning.plan import SCALES, Task

__all__ = ["LONGER", "Shapes"]

# One hang retires its length; so many lengths that hang end the trial.
HANGS = 3

# A length at which so many calls ended the process is retired too: a new one takes its time.
ENDS = 4

# A shape that the preconditions exclude is replaced by one near it: so much longer, less far where
# rows lie apart, and of so many more rows.
LONGER, LONGER_APART = 1025, 65
MORE_ROWS = (*range(17), 31, 63)


@dataclass(slots=True)
class Shapes:
    """What a candidate admits, at which lengths it hung or ended, and which shapes were tried."""

    candidate: Candidate
    hung: set[int] = field(default_factory=set)
    ended: Counter[int] = field(default_factory=Counter)
    uncompiled: float = math.inf  # the shortest length for which a compiler took too long
    tried: set[tuple[int, int]] = field(default_factory=set)
    _compiled: set[tuple[int, int]] = field(default_factory=set)
    _near: dict[tuple[int, int, int, int], int | None] = field(default_factory=dict)

    def strides(self, task: Task) -> dict[str, int]:
        """The row stride of each role that has one, by the name it has in preconditions."""
        arrays, layout = (*self.candidate.inputs, self.candidate.output), task.layout
        return {
            f"ld{role}": task.n + layout.gap + place * layout.spread
            for place, role in enumerate(arrays)
            if role in self.candidate.strides
        }

    def at_scales(self, tasks: Iterable[Task]) -> Iterator[Task]:
        """Each task, and for a candidate that takes a scale again with one that is not 1."""
        others = [scale for scale in SCALES if scale != 1.0]
        for number, task in enumerate(tasks):
            yield task
            if self.candidate.takes_scale:
                yield replace(task, scale=others[number % len(others)])

    def is_new(self, n: int, rows: int) -> bool:
        """Whether this is asked of a shape for the first time: a compiler may be at work there."""
        new = (n, rows) not in self._compiled
        self._compiled.add((n, rows))
        return new

    def note(self, n: int, outcome: Outcome, timeout: float) -> None:
        """Keeps in mind what speaks against more calls of a length."""
        if outcome.status == "hang":
            self.hung.add(n)
        elif outcome.status == "compiling" or outcome.seconds > timeout:
            self.uncompiled = min(self.uncompiled, n)
        elif outcome.status in ("exit", "lost"):
            self.ended[n] += 1

    def has_retired(self, n: int) -> bool:
        """Whether calls of such a length hang, or of so many others that none is worth its time."""
        return n in self.hung or len(self.hung) >= HANGS

    def suits(self, task: Task) -> bool:
        """Whether the candidate's preconditions admit this task, and its length is not retired."""
        if self.has_retired(task.n) or self.ended[task.n] >= ENDS:
            return False
        if task.n >= self.uncompiled:
            return False
        rows = task.size * task.layout.blocks if self.candidate.takes_rows else 1
        return self.candidate.allows(task.n, rows, self.strides(task))

    def moved(self, task: Task, *, longer: int = LONGER) -> Task | None:
        """This task, or one a little longer or of more rows that the preconditions admit.

        Where there is none near, the smallest shape that was tried before; or None.
        """
        if self.suits(task):
            return task
        if not self.candidate.conditions:  # its length is retired
            return None
        far = min(longer, LONGER_APART) if task.layout.has_gaps else longer
        for n in range(task.n, task.n + far):
            rows = self._rows_near(n, task)
            if rows is not None:
                return replace(task, n=n, rows=rows)
        if longer > 1 and self.tried and task.pick is None:
            n, rows = min(self.tried, key=lambda shape: shape[0] * shape[1])
            smallest = replace(task, n=n, rows=rows)
            return smallest if self.suits(smallest) else None
        return None

    def _rows_near(self, n: int, task: Task) -> int | None:
        """As many rows as a task has, or some more, that the preconditions admit at a length."""
        free = task.pick is None and self.candidate.limits_rows
        key = (n, task.rows if free else 0, task.layout.gap, task.layout.spread)
        if key not in self._near:
            there = replace(task, n=n)
            steps = MORE_ROWS if free else (0,)
            fit = (s for s in steps if self.suits(replace(there, rows=task.rows + s)))
            self._near[key] = next(fit, None)
        step = self._near[key]
        return None if step is None else task.rows + step
