"""Callables on NumPy arrays, most of which misbehave."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import sys
import threading
import time
from typing import Any

import numpy as np

kept: list[Any] = []
buffer = np.empty((0, 0), np.float32)


def right(y: Any, dy: Any) -> Any:
    """The VJP of softmax."""
    return y * (dy - (y * dy).sum(-1, keepdims=True))


def hostile(y: Any, dy: Any) -> Any:
    """Each length has its own misbehaviour."""
    match y.shape[1]:
        case 5:
            raise ValueError("no fives")
        case 6:
            sys.exit(3)
        case 7:
            raise KeyboardInterrupt
        case 8:
            while True:
                pass
        case 10:
            return [1.0]
        case 11:
            return None
        case 12:
            os._exit(4)
        case 13:
            ctypes.string_at(0)
        case 14:
            time.sleep(1000)
    return right(y, dy)


def writes_input(y: Any, dy: Any) -> Any:
    """Computes in place, after computing."""
    result = right(y, dy)
    dy[0, 0] += 1
    return result


def reuses_output(y: Any, dy: Any) -> Any:
    """Returns one array again and again while the shape stays."""
    global buffer
    if buffer.shape != y.shape:
        buffer = np.empty_like(y)
    buffer[...] = right(y, dy)
    return buffer


def shares_buffer(y: Any, dy: Any) -> Any:
    """Goes through a buffer that all callers share, and lets others run meanwhile."""
    global buffer
    buffer = y * dy
    time.sleep(0.005)
    return buffer - y * buffer.sum(-1, keepdims=True)


def leaves_things(y: Any, dy: Any) -> Any:
    """Leaves a thread, a descriptor and memory behind."""
    event = threading.Event()
    threading.Thread(target=event.wait, daemon=True).start()
    pages = mmap.mmap(-1, 400_000)  # of the heap, a busy test process may have as much free
    pages.write(bytes(len(pages)))
    kept.append((event, os.open(os.devnull, os.O_RDONLY), pages))
    return right(y, dy)


def flushes(y: Any, dy: Any) -> Any:
    """At five classes sets flush-to-zero through the C library."""
    if y.shape[1] == 5:
        libm = ctypes.CDLL(None)
        state = (ctypes.c_uint32 * 8)()
        libm.fegetenv(state)
        if platform.machine() == "x86_64":
            state[7] |= 0x8000
        libm.fesetenv(state)
    return right(y, dy)


left: dict[str, Any] = {}
turn = threading.Lock()


def leaves_behind(y: Any, dy: Any) -> Any:
    """Leaves its sum in the module, and takes it from there at once."""
    left["sum"] = (y * dy).sum(-1, keepdims=True)
    return y * (dy - left["sum"])


def leaves_behind_in_turn(y: Any, dy: Any) -> Any:
    """The same, one caller at a time."""
    with turn:
        return leaves_behind(y, dy)


def fills_a_table_first(y: Any, dy: Any) -> Any:
    """The same, after many lines that run once."""
    if "table" not in left:
        left["table"] = []
        for number in range(500):
            left["table"].append(number)
    return leaves_behind(y, dy)


def puts_back(y: Any, dy: Any) -> Any:
    """Computes in an input, and puts back what was there."""
    kept_dy = dy.copy()
    dy -= (y * dy).sum(-1, keepdims=True)
    dx = y * dy
    dy[...] = kept_dy
    return dx


def takes_a_hundred_lines(y: Any, dy: Any) -> Any:
    """Goes through more lines than are tried one by one."""
    dx = right(y, dy)
    for _ in range(50):
        dx = dx + 0
    return dx


def imports_jax(y: Any, dy: Any) -> Any:
    """The VJP by JAX, which the first call imports."""
    import jax.numpy as jnp

    y, dy = jnp.asarray(y), jnp.asarray(dy)
    return np.asarray(y * (dy - (y * dy).sum(-1, keepdims=True)))


def imports_jax_and_widens(y: Any, dy: Any) -> Any:
    """The same, in JAX's 64-bit mode from then on."""
    import jax

    jax.config.update("jax_enable_x64", True)
    return imports_jax(y, dy)
