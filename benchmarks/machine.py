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


# The arrays of one shape begin at different places of a 4 KB page: a load whose address agrees in
# the last 12 bits with that of a store under way waits for it, in a limit as in a kernel.
PAGE = 4096
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def aligned(count: int, place: int = 0) -> Array:
    """Zeros that begin at `place` of a page, a multiple of 256: NumPy's own 16 double the times."""
    memory = np.zeros(count + PAGE // 2, np.float32)
    start = (place - memory.ctypes.data) % PAGE // 4
    return memory[start : start + count]


def repeats(first: float, count: int) -> int:
    """Calls in a row: 10^4 up to 64 KB, else some milliseconds; a slow callee gets fewer."""
    most = 10_000 if count * 4 <= 1 << 16 else 2_000
    return max(1, min(most, int((40e6 if most == 10_000 else 4e6) / max(first, 1.0))))


def timed(function: Any, arrays: list[Array], rows: int, n: int, count: int | None = None) -> Any:
    """A callable that gives the nanoseconds of one call of a C function, timed in a C loop."""
    lib = library()
    loop = lib.time_two if len(arrays) == 3 else lib.time_one
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    sizes = [ctypes.c_size_t(rows), ctypes.c_size_t(n)]
    pointer = ctypes.cast(function, ctypes.c_void_p)

    def run(times: int) -> float:
        return float(loop(pointer, *pointers, *sizes, ctypes.c_int(times)))

    chosen = repeats(run(1), rows * n if count is None else count)
    # The arrays are named here, or they would be gone when it is called.
    return lambda _kept=arrays: run(chosen)


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


def use_cores(count: int) -> None:
    """Hold all threads of this process, XLA's too, to the first `count` cores."""
    if hasattr(os, "sched_setaffinity"):
        cores = set(sorted(CORES)[:count])
        for thread in Path("/proc/self/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


def description() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if "model name" in line), model)
    return {"processor": model, "cores": os.cpu_count(), "python": platform.python_version()}
