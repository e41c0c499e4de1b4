"""What a parent and its child share: messages, memory, and what a process takes up.

A child starts in 25 ms where all it imports is this; `subprocess` and `pathlib` would double that.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import select
import socket
import struct
from typing import Any

__all__ = ["Channel", "ChildLostError", "footprint", "shared_file"]

_LENGTH = struct.Struct("=Q")


class ChildLostError(Exception):
    """The child does not answer any more: it ended, or closed the channel."""


class Channel:
    """Pickled messages over a socket."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def send(self, message: object) -> None:
        """Sends one message; raises ChildLostError where nobody listens."""
        body = pickle.dumps(message, protocol=5)
        try:
            self._socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise ChildLostError(str(error)) from error

    def receive(self) -> Any:
        """Waits for one message; raises ChildLostError at the channel's end."""
        (length,) = _LENGTH.unpack(self._read(_LENGTH.size))
        try:
            return pickle.loads(self._read(length))
        except ChildLostError:
            raise
        except Exception as error:  # a child that damaged its memory may send anything
            raise ChildLostError(f"unreadable message: {error}") from error

    def is_readable(self, seconds: float) -> bool:
        """Waits at most so long for something to read (the channel's end counts)."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def has_message(self) -> bool:
        """Whether something but the channel's end can be read at once."""
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()

    def _read(self, length: int) -> bytes:
        """Exactly so many bytes."""
        parts = []
        while length:
            try:
                part = self._socket.recv(min(length, 1 << 20))
            except OSError as error:
                raise ChildLostError(str(error)) from error
            if not part:
                raise ChildLostError("the channel was closed")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def shared_file() -> int:
    """A descriptor of memory that two processes can map; it vanishes with its last user."""
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):  # not every container has it
            return os.memfd_create("softjac")
    import tempfile  # the child does without

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def footprint() -> tuple[int, int, int]:
    """Resident bytes, threads and open descriptors of this process."""
    from pathlib import Path

    process = Path("/proc/self")
    if process.is_dir():
        pages = int((process / "statm").read_text().split()[1])
        memory = pages * mmap.PAGESIZE
        threads = len(list((process / "task").iterdir()))
        return memory, threads, len(list((process / "fd").iterdir()))
    import resource  # Windows has none
    import threading

    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
    return usage, threading.active_count(), len(list(Path("/dev/fd").iterdir()))
