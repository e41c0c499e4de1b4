"""How long a candidate takes: measured at some lengths, predicted for longer ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Pace"]


@dataclass(slots=True)
class Pace:
    """Seconds a row takes by its length: a plain one, and the slowest seen there.

    A product that underflows costs a processor a hundred times an ordinary one, so that time
    depends on the data: a loop over all pairs of elements that takes 0.3 s on a plain row takes
    half a minute on one of small probabilities.
    """

    plain: dict[int, float] = field(default_factory=dict)
    slow: dict[int, float] = field(default_factory=dict)

    def knows(self, n: int) -> bool:
        """Whether a row of this length has been timed."""
        return n in self.plain or n in self.slow

    def note(self, n: int, seconds: float, *, plain: bool) -> None:
        """Keeps what a row took."""
        measured = self.plain if plain else self.slow
        measured[n] = max(seconds, measured.get(n, 0.0))

    def predicted(self, n: int, *, plain: bool = False) -> float:
        """Seconds a row of length n may take, from the nearest shorter one, if O(n²)."""
        seconds = _squared(self.plain, n)
        return seconds if plain else max(seconds, _squared(self.slow, n))


def _squared(measured: Mapping[int, float], n: int) -> float:
    """The time of the nearest length that is not longer, in proportion to n²."""
    nearest = max((m for m in measured if m <= n), default=None)
    return 0.0 if nearest is None else measured[nearest] * (n / max(nearest, 1)) ** 2
