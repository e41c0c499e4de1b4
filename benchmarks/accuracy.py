"""How accurate softmax and its derivatives are, component by component, against proof.

    python benchmarks/accuracy.py [--write]

The same adversarial rows go through softjac, jax.nn, PyTorch and SciPy (those that are installed),
and each result is compared with an enclosure in ball arithmetic. An error is given in units of
u C: u is the unit roundoff of the dtype, C the condition number that does not change when a
constant is added to the logits or to the cotangent. What flushing to zero can do is allowed for.
--write puts the table into docs/accuracy.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np

import softjac
from softjac.oracle import enclosure

Array = np.ndarray[Any, np.dtype[Any]]
Function = Callable[..., Any]

DTYPES = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53, "bfloat16": 2.0**-8, "float16": 2.0**-11}
# The smallest normal number; float16 has subnormals that count, down to 2^-24.
FLOOR = {"float32": 2.0**-126, "float64": 2.0**-1022, "bfloat16": 2.0**-126, "float16": 2.0**-24}
# How far below the maximum logits are tried: near the end of the exponential's range.
DEPTH = {"float32": 80.0, "float64": 700.0, "bfloat16": 80.0, "float16": 10.0}
HUGE = {"float32": 1e30, "float64": 1e300, "bfloat16": 1e30, "float16": 1e3}
OFFSET = {"float32": 1e4, "float64": 1e4, "bfloat16": 100.0, "float16": 100.0}
OPS = (
    "softmax",
    "log_softmax",
    "softmax_vjp",
    "softmax_jvp",
    "log_softmax_vjp",
    "log_softmax_jvp",
    "softmax_jacobian",
    "log_softmax_jacobian",
    "cross_entropy",
    "cross_entropy_gradient",
)


# --- the rows -------------------------------------------------------------------------------------


def logits(n: int, dtype: str, seed: int) -> dict[str, Array]:
    """Rows of n logits, by name."""
    rng = np.random.default_rng([n, seed])
    deep = np.r_[0.0, -rng.uniform(0.5, 1.0, n - 1) * DEPTH[dtype]]
    rows = {
        "normal": 3 * rng.normal(size=n),
        "wide": 20 * rng.normal(size=n),
        "saturated": deep,
        "saturated, offset": deep + 1234.567,
        "offset": rng.normal(size=n) + 2 * OFFSET[dtype],
        "ties": np.round(rng.normal(size=n)),
        "uniform": np.zeros(n),
        "dominant": np.r_[math.log(9 * max(n - 1, 1)), np.zeros(n - 1)],
        "half": np.r_[math.log(max(n - 1, 1)), np.zeros(n - 1)],
        "masked": np.where(rng.random(n) < 0.5, -np.inf, rng.normal(size=n)),
        "tied top": np.r_[np.zeros(min(3, n)), deep[1 : n - 2]][:n],
    }
    rows["masked"][n // 2] = 1.0
    return {name: row.astype(DTYPES[dtype]) for name, row in rows.items()}


def vectors(n: int, dtype: str, top: int, seed: int) -> dict[str, Array]:
    """Cotangents (and tangents) of length n, by name; `top` is where the largest logit is."""
    rng = np.random.default_rng([n, seed, 1])
    normal = rng.normal(size=n)
    spiked = 1e-3 * normal
    spiked[top] = HUGE["float16"]
    places = np.arange(n)
    rows = {
        "normal": normal,
        "offset": normal + OFFSET[dtype],
        "one-hot at the top": places == top,
        "one-hot first": places == 0,
        "one-hot last": places == n - 1,
        "spike at the top": spiked,
        "huge": normal * HUGE[dtype],
        "tiny": normal / HUGE["float16"],
        "alternating": np.where(places % 2, 1, -1) * rng.uniform(0.99, 1.01, n),
        "constant": np.full(n, 0.1),
        "top three": places < 3,
    }
    return {name: row.astype(DTYPES[dtype]) for name, row in rows.items()}


# --- exact answers and condition numbers ----------------------------------------------------------


@lru_cache(maxsize=4)
def forward(op: str, x: tuple[float, ...]) -> tuple[Array, Array]:
    """(high, low) of a forward op: the rows come with one vector after the other."""
    return enclosure.split(getattr(enclosure, op)(x))


@dataclass
class Exact:
    """The exact answers for a row of logits and a vector, with what an error is measured by."""

    x: Array
    v: Array
    dtype: str

    @cached_property
    def _x(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.x)

    @cached_property
    def _v(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self.v)

    @cached_property
    def label(self) -> int:
        """The class that the cross-entropy is taken of: where the vector is largest."""
        return int(np.argmax(np.abs(self.v.astype(float))))

    @cached_property
    def p(self) -> Array:
        """Probabilities, in float64."""
        return forward("softmax", self._x)[0]

    @cached_property
    def missing(self) -> Array:
        """1 - p, accurately."""
        top = int(np.argmax(self.p))
        missing = 1.0 - self.p
        missing[top] = math.fsum(np.delete(self.p, top))
        return missing

    @cached_property
    def distance(self) -> Array:
        """|v_i - Σ p v|."""
        return np.abs(enclosure.split(enclosure.log_softmax_jvp(x=self._x, x_dot=self._v))[0])

    def answer(self, op: str) -> tuple[Array, Array]:
        """(high, low): their sum is the exact answer."""
        if op in ("softmax", "log_softmax"):
            return forward(op, self._x)
        if op == "cross_entropy":
            high, low = forward("log_softmax", self._x)
            return -high[[self.label]], -low[[self.label]]
        if op == "cross_entropy_gradient":
            minus_target = tuple(-1.0 if i == self.label else 0.0 for i in range(len(self.x)))
            return enclosure.split(enclosure.log_softmax_vjp(x=self._x, dy=minus_target))
        if op.endswith("jacobian"):
            rows = getattr(enclosure, op)(x=self._x)
            high, low = enclosure.split([value for row in rows for value in row])
            return high.reshape(len(rows), -1), low.reshape(len(rows), -1)
        role = "dy" if op.endswith("vjp") else "x_dot"
        return enclosure.split(getattr(enclosure, op)(x=self._x, **{role: self._v}))

    def condition(self, op: str, answer: Array) -> Array:
        """C, componentwise."""
        p, size = self.p, np.abs(self.v.astype(float))
        if op in ("softmax_vjp", "softmax_jvp"):
            return p * (self.distance + math.fsum(p * self.distance))
        if op == "log_softmax_jvp":
            return self.distance + math.fsum(p * self.distance)
        if op == "log_softmax_vjp":
            before = np.r_[0.0, np.cumsum(size)[:-1]]
            after = np.r_[np.cumsum(size[::-1])[-2::-1], 0.0]
            return size * self.missing + p * (before + after)
        return np.where(np.isfinite(answer), np.abs(answer), 0.0)

    def flushed(self, op: str) -> Array | float:
        """What flushing numbers below the smallest normal one to zero can change."""
        floor, p, n = FLOOR[self.dtype], self.p, len(self.x)
        size = np.abs(self.v.astype(float))
        lost = float(np.sum(size[p < floor]))
        if op in ("softmax_vjp", "softmax_jvp"):
            below = np.where(p < floor, p * self.distance, 0.0)
            return floor * (2 + p * (n + lost)) + below
        if op == "log_softmax_jvp":
            return floor * (2 + n + lost)
        if op == "log_softmax_vjp":
            return floor * (2 + abs(math.fsum(size)))
        return 2 * floor


def error(op: str, got: Array, exact: Exact) -> float:
    """The worst error of a result over its row, in units of u C; infinite where it should be 0."""
    high, low = exact.answer(op)
    condition = exact.condition(op, high)
    value = np.asarray(got).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        difference = np.where(value == high, -low, (value - high) - low)
        difference[np.isinf(high) & (value == high)] = 0.0
        excess = np.maximum(np.abs(difference) - exact.flushed(op), 0.0)
        ratio = np.where(excess == 0.0, 0.0, excess / condition) / UNIT[exact.dtype]
    return float(np.max(np.where(np.isnan(ratio), np.inf, ratio)))


def cases(dtype: str, n: int, seed: int = 0) -> Iterator[tuple[str, Exact]]:
    """Every row with every vector."""
    for row, x in logits(n, dtype, seed).items():
        for vector, v in vectors(n, dtype, int(np.argmax(x.astype(float))), seed).items():
            yield f"{row} x {vector}", Exact(x, v, dtype)


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
