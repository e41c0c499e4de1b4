"""How accurate softmax and its derivatives are, component by component, against proof.

    python benchmarks/accuracy.py [--write]

The same adversarial rows go through softjac, jax.nn, PyTorch and SciPy (those that are installed),
and each result is compared with an enclosure in ball arithmetic: rows, answers and the unit of the
error are those of accuracy_rows.py. --write puts the table into docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from accuracy_rows import OPS, Array, cases, error

import softjac

Function = Callable[..., Any]

# --- the libraries --------------------------------------------------------------------------------


def differentiated(op: str, softmax: Function, log_softmax: Function) -> Function:
    """An op from a forward function, through JAX's own differentiation."""
    value = log_softmax if op.startswith("log") else softmax
    if op.endswith("vjp"):
        return jax.jit(lambda x, v: jax.vjp(value, x)[1](v)[0])
    if op.endswith("jvp"):
        return jax.jit(lambda x, v: jax.jvp(value, (x,), (v,))[1])
    if op.endswith("jacobian"):
        return jax.jit(lambda x, v: jax.jacrev(value)(x))
    return jax.jit(lambda x, v: value(x))


def loss(op: str, value: Function) -> Function:
    """The cross-entropy of the class where the vector is largest, or its gradient."""

    def run(x: Any, v: Any) -> Any:
        target = jax.nn.one_hot(abs(v).argmax(), len(x), dtype=x.dtype)
        return value(x, target)

    return jax.jit(lambda x, v: run(x, v).reshape(1) if op == "cross_entropy" else run(x, v))


def softjac_loss(op: str) -> Function:
    """The cross-entropy by softjac.layers, or its cotangent."""
    pair = (softjac.layers.softmax, softjac.layers.cross_entropy)
    combine = {"cross_entropy": softjac.layers.output_loss}
    return loss(op, combine.get(op, softjac.layers.output_cotangent)(*pair))


def jax_loss(op: str) -> Function:
    """The cross-entropy as it is written with jax.nn, or its gradient by JAX."""

    def value(x: Any, target: Any) -> Any:
        return -(target * jax.nn.log_softmax(x)).sum(where=target > 0)

    return loss(op, value if op == "cross_entropy" else jax.grad(value))


def from_the_result(op: str) -> Function:
    """A derivative through the closed form, which is given the forward function's result."""
    value = softjac.log_softmax if op.startswith("log") else softjac.softmax
    closed_form = getattr(softjac, op)
    if op.endswith("jacobian"):
        return jax.jit(lambda x, v: closed_form(value(x)))
    return jax.jit(lambda x, v: closed_form(value(x), v))


def torch_function(op: str) -> Function:
    """An op through PyTorch's functions and its automatic differentiation."""
    import torch

    value = torch.log_softmax if op.startswith("log") else torch.softmax

    def run(x: Array, v: Array) -> Array:
        kind = getattr(torch, x.dtype.name)
        logits, vector = (torch.from_numpy(a.astype(np.float64)).to(kind) for a in (x, v))
        if op.startswith("cross_entropy"):
            logits.requires_grad_()
            label = vector.abs().argmax()
            loss = torch.nn.functional.cross_entropy(logits, label)
            loss.backward()
            found = loss.reshape(1) if op == "cross_entropy" else logits.grad
            return found.detach().double().numpy()
        function = lambda z: value(z, -1)  # noqa: E731 - three users
        if op.endswith("vjp"):
            return torch.autograd.functional.vjp(function, logits, vector)[1].double().numpy()
        if op.endswith("jvp"):
            return torch.autograd.functional.jvp(function, logits, vector)[1].double().numpy()
        if op.endswith("jacobian"):
            return torch.autograd.functional.jacobian(function, logits).double().numpy()
        return function(logits).double().numpy()

    return run


def scipy_function(op: str) -> Function:
    """SciPy has the forward ops alone."""
    import scipy.special

    if op not in ("softmax", "log_softmax"):
        raise LookupError(op)
    return lambda x, v: getattr(scipy.special, op)(x)


@cache
def function(library: str, op: str) -> Function:
    """An op of a library, from (x, v) to the result."""
    if library == "torch":
        return torch_function(op)
    if library == "scipy":
        return scipy_function(op)
    if op.startswith("cross_entropy"):
        return jax_loss(op) if library == "jax.nn" else softjac_loss(op)
    if library == "jax.nn":
        return differentiated(op, jax.nn.softmax, jax.nn.log_softmax)
    if op == "softmax_jacobian":
        return from_the_result(op)
    if (
        op == "log_softmax_jacobian"
    ):  # log-probabilities, once rounded, are p only to within u |log p|
        return jax.jit(lambda x, v: jax.jacfwd(softjac.log_softmax)(x))
    return differentiated(op, softjac.softmax, softjac.log_softmax)


# --- the table ------------------------------------------------------------------------------------

# (dtype, n): 16-bit types, too, are computed in float32.
ROWS = [
    ("float32", 10), ("float32", 1000), ("float32", 50257), ("float32", 10**6),
    ("float64", 10), ("float64", 1000), ("float64", 50257), ("float64", 10**6),
    ("bfloat16", 10), ("bfloat16", 1000), ("float16", 10), ("float16", 1000),
]  # fmt: skip
# Of the long rows those that a sum can spoil.
LONG = ("uniform x spike at the top", "dominant x normal", "normal x offset", "saturated x normal")
# The longest have one row, and a Jacobian of 10^6 elements these.
LONGEST = LONG[:1]
SQUARE = ("dominant x normal", "saturated x normal")


def libraries() -> list[str]:
    """The libraries that are installed here."""
    found = ["softjac", "jax.nn"]
    for name in ("torch", "scipy"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is not installed: left out", file=sys.stderr)
        else:
            found.append(name)
    return found


def chosen(op: str, n: int, case: str) -> bool:
    """Whether the table has the case: all that are short, and of the long ones those that tell."""
    if op.endswith("jacobian") and n > 10:
        return n <= 1000 and case in SQUARE
    return n <= 1000 or case in (LONGEST if n > 10**5 else LONG)


def worst(names: list[str], dtype: str, n: int, seeds: int) -> dict[str, dict[str, float]]:
    """By op and library, the worst error over all rows."""
    found: dict[str, dict[str, float]] = {}
    with jax.enable_x64(dtype == "float64"):
        for seed in range(seeds):
            for case, exact in cases(dtype, n, seed):
                for op in (op for op in OPS if chosen(op, n, case)):
                    for name in names:
                        try:
                            run = function(name, op)
                        except LookupError:
                            continue
                        size = error(op, run(exact.x, exact.v), exact)
                        by_name = found.setdefault(op, {})
                        by_name[name] = max(by_name.get(name, 0.0), size)
    return {op: found[op] for op in OPS if op in found}


def number(value: float | None) -> str:
    """An error as the table shows it."""
    if value is None:
        return ""
    if math.isinf(value):
        return "infinite"
    if value < 1000:
        return f"{value:.1f}"
    return f"10^{math.floor(math.log10(value))}"


def table(names: list[str], seeds: int) -> str:
    """The table in Markdown."""
    lines = [f"| dtype | n | op | {' | '.join(names)} |", f"|---|---|---|{'---|' * len(names)}"]
    for dtype, n in ROWS:
        present = [name for name in names if name != "scipy" or dtype in ("float32", "float64")]
        for op, by_name in worst(present, dtype, n, seeds if n <= 10 else 1).items():
            row = " | ".join(number(by_name.get(name)) for name in names)
            lines.append(f"| {dtype} | {n} | `{op}` | {row} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/accuracy.md")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    names = libraries()
    text = table(names, options.seeds)
    if options.write:
        page = Path(__file__).parent.parent / "docs" / "accuracy.md"
        begin, end = "<!-- table -->", "<!-- end of table -->"
        head, _, rest = page.read_text("utf-8").partition(begin)
        tail = rest.partition(end)[2]
        versions = (
            f"{name} {importlib.metadata.version(name.removesuffix('.nn'))}" for name in names
        )
        page.write_text(
            f"{head}{begin}\n\n{text}\n\n{', '.join(versions)}.\n\n{end}{tail}", "utf-8"
        )


if __name__ == "__main__":
    main()
