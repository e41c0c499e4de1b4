"""The machine's own limits: machine.c, compiled for this processor and called on float32 arrays."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

SOURCE = Path(__file__).with_name("machine.c")
Array = np.ndarray[Any, np.dtype[np.float32]]


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled loops and limits."""
    folder = Path(tempfile.mkdtemp(prefix="softjac-bench-"))
    target = folder / "machine.so"
    compiler = os.environ.get("CC", "cc")
    flags = ["-O3", "-march=native", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, SOURCE, "-o", target], check=True)
    lib = ctypes.CDLL(str(target))
    lib.time_one.restype = lib.time_two.restype = ctypes.c_double
    return lib


def aligned(count: int) -> Array:
    """Zeros that begin at a multiple of 256 bytes: NumPy's own 16 double the times in cache."""
    memory = np.zeros(count + 64, np.float32)
    start = -memory.ctypes.data % 256 // 4
    return memory[start : start + count]


def repeats(count: int) -> int:
    """Calls in a row: 10^4 up to 64 KB, fewer beyond, so that one timing takes milliseconds."""
    return min(10_000, max(1, 16_000_000 // (count + 100)))


def timed(function: Any, arrays: list[Array], rows: int, n: int) -> Any:
    """A callable that gives the nanoseconds of one call of a C function, timed in a C loop."""
    lib = library()
    loop = lib.time_two if len(arrays) == 3 else lib.time_one
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    sizes = [ctypes.c_size_t(rows), ctypes.c_size_t(n)]
    count = ctypes.c_int(repeats(rows * n))
    pointer = ctypes.cast(function, ctypes.c_void_p)
    return lambda: float(loop(pointer, *pointers, *sizes, count))


def limits(x: Array, dy: Array, out: Array, rows: int, n: int) -> dict[str, Any]:
    """The limits by name, as `timed` gives them."""
    lib = library()
    found = {
        "limit copy": timed(lib.limit_copy, [x, out], rows, n),
        "limit copy streaming": timed(lib.limit_copy_stream, [x, out], rows, n),
        "limit a+3b": timed(lib.limit_triad, [x, dy, out], rows, n),
        "limit a+3b streaming": timed(lib.limit_triad_stream, [x, dy, out], rows, n),
    }
    if n * 4 > 1 << 20:
        found["limit one more read"] = timed(lib.limit_read, [x, aligned(1)], rows, n)
    return found


def description() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if "model name" in line), model)
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version()}
