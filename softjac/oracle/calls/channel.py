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

__all__ = ["Channel", "ChildLostError", "GarbledError", "footprint", "shared_file"]

_MARK = b"softjac:"
_HEADER = struct.Struct("=8sQ")
_JOINED = 1 << 16  # bytes of a message up to which copying it costs less than sending twice


class ChildLostError(Exception):
    """The child does not answer any more: it ended, or closed the channel."""


class GarbledError(ChildLostError):
    """What comes through the channel is no message of ours: the candidate writes to it, too."""


class Channel:
    """Pickled messages over a socket, each after a mark and its length."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._come = bytearray()

    def send(self, message: object) -> None:
        """Sends one message; raises ChildLostError where nobody listens."""
        body = pickle.dumps(message, protocol=5)
        head = _HEADER.pack(_MARK, len(body))
        try:
            for part in (head, body) if len(body) > _JOINED else (head + body,):
                self._socket.sendall(part)
        except OSError as error:
            raise ChildLostError(str(error)) from error

    def receive(self) -> Any:
        """Waits for one message; raises ChildLostError at the channel's end."""
        while (message := self._whole()) is None:
            self._read(0)
        return message

    def arrived(self) -> Any:
        """The next message if all of it has come, else None; it never waits.

        It raises ChildLostError at the channel's end, and GarbledError for anything else.
        """
        message = self._whole()
        if message is None:
            with contextlib.suppress(BlockingIOError):
                self._read(socket.MSG_DONTWAIT)
            message = self._whole()
        return message

    def is_readable(self, seconds: float) -> bool:
        """Waits at most so long for something to read (the channel's end counts)."""
        if self._end() is not None:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def has_message(self) -> bool:
        """Whether something but the channel's end can be read at once."""
        if self._come:
            return True
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()

    def _read(self, flags: int) -> None:
        """Reads some of what has come."""
        try:
            part = self._socket.recv(1 << 20, flags)
        except BlockingIOError:
            raise
        except OSError as error:
            raise ChildLostError(str(error)) from error
        if not part:
            raise ChildLostError("the channel was closed")
        self._come += part

    def _end(self) -> int | None:
        """Where the first message of what was read ends, if all of it has come."""
        if len(self._come) < _HEADER.size:
            return None
        end = _HEADER.size + int(_HEADER.unpack_from(self._come)[1])
        return end if len(self._come) >= end else None

    def _whole(self) -> Any:
        """The first message of what was read, or None where some of it is still to come."""
        if not _MARK.startswith(self._come[: len(_MARK)]):
            raise GarbledError("no message of ours")
        end = self._end()
        if end is None:
            return None
        try:
            with memoryview(self._come) as come, come[_HEADER.size : end] as body:
                return pickle.loads(body)
        except Exception as error:  # a child that damaged its memory may send anything
            raise GarbledError(f"unreadable message: {error}") from error
        finally:
            del self._come[:end]


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
