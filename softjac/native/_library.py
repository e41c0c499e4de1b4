"""The compiled library: found, opened and checked once; the only module that opens it."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from softjac._errors import ArgumentError, LibraryMissingError, SoftjacError

__all__ = ["ABI_VERSION", "check", "isa", "load", "path", "set_threads"]

ABI_VERSION = 1


def path() -> Path:
    """Where the library lies, built or not."""
    suffix = "dylib" if sys.platform == "darwin" else "so"
    return Path(__file__).with_name(f"libsoftjac.{suffix}")


@functools.cache
def load() -> tuple[Any, Any]:
    """Open the library.

    Returns:
        The cffi `ffi` and `lib` objects.

    Raises:
        LibraryMissingError: the library is not there, cannot be opened, is of another version, or
            has no kernels for the instruction set that SOFTJAC_FORCE_ISA names.
    """
    try:
        ffi = importlib.import_module("softjac.native._abi").ffi
        lib = ffi.dlopen(str(path()))
    except (ImportError, OSError) as error:
        raise LibraryMissingError(
            f"the compiled kernels cannot be loaded from {path()}: {error}. Build them with "
            "`make lib` in a checkout, or, where a C compiler and make are there, install softjac "
            "again with pip's --no-cache-dir --force-reinstall."
        ) from error
    if lib.softjac_abi_version() != ABI_VERSION:
        raise LibraryMissingError(
            f"{path()} has version {lib.softjac_abi_version()}, this softjac needs "
            f"{ABI_VERSION}: rebuild it with `make lib`."
        )
    if lib.softjac_isa() == ffi.NULL:
        status = lib.softjac_softmax_f32(ffi.NULL, ffi.NULL, 0, 0)
        raise LibraryMissingError(message(ffi, lib, status))
    lib.softjac_set_threads(available_threads())
    return ffi, lib


def available_threads() -> int:
    """The processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def message(ffi: Any, lib: Any, status: int) -> str:
    """The library's sentence for a status."""
    text: bytes = ffi.string(lib.softjac_message(status))
    return text.decode()


def check(status: int) -> None:
    """Raise what a status other than 0 means."""
    if status:
        raise SoftjacError(f"the kernel refused the call: {message(*load(), status)}")


def isa() -> str:
    """The instruction set whose kernels run: portable, avx2 or avx512.

    Returns:
        Its name. SOFTJAC_FORCE_ISA, read when the library is first used, chooses another.

    Raises:
        LibraryMissingError: the library is not built.

    Example:
        >>> isa() in ("portable", "avx2", "avx512")
        True
    """
    ffi, lib = load()
    name: bytes = ffi.string(lib.softjac_isa())
    return name.decode()


def set_threads(count: int) -> None:
    """Let a call use at most `count` threads where that pays: NumPy arrays and jit alike.

    The result has the same bits for any count. The default is the processors this process may run
    on.

    Args:
        count: the most threads, the caller's included; 1 or more.

    Raises:
        ArgumentError: count is less than 1.
        LibraryMissingError: the library is not built.

    Example:
        >>> set_threads(2)
    """
    if count < 1:
        raise ArgumentError(f"count: expected 1 or more threads, got {count}")
    load()[1].softjac_set_threads(count)
