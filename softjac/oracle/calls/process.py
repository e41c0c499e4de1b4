"""A child process that runs candidates: its start, its messages, its end."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softjac._errors import SandboxError
from softjac.oracle.calls.channel import Channel, ChildLostError, GarbledError
from softjac.oracle.calls.guard import signal_name

if TYPE_CHECKING:
    from softjac.oracle.calls.call import Outcome

__all__ = [
    "FRESH",
    "FRESH_BYTE",
    "PRELOAD",
    "ChildProcess",
    "Patience",
    "death",
]

# What candidates find in memory that nobody has written: of glibc, this in every byte.
FRESH_BYTE = 0x7B
FRESH = {"MALLOC_PERTURB_": str(0xFF ^ FRESH_BYTE)}
PRELOAD = "LD_PRELOAD"

_TICK = 0.05
_END_SECONDS = 5.0
_STACK_TICKS = 20
_LOOKED_AT_BYTES, _TOLD_CHARACTERS = 1 << 16, 400
_IDLE_SECONDS = 1.0  # longer than a process waits for a processor
_FATAL = frozenset(("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"))


class Patience:
    """How long to wait for something: a time limit that a busy machine does not shorten.

    It is over after `timeout` seconds of which most were used, or the last of which were slept
    through; who waits for a processor gets up to five times as long. Of several threads each may
    use as much.
    """

    def __init__(self, timeout: float, work_done: Callable[[], float], *, threads: int = 1) -> None:
        self._timeout = timeout
        self._most = timeout * threads
        self._work_done = work_done
        self._since = self._looked = time.monotonic()
        self._begin = self._last = work_done()
        self._idle = 0.0

    def is_over(self) -> bool:
        """Whether the time is up; asked again and again."""
        now, work = time.monotonic(), self._work_done()
        if work > self._last:
            self._idle = 0.0
        else:
            self._idle += now - self._looked
        self._last, self._looked = work, now
        waited = now - self._since
        if waited <= self._timeout:
            return False
        used = work - self._begin
        return not used < 0.7 * self._most or self._idle > _IDLE_SECONDS or waited > 5 * self._most


class ChildProcess:
    """A module of ours in a process group of its own; what it prints is kept apart.

    has_faulted is for the owner: whether a call of this child was broken off, so that locks and
    buffers of the candidate may be in disorder.
    """

    def __init__(
        self,
        module: str,
        setup: object,
        *,
        flags: Sequence[str] = (),
        descriptors: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        if sys.platform == "win32":
            raise SandboxError(
                "candidates run in a POSIX child process, which Windows does not have: use WSL"
            )
        self.has_faulted = False
        self._ended = False
        self._status: int | None = None
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        ours, theirs = socket.socketpair()
        package = str(Path(__file__).resolve().parents[3])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-P", *flags, "-m", module, str(theirs.fileno())]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno(), *descriptors],
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(environment or {})},
            )
        self._channel = Channel(ours)
        with contextlib.suppress(ChildLostError):
            self._channel.send(setup)

    def send(self, message: object) -> None:
        """Sends a message; raises ChildLostError where the child is gone."""
        self._channel.send(message)

    def wait(
        self,
        timeout: float,
        ticks: Callable[[], int] = lambda: 0,
        notice: Callable[[int], None] | None = None,
        threads: int = 1,
    ) -> Any:
        """The child's next message.

        Raises TimeoutError when `ticks` has not grown for `timeout` seconds, and ChildLostError
        when the child ends. `notice` is told of the ticks now and then; `threads` is how many of
        the child's share the processors.
        """
        seen, patience = ticks(), Patience(timeout, self._work_done, threads=threads)
        while True:
            if self._channel.is_readable(_TICK):
                try:
                    message = self._channel.arrived()
                except GarbledError:
                    raise
                except ChildLostError:  # it is about to end, or goes on without a channel
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        self._process.wait(_TICK)
                else:
                    if message is not None:
                        return message
            if self._process.poll() is not None and not self._channel.has_message():
                raise ChildLostError("the process ended")
            present = ticks()
            if present > seen:
                seen, patience = present, Patience(timeout, self._work_done, threads=threads)
                if notice is not None:
                    notice(present)
            elif patience.is_over():
                raise TimeoutError

    def _work_done(self) -> float:
        """Processor seconds the child has used; infinite where the system does not tell."""
        try:
            fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return math.inf
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def is_alive(self) -> bool:
        """Whether the process runs and waits for a message."""
        return self._process.poll() is None and not self._channel.is_readable(0)

    def end(self, *, seconds: float = _END_SECONDS) -> int | None:
        """Ends the whole process group; the exit status the process had found by itself, if any.

        As in `subprocess`: negative for a signal, None where it had to be killed. A process that
        has closed its channel is about to end, and gets so many seconds to do so.
        """
        if self._ended:
            return self._status
        self._ended = True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds if self._channel.is_readable(0) else 0)
        self._status = self._process.poll()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._channel.close()
        return self._status

    def stack(self) -> str:
        """The stacks of Python, of a child that has `faulthandler` print them at SIGUSR1."""
        file, last = self._output.fileno(), -1  # whose place the child shares: no seeking
        before = size = os.fstat(file).st_size
        self._process.send_signal(signal.SIGUSR1)
        for _ in range(_STACK_TICKS):
            time.sleep(_TICK)
            size = os.fstat(file).st_size
            if before < size == last:
                break
            last = size
        return os.pread(file, size - before, before).decode(errors="replace")

    def printed(self) -> str:
        """The end of what the child printed: its last few lines, each once."""
        size = self._output.seek(0, os.SEEK_END)
        self._output.seek(max(0, size - _LOOKED_AT_BYTES))
        text = self._output.read().decode(errors="replace").strip()
        lines = list(dict.fromkeys(line.strip() for line in text.splitlines()))
        while len(lines) > 1 and sum(map(len, lines)) > _TOLD_CHARACTERS:
            lines.pop(0)
        return "; ".join(lines)[-_TOLD_CHARACTERS:]

    def close(self) -> None:
        """Ends the process and drops what it printed."""
        self.end()
        self._output.close()


def death(child: ChildProcess) -> Outcome:
    """What ended a child, from its exit status."""
    from softjac.oracle.calls.call import Fault, Outcome  # NumPy, which the child does without

    status = child.end()
    printed = child.printed()
    words = f"; it printed: {printed}" if printed else ""
    if status is None:
        return Outcome("lost", message=f"the process stopped answering{words}")
    if status >= 0:
        return Outcome("exit", message=f"the process ended with exit status {status}{words}")
    name = signal_name(-status)
    if name in _FATAL:
        return Outcome("fault", fault=Fault(name), message=f"the process ended by {name}{words}")
    return Outcome("exit", message=f"the process ended by {name}{words}")
