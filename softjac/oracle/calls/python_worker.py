"""The child process for a Python callable: imports it, and calls it as it is told.

Started as `python -m softjac.oracle.calls.python_worker DESCRIPTOR`.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

from softjac._errors import did_you_mean, first_few
from softjac.oracle.calls.channel import Channel
from softjac.oracle.calls.worker import RefusedError, serve

__all__: list[str] = []


class _NameMissingError(Exception):
    """The candidate's module was imported, and has no such name."""


class _Python:
    """Calls a Python callable."""

    def __init__(self, channel: Channel, source: tuple[str, str], path: list[str]) -> None:
        self._channel = channel
        faulthandler.register(signal.SIGUSR1, all_threads=True)  # `ChildProcess.stack` asks
        sys.path[:] = path
        warnings.simplefilter("ignore")  # the candidate's own affair
        try:
            self._function = _import(*source)
        except _NameMissingError as missing:
            raise RefusedError("candidate", str(missing)) from None
        except Exception as error:
            reason = f"cannot be imported: {type(error).__name__}: {error}{_line_of(error)}"
            raise RefusedError("candidate", reason) from None
        except SystemExit as error:
            raise RefusedError("candidate", f"importing it exits: {error}") from None
        if not callable(self._function):
            kind = type(self._function).__name__
            raise RefusedError("candidate", f"is of type {kind}, not a callable")

    def serve(self) -> None:
        """Tells the parameters, takes a plan, then answers (command, its arguments)."""
        # After the candidate, which may set what NumPy reads when it is loaded.
        from softjac.oracle.calls import interleaved, python_call
        from softjac.oracle.description import signature

        send = self._channel.send
        send(("ready", signature.describe(self._function)))
        plan, library, tries = self._channel.receive()
        caller = python_call.Caller(self._function, plan, Path(library))
        send(("ready", caller.settle(tries=tries)))
        works: dict[str, Any] = {
            "threads": python_call.call_together,
            "interleaved": interleaved.call_interleaved,
            "soak": python_call.soak,
        }
        while True:
            command, *arguments = self._channel.receive()
            if command == "run":
                for call in arguments[0]:
                    send(("answer", caller.make(call)))
            else:
                for answer in works[command](caller, *arguments):
                    send(("alive" if answer is None else "answer", answer))


def _import(module: str, name: str) -> Any:
    """An object by the module or file it is in, and its name there, dots allowed."""
    if module.endswith(".py"):
        file = Path(module).resolve()
        sys.path.insert(0, str(file.parent))
        specification = importlib.util.spec_from_file_location(f"candidate_{file.stem}", file)
        assert specification is not None
        assert specification.loader is not None
        loaded = importlib.util.module_from_spec(specification)
        sys.modules[specification.name] = loaded
        specification.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(module)
    found: Any = loaded
    for part in name.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, dir(found)) or f"; it has {_functions_of(found)}"
            raise _NameMissingError(f"there is no {part}{hint}")
        found = getattr(found, part)
    return found


def _functions_of(loaded: Any) -> str:
    """The names of the first few functions of a module."""
    found = getattr(loaded, "__dict__", {}).items()
    names = [name for name, value in found if callable(value) and not name.startswith("_")]
    return first_few(names) or "no functions"


def _line_of(error: Exception) -> str:
    """Where in the candidate's module its import failed; nothing where the error says so itself."""
    if isinstance(error, SyntaxError):
        return ""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.name == "<module>"]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""


if __name__ == "__main__":
    serve(_Python)
