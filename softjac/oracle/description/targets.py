"""What a target names: a symbol in a library or a C source, or a Python callable."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softjac._errors import ArgumentError, CandidateError, did_you_mean, first_few
from softjac.native import _library
from softjac.oracle.description.compiler import compile_library, preprocess
from softjac.oracle.description.declaration import find
from softjac.oracle.description.roles import HasRoles
from softjac.oracle.description.suffixes import (
    LIBRARIES,
    OBJECTS,
    PYTHON,
    SOURCES,
    is_library,
    is_source,
)
from softjac.oracle.description.symbols import exported

__all__ = [
    "declaration_in",
    "declaration_like",
    "is_native",
    "library_of",
    "name_of",
    "own_kernel",
    "python_source",
    "split",
    "symbol_hint",
]

_SUFFIX_OF = {"float32": "f32", "float64": "f64", "bfloat16": "bf16", "float16": "f16"}


def split(target: str) -> tuple[str, str]:
    """A target's file or module, and the name in it."""
    file, _, name = target.rpartition(":")
    if not file or not name:
        raise CandidateError(
            f"target {target!r}: expected FILE:SYMBOL or MODULE:FUNCTION, such as libmine.so:f, "
            "kernel.c:f, package.module:f or file.py:f"
        )
    if Path(file).suffix in OBJECTS:
        raise CandidateError(
            f"{file}: expected a shared library or source; `cc -shared -o {Path(file).stem}.so "
            f"{file}` makes a library of objects that were compiled with -fPIC"
        )
    return file, name


def is_native(file: str) -> bool:
    """Whether a file's name says library or C source."""
    return is_source(file) or is_library(file)


def library_of(file: str, cflags: Sequence[str]) -> Path:
    """The shared library that a target's file is or compiles to."""
    path = _existing(file, "")
    return compile_library(path, cflags) if is_source(path) else path.absolute()


def declaration_in(header: str, symbol: str, cflags: Sequence[str]) -> str:
    """A function's declaration in a header or source."""
    return find(preprocess(_existing(header, "--header "), cflags), symbol)


def declaration_like(file: str, symbol: str) -> str:
    """A function's declaration as its own source has it, for a message; else what one is like."""
    with contextlib.suppress(CandidateError, OSError):
        if is_source(file):
            return " ".join(find(Path(file).read_text(errors="replace"), symbol).split())
    return f"void {symbol}(const float *y, ...)"


def symbol_hint(library: str, symbol: str) -> str:
    """What a library has instead of a symbol that it lacks."""
    try:
        names = exported(Path(library))
    except ArgumentError:
        return ""
    mangled = [name for name in names if name.startswith("_Z") and symbol in name]
    if mangled:
        return f'; it has {mangled[0]}: declare the function extern "C"'
    return did_you_mean(symbol, names) or f"; it has {first_few(names) or 'none'}"


def python_source(file: str, name: str, op: str) -> tuple[str, str]:
    """Where a child process imports a callable from: a module or file, and a name."""
    if (file, name) == ("softjac", "reference"):
        return "softjac", op
    if file.endswith(PYTHON):
        return str(_existing(file, "").resolve()), name
    if not all(part.isidentifier() for part in file.split(".")):
        raise CandidateError(
            f"{file}: expected a module, or a file ending in one of "
            f"{' '.join((PYTHON, *LIBRARIES, *SOURCES))}"
        )
    return file, name


def own_kernel(op: HasRoles, dtype: str) -> tuple[str, str, str]:
    """File, symbol and prototype of the project's own kernel, row strides and scale included."""
    number = {"float32": "float", "float64": "double"}.get(dtype, "uint16_t")
    arrays = [f"{number} *{role}, ptrdiff_t ld{role}" for role in (*op.takes[0], op.output)]
    scale = "double scale" if dtype == "float64" else "float scale"
    symbol = f"softjac_{op.name}_strided_{_SUFFIX_OF[dtype]}"
    parameters = ", ".join([*arrays, "size_t rows", "size_t n", scale])
    _library.load()  # says how to build it where it is not there
    return str(_library.path()), symbol, f"int {symbol}({parameters})"


def name_of(function: Any) -> str:
    """A callable's name, for reports."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None)
    return f"{module}:{name}" if module else str(name)


def _existing(file: str, option: str) -> Path:
    """A file that is there."""
    path = Path(file)
    if not path.is_file():
        raise CandidateError(f"{option}{file}: there is no such file")
    return path
