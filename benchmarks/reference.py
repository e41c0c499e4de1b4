"""The reference's speed beside jax.nn's, under jit, on the same arrays.

    python benchmarks/reference.py [--rounds 15] [--write]

Value and VJP are those of `jax.nn.softmax` and `jax.nn.log_softmax`, the VJP once from the logits
(forward and backward, as training does it); the Jacobian is `softjac.softmax_jacobian` of the
result beside `jax.jacrev(jax.nn.softmax)`. Each pair is timed in turn, call by call, until the
result is there, and the ratio of the medians is given: above 1 softjac is the faster one.
--write puts the table into docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import softjac

Function = Callable[..., Any]

SHAPES = [(1, 1000), (4096, 10), (4096, 128), (1024, 1024), (64, 8192), (32, 50257)]
SIZES = (1024, 4096)


def value(function: Function) -> Function:
    """The result."""
    return jax.jit(lambda x, _dy: function(x))


def vjp(function: Function) -> Function:
    """The cotangent of the logits, from the logits on."""
    return jax.jit(lambda x, dy: jax.vjp(function, x)[1](dy)[0])


def seconds(pair: tuple[Function, Function], arguments: Any, rounds: int) -> tuple[float, float]:
    """Medians of both functions, timed in turn; short calls are repeated within a timing."""
    for function in pair:
        jax.block_until_ready(function(*arguments))
    start = time.perf_counter()
    jax.block_until_ready(pair[0](*arguments))
    repeats = max(1, min(200, int(2e-3 / (time.perf_counter() - start))))
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            for _ in range(repeats):
                jax.block_until_ready(pair[which](*arguments))
            times[which].append((time.perf_counter() - start) / repeats)
    return statistics.median(times[0]), statistics.median(times[1])


def rows(rounds: int) -> list[tuple[str, str, float, float]]:
    """What was timed, at which shape, with both medians."""
    rng = np.random.default_rng(0)
    found = []
    for op in ("softmax", "log_softmax"):
        ours, theirs = getattr(softjac, op), getattr(jax.nn, op)
        for name, how in (("value", value), ("VJP", vjp)):
            for shape in SHAPES:
                x, dy = (jnp.float32(rng.normal(size=shape)) for _ in range(2))
                pair = (how(ours), how(theirs))
                times = seconds(pair, (x, dy), rounds)
                found.append((f"`{op}`, {name}", f"{shape[0]} x {shape[1]}", *times))
                print(*found[-1], f"{times[1] / times[0]:.2f}", flush=True)
    jacobians = (
        jax.jit(lambda x: softjac.softmax_jacobian(softjac.softmax(x))),
        jax.jit(jax.jacrev(jax.nn.softmax)),
    )
    for n in SIZES:
        x = jnp.float32(rng.normal(size=n))
        found.append(("Jacobian", f"{n} x {n}", *seconds(jacobians, (x,), rounds)))
        print(*found[-1], f"{found[-1][3] / found[-1][2]:.2f}", flush=True)
    return found


def geometric_mean(ratios: list[float]) -> float:
    """The mean of ratios."""
    return math.exp(statistics.fmean(map(math.log, ratios)))


def table(found: list[tuple[str, str, float, float]]) -> str:
    """The table in Markdown, with a mean for each of value, VJP and both."""
    lines = ["| what | shape | softjac | jax.nn | times as fast |", "|---|---|--:|--:|--:|"]
    for name, shape, ours, theirs in found:
        lines.append(
            f"| {name} | {shape} | {ours * 1e6:.4g} µs | {theirs * 1e6:.4g} µs "
            f"| {theirs / ours:.2f} |"
        )
    for title, part in (("value", ("value",)), ("VJP", ("VJP",)), ("both", ("value", "VJP"))):
        mean = geometric_mean([b / a for name, _, a, b in found if name.endswith(part)])
        lines.append(f"| geometric mean, {title} | | | | {mean:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/accuracy.md")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    text = table(rows(options.rounds))
    print(text)
    if options.write:
        page = Path(__file__).parent.parent / "docs" / "accuracy.md"
        begin, end = "<!-- speed -->", "<!-- end of speed -->"
        head, _, rest = page.read_text("utf-8").partition(begin)
        tail = rest.partition(end)[2]
        version = f"jax {importlib.metadata.version('jax')}, float32, {os.cpu_count()} cores"
        page.write_text(f"{head}{begin}\n\n{text}\n\n{version}.\n\n{end}{tail}", "utf-8")


if __name__ == "__main__":
    main()
