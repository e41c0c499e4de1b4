"""Python callables in a sandbox, and calls whose answers are known."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softjac.oracle.calls.call import Call
from softjac.oracle.candidate import load, open_sandbox
from softjac.oracle.sandbox import Sandbox

Array = np.ndarray[Any, np.dtype[Any]]
HERE = Path(__file__).parent
FILE = str(HERE / "hostile_callables.py")
JAX_FILE = str(HERE / "jax_callables.py")
TORCH_FILE = str(HERE / "torch_callables.py")
VIEWS = ("contiguous", "strided", "transposed", "reversed", "broadcast")
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


def module(file: str = FILE) -> Any:
    """A file of callables, as a module here."""
    specification = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert specification is not None
    assert specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


@contextmanager
def opened(
    target: str | Callable[..., Any], op: str = "softmax_vjp", timeout: float = 20.0, **options: Any
) -> Iterator[Sandbox]:
    """A sandbox with a callable in it."""
    with open_sandbox(load(target, op=op, **options), timeout=timeout) as sandbox:
        yield sandbox


def both(name: str, file: str = FILE) -> list[str | Callable[..., Any]]:
    """A callable by its file, for a child process, and live."""
    return [f"{file}:{name}", getattr(module(file), name)]


def call(n: int, rows: int = 2, seed: int = 0, dtype: Any = np.float32, **options: Any) -> Call:
    """A call with inputs that follow from its size and seed."""
    random = np.random.default_rng([n, rows, seed])
    y, dy = random.random((2, rows, n)).astype(dtype)
    return Call({"y": y, "dy": dy}, rows, n, **options)


def right(one: Call) -> Array:
    """What the callable should give."""
    y, dy = (one.inputs[role].astype(np.float64) for role in ("y", "dy"))
    return np.asarray(y * (dy - (y * dy).sum(1, keepdims=True)))
