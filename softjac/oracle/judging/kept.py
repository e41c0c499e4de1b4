"""Which batches that passed are kept: enough to tell mistakes apart, few enough to stay quick."""

from __future__ import annotations

from softjac.oracle.failure import Batch

__all__ = ["LARGE", "keep"]

# The first ones, and some of every length and family.
FIRST, KEPT, KEPT_ALIKE = 60, 120, 3

# Elements past which none is kept.
LARGE = 100_000


def keep(passed: list[Batch], batch: Batch) -> None:
    """Adds a judged batch to those that have passed, if it is one of them and worth it."""
    if batch.failed().any() or not batch.ok.any() or batch.got.size > LARGE:
        return
    if len(passed) < FIRST or (len(passed) < KEPT and _is_rare(passed, batch)):
        passed.append(batch)


def _is_rare(passed: list[Batch], batch: Batch) -> bool:
    """Whether few batches like this one are kept."""
    kind = _kind(batch)
    return sum(_kind(other) == kind for other in passed) < KEPT_ALIKE


def _kind(batch: Batch) -> tuple[int, str]:
    """What makes batches alike: about the same length, and the same family of rows."""
    return batch.task.n.bit_length(), batch.task.family
