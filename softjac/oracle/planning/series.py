"""Calls one after another, but for those that hangs among them show to be a waste of time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from softjac.oracle.calls.call import Call, Outcome
from softjac.oracle.planning.shapes import Shapes

__all__ = ["RETIRED", "outcomes_of"]

RETIRED = Outcome("retired", message="calls of such a length hang")


def outcomes_of(
    calls: Sequence[Call], sandbox: Any, shapes: Shapes, timeout: float
) -> list[Outcome]:
    """One outcome each; after a hang only those calls are made whose length `shapes` still has."""
    outcomes = [RETIRED] * len(calls)
    left = list(range(len(calls)))
    while left:
        made = sandbox.run([calls[place] for place in left], past_hangs=False)
        for place, outcome in zip(left, made, strict=False):
            outcomes[place] = outcome
        last, left = left[len(made) - 1], left[len(made) :]
        if made[-1].status == "hang":
            shapes.note(calls[last].n, made[-1], timeout)
            left = [place for place in left if not shapes.has_retired(calls[place].n)]
    return outcomes
