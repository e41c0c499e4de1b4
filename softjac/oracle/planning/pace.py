"""How long a candidate takes, measured and predicted, and how long a check may take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Clock", "Pace"]


@dataclass(slots=True)
class Pace:
    """Seconds a row takes by its length: a plain one, and the slowest seen there.

    A product that underflows costs a processor a hundred times an ordinary one, so that time
    depends on the data: a loop over all pairs of elements that takes 0.3 s on a plain row takes
    half a minute on one of small probabilities.
    """

    plain: dict[int, float] = field(default_factory=dict)
    slow: dict[int, float] = field(default_factory=dict)

    def note(self, n: int, seconds: float, *, plain: bool) -> None:
        """Keeps what a row took."""
        measured = self.plain if plain else self.slow
        measured[n] = max(seconds, measured.get(n, 0.0))

    def predicted(self, n: int, *, plain: bool = False) -> float:
        """Seconds a row of length n may take, from shorter ones, if O(n²)."""
        seconds = _squared(self.plain, n)
        return seconds if plain else max(seconds, _squared(self.slow, n))


def _squared(measured: Mapping[int, float], n: int) -> float:
    """The least of what shorter rows say, in proportion to n², and what longer rows took; else 0.

    A time can only be too long, where the process had to wait: of the shorter ones the nearest two
    are asked.
    """
    shorter = sorted(m for m in measured if m <= n)[-2:]
    times = [measured[m] * (n / max(m, 1)) ** 2 for m in shorter]
    longer = [seconds for m, seconds in measured.items() if m > n]
    return min(times + longer, default=0.0)


class Clock:
    """Counts down the processor seconds a check may take.

    What is tried does not depend on who else uses the machine, unless eight times as long passes.
    """

    def __init__(self, seconds: float) -> None:
        self._used = time.process_time()
        self._seconds = seconds
        self._end = time.perf_counter() + 8.0 * seconds

    def left(self, elsewhere: float = 0.0) -> float:
        """Seconds left, where so many were spent in another process."""
        own = self._seconds - (time.process_time() - self._used) - elsewhere
        return min(own, self._end - time.perf_counter())
