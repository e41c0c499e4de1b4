"""Freed memory stays with a process of ours.

Else the system gives it every page of a large array anew, which took a tenth of the time of
judging. Only glibc knows these settings; elsewhere nothing changes.
"""

from __future__ import annotations

import contextlib
import ctypes

__all__ = ["KEEPING", "keep_freed_memory"]

_MAPPED_FROM, _RETURNED_FROM = 1 << 25, 1 << 28  # bytes; the first is the most that glibc takes
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1  # of malloc.h

# The environment of a process to be started.
KEEPING = {
    "MALLOC_MMAP_THRESHOLD_": str(_MAPPED_FROM),
    "MALLOC_TRIM_THRESHOLD_": str(_RETURNED_FROM),
}


def keep_freed_memory() -> None:
    """The same for this process, and not for those that it starts."""
    with contextlib.suppress(OSError, AttributeError):
        allocator = ctypes.CDLL(None)
        allocator.mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
        allocator.mallopt(_M_TRIM_THRESHOLD, _RETURNED_FROM)
