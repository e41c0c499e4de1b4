"""The functions of hostile.c in a sandbox, and calls whose answers are known."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from softjac.oracle.calls.call import Call, Outcome
from softjac.oracle.candidate import Candidate, load, open_sandbox
from softjac.oracle.sandbox import Sandbox

Array = np.ndarray[Any, np.dtype[Any]]
HERE = Path(__file__).parent
ON_X86 = platform.machine() == "x86_64"


@functools.cache
def hostile(name: str) -> Candidate:
    """A function of hostile.c, which misbehaves at n = 5 alone."""
    prototype = f"int {name}(const float *y, const float *dy, float *dx, size_t rows, size_t n)"
    return load(f"{HERE / 'hostile.c'}:{name}", op="softmax_vjp", prototype=prototype)


@contextmanager
def opened(name: str, timeout: float = 10.0) -> Iterator[Sandbox]:
    """A sandbox with that function in it."""
    with open_sandbox(hostile(name), timeout=timeout) as sandbox:
        yield sandbox


def call(n: int, rows: int = 2, seed: int = 0, **options: Any) -> Call:
    """A call with inputs that follow from its size and seed."""
    random = np.random.default_rng([n, rows, seed])
    y, dy = random.random((2, rows, n)).astype(np.float32)
    return Call({"y": y, "dy": dy}, rows, n, **options)


def right(one: Call) -> Array:
    """What the candidate should give."""
    y, dy = (one.inputs[role].astype(np.float64) for role in ("y", "dy"))
    return (y * (dy - (y * dy).sum(1, keepdims=True))).astype(np.float32)


def is_right(one: Call, output: Array | None) -> bool:
    """Whether an output is that."""
    return output is not None and np.allclose(output, right(one), rtol=1e-5, atol=1e-6)


def is_clean(outcome: Outcome) -> bool:
    """Whether the call left everything else as it was."""
    return outcome.changed == outcome.outside == outcome.environment == ()


def blamed(name: str, timeout: float = 10.0) -> Any:
    """The outcome of the one call that does harm, after checking that the others are right."""
    calls = [call(n) for n in (4, 6, 5, 7, 8)]
    with opened(name, timeout) as sandbox:
        outcomes = sandbox.run(calls)
    for one, outcome in zip(calls, outcomes, strict=True):
        if one.n != 5:
            assert outcome.status == "ok"
            assert is_right(one, outcome.output)
            assert is_clean(outcome)
    return outcomes[2]
