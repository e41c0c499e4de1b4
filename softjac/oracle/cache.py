"""Where compiled programs are kept between runs: C candidates, and what XLA makes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

from softjac._errors import CandidateError

__all__ = ["folder", "is_quiet", "processor", "xla"]

# JAX keeps all it compiles, however small and quickly compiled.
_EVERYTHING = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def folder(name: str) -> Path:
    """A folder that is kept; a temporary one where the home cannot be written.

    Raises:
        CandidateError: the temporary folder is somebody else's.
    """
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        found = home / "softjac" / name
        found.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=found):
            return found
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        ours = Path(tempfile.gettempdir()) / f"softjac-{os.getuid()}"
        ours.mkdir(mode=0o700, exist_ok=True)
        if ours.stat().st_uid != os.getuid():
            raise CandidateError(f"{ours} belongs to somebody else: set XDG_CACHE_HOME") from None
        found = ours / name
        found.mkdir(exist_ok=True)
        return found


def is_quiet() -> bool:
    """Whether XLA says nothing of a program that was kept: two long lines before jax 0.10.2."""
    numbers = tuple(int(part) for part in version("jax").split(".")[:3] if part.isdecimal())
    return numbers >= (0, 10, 2)


def xla() -> dict[str, str]:
    """Environment variables by which JAX in a child process keeps what XLA compiles.

    Empty where the caller has named a folder of his own, or XLA would speak of each program.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or not is_quiet():
        return {}
    return {"JAX_COMPILATION_CACHE_DIR": str(folder("xla") / processor()), **_EVERYTHING}


def processor() -> str:
    """A name for this kind of processor: a home may be shared, and JAX does not tell them apart.

    Elsewhere a program for a wider instruction set ends its process, as if the candidate did.
    """
    told = [platform.machine()]
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open() as file:
        first = file.read(1 << 14).split("\n\n")[0].splitlines()
        told += [line for line in first if line.startswith(("model name", "flags", "Features"))]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
