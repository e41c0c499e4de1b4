"""Who is compared: the kernels on every ISA, from C, NumPy and jit; XLA; PyTorch; NumPy."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import machine
import numpy as np

import softjac
from softjac import native
from softjac.native import _library

try:
    import torch
except ImportError:  # the table says so
    torch = None  # type: ignore[assignment]

ISAS = ("avx512", "avx2", "portable")
UNUSUAL = ("4x1024", "1024x1024")


def start() -> None:
    """Start XLA, which counts the cores once: before the process is held to one of them."""
    jax.block_until_ready(jnp.zeros(1))


@functools.cache
def kernels(isa: str) -> Any | None:
    """A copy of the library with one ISA forced; None where the processor lacks it."""
    folder = Path(tempfile.mkdtemp(prefix="softjac-bench-"))
    copy = shutil.copy(_library.path(), folder / f"{isa}.so")
    before = os.environ.get("SOFTJAC_FORCE_ISA")
    os.environ["SOFTJAC_FORCE_ISA"] = isa
    lib = ctypes.CDLL(str(copy))
    lib.softjac_isa.restype = ctypes.c_char_p
    found = lib.softjac_isa()
    if before is None:
        del os.environ["SOFTJAC_FORCE_ISA"]
    else:
        os.environ["SOFTJAC_FORCE_ISA"] = before
    return lib if found else None


def in_python(call: Any, count: int) -> Any:
    """A callable that gives the nanoseconds of one call made from Python.

    What takes more than a second is timed once, or it would take all of the time there is.
    """

    def run(repeats: int) -> float:
        call()  # not timed, as in the C loop
        start = time.perf_counter_ns()
        for _ in range(repeats):
            call()
        return (time.perf_counter_ns() - start) / repeats

    first = run(1)
    if first > 1e9:
        return lambda: first
    chosen = max(1, machine.repeats(first, count) // 5)
    return lambda: run(chosen)


def rows_of_kind(rows: int, n: int, kind: str) -> tuple[Any, Any]:
    """Logits and a cotangent: ordinary, with an offset cotangent, half far below, half masked."""
    rng = np.random.default_rng(0)
    x, dy = machine.aligned(rows * n), machine.aligned(rows * n, 1280)
    x[:] = rng.standard_normal(rows * n, dtype=np.float32)
    dy[:] = rng.standard_normal(rows * n, dtype=np.float32)
    if kind == "offset":
        dy += 100
    if kind == "far":
        x[1::2] -= 95
    if kind == "masked":
        x[1::2] = -np.inf
        x[0] = 0
    return x.reshape(rows, n), dy.reshape(rows, n)


def unusual(rows: int, n: int, out: Any) -> dict[str, Any]:
    """Rows that take longer in a careless kernel."""
    found = {}
    for kind in ("offset", "far", "masked"):
        x, dy = rows_of_kind(rows, n, kind)
        y = machine.aligned(rows * n).reshape(rows, n)
        native.softmax(x, out=y)
        for isa in ("avx512", "avx2"):
            lib = kernels(isa)
            if lib is None:
                continue
            lib.softjac_set_threads(1)
            calls = {"softmax_vjp": [y, dy, out]}
            if kind != "offset":
                calls |= {"softmax": [x, out], "log_softmax": [x, out]}
            for op, arrays in calls.items():
                function = getattr(lib, f"softjac_{op}_f32")
                found[f"{op} {kind} rows, softjac {isa}"] = machine.timed(function, arrays, rows, n)
    return found


def contestants(rows: int, n: int, threads: int) -> dict[str, Any]:
    """Everybody on one shape, by name "op contestant"."""
    x, dy = rows_of_kind(rows, n, "ordinary")
    count = rows * n
    y, log_y = (machine.aligned(count).reshape(rows, n) for _ in range(2))
    native.softmax(x, out=y)
    native.log_softmax(x, out=log_y)
    out = machine.aligned(count, 2560).reshape(rows, n)
    found = dict(machine.limits(x, dy, out, rows, n))
    for isa in ISAS:
        lib = kernels(isa)
        if lib is None or (isa == "portable" and count > 1 << 16):
            continue
        lib.softjac_set_threads(threads)
        for op, arrays in {
            "softmax": [x, out],
            "log_softmax": [x, out],
            "softmax_vjp": [y, dy, out],
            "log_softmax_vjp": [log_y, dy, out],
            "softmax_vjp_from_logits": [x, dy, out],
        }.items():
            function = getattr(lib, f"softjac_{op}_f32")
            found[f"{op} softjac {isa}"] = machine.timed(function, arrays, rows, n)
    native.set_threads(threads)
    found |= {
        "softmax softjac numpy out": in_python(lambda: native.softmax(x, out=out), count),
        "softmax softjac numpy": in_python(lambda: native.softmax(x), count),
        "softmax_vjp softjac numpy out": in_python(
            lambda: native.softmax_vjp(y, dy, out=out), count
        ),
        "softmax_vjp softjac numpy": in_python(lambda: native.softmax_vjp(y, dy), count),
    }
    found |= in_jit(x, y, dy, count)
    if torch is not None:
        found |= in_torch(x, y, dy, out, count, threads)
    if threads == 1:
        if f"{rows}x{n}" in UNUSUAL:
            found |= unusual(rows, n, out)
        if count < 1 << 22:
            found["softmax numpy"] = in_python(lambda: numpy_softmax(x), count)
        if torch is not None and f"{rows}x{n}" in ("4096x10", "64x10"):
            found["softmax torch avx2 out"] = narrower_torch(rows, n)
    return found


def numpy_softmax(x: Any) -> Any:
    """The usual three lines."""
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def in_jit(x: Any, y: Any, dy: Any, count: int) -> dict[str, Any]:
    """Kernels and XLA's own formulas inside jit, on the same device arrays."""
    a, b, c = jnp.asarray(x), jnp.asarray(y), jnp.asarray(dy)

    def pulled(x: Any, dy: Any) -> Any:
        return jax.vjp(jax.nn.softmax, x)[1](dy)[0]

    functions = {
        "softmax softjac jit": (jax.jit(native.softmax), (a,)),
        "softmax xla": (jax.jit(jax.nn.softmax), (a,)),
        "log_softmax softjac jit": (jax.jit(native.log_softmax), (a,)),
        "log_softmax xla": (jax.jit(jax.nn.log_softmax), (a,)),
        "softmax_vjp softjac jit": (jax.jit(native.softmax_vjp), (b, c)),
        "softmax_vjp xla reference": (jax.jit(softjac.softmax_vjp), (b, c)),
        "softmax_vjp xla textbook": (
            jax.jit(lambda y, dy: y * (dy - jnp.sum(y * dy, -1, keepdims=True))),
            (b, c),
        ),
        "softmax_vjp_from_logits softjac jit": (jax.jit(native.softmax_vjp_from_logits), (a, c)),
        "softmax_vjp_from_logits xla": (jax.jit(pulled), (a, c)),
    }

    def call(function: Any, arguments: Any) -> Any:
        return lambda: jax.block_until_ready(function(*arguments))

    return {name: in_python(call(*pair), count) for name, pair in functions.items()}


def in_torch(x: Any, y: Any, dy: Any, out: Any, count: int, threads: int) -> dict[str, Any]:
    """PyTorch with a given output, and as people call it."""
    torch.set_num_threads(threads)
    a, b, c, o = (torch.from_numpy(array) for array in (x, y, dy, out))
    aten = torch.ops.aten
    functions = {
        "softmax torch out": lambda: torch.softmax(a, -1, out=o),
        "softmax torch": lambda: torch.softmax(a, -1),
        "log_softmax torch out": lambda: torch.log_softmax(a, -1, out=o),
        "log_softmax torch": lambda: torch.log_softmax(a, -1),
        "softmax_vjp torch out": lambda: aten._softmax_backward_data.out(
            c, b, -1, torch.float32, grad_input=o
        ),
        "softmax_vjp torch": lambda: aten._softmax_backward_data(c, b, -1, torch.float32),
    }
    return {name: in_python(function, count) for name, function in functions.items()}


@functools.cache
def other_torch() -> Any:
    """PyTorch restricted to AVX2: it chooses once a process, so in one of its own."""
    return subprocess.Popen(
        [sys.executable, __file__],
        env=os.environ | {"ATEN_CPU_CAPABILITY": "avx2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def narrower_torch(rows: int, n: int) -> Any:
    """A callable that has the other process time its softmax."""

    def once() -> float:
        process = other_torch()
        print(rows, n, file=process.stdin, flush=True)
        return float(process.stdout.readline())

    return once


def serve() -> None:
    """The other process: a shape in, the nanoseconds of a softmax out."""
    torch.set_num_threads(1)
    found: dict[str, Any] = {}
    for shape in sys.stdin:
        rows, n = map(int, shape.split())
        if shape not in found:
            a = torch.from_numpy(rows_of_kind(rows, n, "ordinary")[0])
            o = torch.empty_like(a)
            found[shape] = in_python(functools.partial(torch.softmax, a, -1, out=o), rows * n)
        print(found[shape](), flush=True)


def jacobians(n: int) -> dict[str, Any]:
    """The Jacobian of one row, beside filling as much memory."""
    y = native.softmax(rows_of_kind(1, n, "ordinary")[0])
    out = machine.aligned(n * n)
    lib = machine.library()
    found = {
        "limit fill": machine.timed(lib.limit_fill, [y, out], n, n),
        "limit fill streaming": machine.timed(lib.limit_fill_stream, [y, out], n, n),
    }
    for isa in ("avx512", "avx2"):
        kernel = kernels(isa)
        if kernel is None:
            continue
        kernel.softjac_set_threads(1)
        function = kernel.softjac_softmax_jacobian_f32
        found[f"softmax_jacobian softjac {isa}"] = machine.timed(function, [y, out], 1, n, n * n)
    a = jnp.asarray(y[0])
    jacobian = jax.jit(jax.jacrev(jax.nn.softmax))
    found["softmax_jacobian xla"] = in_python(lambda: jax.block_until_ready(jacobian(a)), n * n)
    return found


def small_calls() -> dict[str, Any]:
    """One call at 1 x 8 from Python: what it costs before any arithmetic."""
    x = np.ones((1, 8), np.float32)
    out = np.empty_like(x)
    a = jnp.asarray(x)
    ours, theirs = jax.jit(native.softmax), jax.jit(jax.nn.softmax)
    found = {
        "softjac numpy, out given": in_python(lambda: native.softmax(x, out=out), 8),
        "softjac numpy": in_python(lambda: native.softmax(x), 8),
        "softjac jit": in_python(lambda: jax.block_until_ready(ours(a)), 8),
        "xla jit": in_python(lambda: jax.block_until_ready(theirs(a)), 8),
        "numpy": in_python(lambda: numpy_softmax(x), 8),
    }
    if torch is not None:
        t, o = torch.from_numpy(x), torch.from_numpy(out)
        found["torch, out given"] = in_python(lambda: torch.softmax(t, -1, out=o), 8)
    return found


if __name__ == "__main__":
    serve()
