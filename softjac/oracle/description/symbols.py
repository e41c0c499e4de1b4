"""The functions that a shared library exports, by the `nm` that comes with every compiler."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from softjac._errors import ArgumentError

__all__ = ["exported"]

# nm's letters for functions: defined, weak, and chosen when the library is loaded (ifunc).
FUNCTIONS = ("T", "W", "i")


def exported(library: Path) -> list[str]:
    """The names of a library's functions.

    Raises:
        ArgumentError: there is no nm, or it cannot read the file.
    """
    if shutil.which("nm") is None:
        raise ArgumentError(f"cannot list the symbols of {library}: nm is not installed")
    darwin = sys.platform == "darwin"
    flags = ["-gU"] if darwin else ["-D", "--defined-only"]
    listed = subprocess.run(["nm", *flags, str(library)], capture_output=True, text=True)
    if listed.returncode != 0:
        reason = listed.stderr.strip().removeprefix("nm: ").removeprefix(f"{library}: ")
        raise ArgumentError(f"cannot list the symbols of {library}: {reason}")
    lines = [line.split() for line in listed.stdout.splitlines()]
    names = [line[-1] for line in lines if len(line) > 1 and line[-2] in FUNCTIONS]
    # There, and only there, a C compiler puts an underscore before every name.
    return [name.removeprefix("_") for name in names] if darwin else names
