"""Batches whose judgement is awaited while other calls run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from softjac.oracle.failure import Batch, deal
from softjac.oracle.judging.fit import Judged

__all__ = ["Awaited"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Awaited:
    """Batches that are being judged, and who takes each when it is.

    groups: those of one length and scale, which are judged at once.
    """

    batches: Sequence[Batch]
    groups: list[tuple[list[Batch], Future[tuple[Array | None, Judged]]]]
    take: Callable[[Batch], object]

    @property
    def size(self) -> int:
        """Elements in all."""
        return sum(batch.got.size for batch in self.batches)

    @property
    def is_done(self) -> bool:
        """Whether all verdicts are there."""
        return all(judgement.done() for _, judgement in self.groups)

    def finish(self) -> None:
        """Waits for the verdicts, and gives each batch its own."""
        for group, judgement in self.groups:
            deal(group, *judgement.result())
