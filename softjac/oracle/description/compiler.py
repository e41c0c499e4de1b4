"""C and C++ sources become shared libraries, kept in a cache between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from softjac._errors import CandidateError
from softjac.oracle import cache

__all__ = ["compile_library", "preprocess"]

_FLAGS = ("-O2", "-shared", "-fPIC")
_SECONDS = 300.0


def compile_library(source: Path, cflags: Sequence[str] = ()) -> Path:
    """The shared library a source file compiles to.

    The cache's key is the preprocessed text with all its macros, so that changed headers, flags
    and compilers all count; `-march=native` counts by what it means on this machine.

    Args:
        source: a C or C++ file.
        cflags: flags after `-O2 -shared -fPIC`.

    Raises:
        CandidateError: no compiler, or it reports errors: the first of them are in the message.
    """
    compiler = _compiler(source)
    key = hashlib.sha256()
    for text in (*compiler, *_FLAGS, *cflags, str(source.resolve()), sys.platform):
        key.update(text.encode() + b"\0")
    key.update(_run([*compiler, *cflags, "-E", "-dD", str(source)], source).encode())
    library = cache.folder("candidates") / key.hexdigest()[:32] / f"{source.stem}.so"
    if not library.is_file():
        library.parent.mkdir(parents=True, exist_ok=True)
        part = library.with_name(f"{os.getpid()}-{threading.get_ident()}.part")
        try:
            _run([*compiler, *_FLAGS, *cflags, str(source), "-o", str(part), "-lm"], source)
            part.replace(library)
        finally:
            part.unlink(missing_ok=True)
    return library


def preprocess(header: Path, cflags: Sequence[str] = ()) -> str:
    """A C header's text after the preprocessor; as it is where there is no compiler."""
    text = header.read_text(errors="replace")
    with contextlib.suppress(CandidateError):
        command = [*_command("CC", "cc"), *cflags, "-E", "-P", "-x", "c", str(header)]
        return _run(command, header)
    return text


def _compiler(source: Path) -> list[str]:
    """The command that compiles a file."""
    return _command("CC", "cc") if source.suffix == ".c" else _command("CXX", "c++")


def _command(variable: str, default: str) -> list[str]:
    """A compiler as the environment names it."""
    return shlex.split(os.environ.get(variable, "")) or [default]


def _run(command: Sequence[str], source: Path) -> str:
    """What a compiler prints; its first errors become the exception's message."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise CandidateError(
            f"{source} needs a compiler, and {command[0]} is not there: install one, or name it in "
            f"{'CC' if source.suffix in ('.c', '.h') else 'CXX'}"
        ) from None
    except subprocess.TimeoutExpired:
        raise CandidateError(f"{source}: {command[0]} takes more than {_SECONDS:g} s") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line]
        shown = "; ".join(lines[:3] or done.stderr.splitlines()[-3:] or ["no message"])
        raise CandidateError(f"{source} does not compile with {shlex.join(command[:1])}: {shown}")
    return done.stdout
