"""What happened in a call beside its values: the checks pick up what is theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.calls.call import Outcome
from softjac.oracle.failure import beside

__all__ = ["fits", "incidents_of"]


def incidents_of(
    outcome: Outcome, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Iterator[tuple[str, str]]:
    """(kind, detail) of all that happened in a call that should give such an array."""
    if outcome.status == "retired":
        return
    if outcome.status != "ok":
        yield outcome.status, outcome.message
    elif outcome.output is None:
        yield "shape", outcome.message or "no array came back"
    elif not fits(outcome, shape):
        yield "shape", f"an array of shape {outcome.output.shape} came back"
    elif outcome.output.dtype != dtype:
        yield "dtype", f"{outcome.output.dtype} came back for {dtype} arguments"
    if outcome.reused:
        yield "reused", outcome.reused
    for role in outcome.changed:
        yield "changed", role
    for role, offset in outcome.outside:
        yield "outside", f"written {beside(role, offset)}"
    for what in outcome.environment:
        yield "environment", what


def fits(outcome: Outcome, shape: tuple[int, ...]) -> bool:
    """Whether an output has the shape it must have."""
    return outcome.output is not None and bool(outcome.output.shape == shape)
