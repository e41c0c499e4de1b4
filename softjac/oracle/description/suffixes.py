"""What the name of a file says of it: the only list of suffixes."""

from __future__ import annotations

from pathlib import PurePath
from typing import Final

__all__ = [
    "HEADERS",
    "LIBRARIES",
    "OBJECTS",
    "PYTHON",
    "SOURCES",
    "is_library",
    "is_source",
    "may_hold",
]

SOURCES: Final = (".c", ".cc", ".cpp", ".cxx")
HEADERS: Final = (".h", ".hh", ".hpp")
LIBRARIES: Final = (".so", ".dylib")
OBJECTS: Final = (".o", ".obj", ".a")
PYTHON: Final = ".py"


def is_source(file: str | PurePath) -> bool:
    """Whether a file is C or C++ source, which a compiler makes a library of."""
    return PurePath(file).suffix in SOURCES


def is_library(file: str | PurePath) -> bool:
    """Whether a file is a shared library; `libmine.so.1.2` is one, too.

    Example:
        >>> is_library("libmine.so.1.2"), is_library("libmine.py")
        (True, False)
    """
    suffixes = PurePath(file).suffixes or [""]
    return suffixes[-1] in LIBRARIES or (".so" in suffixes and suffixes[-1] != PYTHON)


def may_hold(file: str | PurePath) -> bool:
    """Whether a candidate can be in such a file: library, source or Python."""
    return is_source(file) or is_library(file) or PurePath(file).suffix == PYTHON
