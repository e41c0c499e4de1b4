"""Time the gallery's C kernels and the bundled one, and print ratios.

    python examples/from_the_question/benchmark.py

The kernels are compiled with $CC -O2, as softjac compiles them, and called in a loop written in
C, so that small sizes are not the time of a call from Python. Each figure is the best of the
rounds, the kernels taking turns within a round.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from cffi import FFI

from softjac import native

HERE = Path(__file__).parent
KERNELS = ("softmax_vjp_scalar", "softmax_vjp_avx", "softmax_vjp_linear")
DECLARATIONS = "double seconds(void *kernel, const float *, const float *, float *, size_t, long);"
LOOP = """
#include <stddef.h>
#include <time.h>
typedef int (*kernel_type)(const float *, const float *, float *, size_t);
double seconds(void *kernel, const float *y, const float *dy, float *dx, size_t n, long calls)
{
    struct timespec start, stop;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (long i = 0; i < calls; ++i) {
        ((kernel_type)kernel)(y, dy, dx, n);
    }
    clock_gettime(CLOCK_MONOTONIC, &stop);
    return (double)(stop.tv_sec - start.tv_sec) + 1e-9 * (double)(stop.tv_nsec - start.tv_nsec);
}
"""


def compiled(folder: Path) -> tuple[FFI, object]:
    """The gallery's kernels and the timing loop, as one library."""
    (folder / "loop.c").write_text(LOOP)
    library = folder / "gallery.so"
    sources = [HERE / "scalar.c", HERE / "avx.c", HERE / "linear.c", folder / "loop.c"]
    compiler = os.environ.get("CC", "cc").split()
    command = [*compiler, "-O2", "-shared", "-fPIC", *map(str, sources), "-o", str(library)]
    subprocess.run(command, check=True)
    ffi = FFI()
    ffi.cdef(DECLARATIONS)
    ffi.cdef("".join(f"int {name}(float *, float *, float *, size_t);" for name in KERNELS))
    return ffi, ffi.dlopen(str(library))


def python_seconds(y, dy, dx, calls: int) -> float:
    """Seconds a call of the bundled kernel, on NumPy arrays."""
    start = perf_counter()
    for _ in range(calls):
        native.softmax_vjp(y, dy, out=dx)
    return (perf_counter() - start) / calls


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        ffi, lib = compiled(Path(name))
        print("nanoseconds a call; in brackets how many times faster than the scalar kernel")
        print(f"{'n':>6}  {'scalar O(n²)':>14}  {'AVX O(n²)':>20}  {'O(n)':>20}  {'softjac':>20}")
        for n in (128, 1024, 4096):
            random = np.random.default_rng(0)
            y, dy, dx = (random.random(n, dtype=np.float32) for _ in range(3))
            y /= y.sum()
            pointers = [ffi.from_buffer("float[]", array) for array in (y, dy, dx)]
            best = dict.fromkeys((*KERNELS, "softjac"), float("inf"))
            for _ in range(rounds):
                for kernel in KERNELS:
                    linear = kernel == "softmax_vjp_linear"
                    calls = max(1, int(2e7 / (n if linear else n * n)))
                    address = ffi.cast("void *", getattr(lib, kernel))
                    spent = lib.seconds(address, *pointers, n, calls) / calls
                    best[kernel] = min(best[kernel], spent)
                best["softjac"] = min(best["softjac"], python_seconds(y, dy, dx, 2000))
            scalar = best["softmax_vjp_scalar"]
            cells = [f"{1e9 * scalar:14.0f}"]
            cells += [
                f"{1e9 * best[k]:10.0f} ({scalar / best[k]:7.1f})"
                for k in ("softmax_vjp_avx", "softmax_vjp_linear", "softjac")
            ]
            print(f"{n:>6}  " + "  ".join(cells))


if __name__ == "__main__":
    main()
