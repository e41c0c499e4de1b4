"""The arrays that a Python callable returned before: overwritten later, or given again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from softjac.oracle.calls.arrays import memory_of, sample_of, shares_memory

__all__ = ["Returned"]

# The results of so many calls before are looked at again.
_WATCHED = 4

# So many are kept, lest their memory be free for new ones, and so many bytes together.
_KEPT = 16
_KEPT_BYTES = 64 << 20


class Returned:
    """What became of earlier results, asked after each call."""

    def __init__(self) -> None:
        self._watched: deque[tuple[Any, bytes]] = deque(maxlen=_WATCHED)
        self._kept: deque[np.ndarray[Any, Any]] = deque(maxlen=_KEPT)

    def take(self, result: Any, given: Sequence[Any]) -> str:
        """Keep a call's result and say what the call did to an earlier one, or "".

        An array that only can be read may be given as often as one likes.
        """
        fault = ""
        if any(sample_of(array) != sample for array, sample in self._watched):
            self._watched.clear()
            fault = "the array returned before was overwritten"
        sample = sample_of(result)
        # an array that is an input is refilled for the next call, which says nothing
        if sample is None or any(shares_memory(result, one) for one in given):
            return fault
        self._watched.append((result, sample))
        memory = memory_of(result)
        if memory is None or not memory.flags.writeable:
            return fault
        if any(np.shares_memory(memory, earlier) for earlier in self._kept):
            fault = fault or "the array returned before was returned again"
        self._kept.append(memory)
        while sum(earlier.nbytes for earlier in self._kept) > _KEPT_BYTES:
            self._kept.popleft()
        return fault
