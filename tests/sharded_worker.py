"""Run by test_sharded.py in a process of its own: 8 virtual devices, results to a file.

It computes; the tests judge. Arrays are saved as NumPy's archive, what was seen of the compiled
programs as JSON.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

jax.config.update("jax_num_cpu_devices", 8)

import jax.numpy as jnp  # noqa: E402 - after the devices are made
import numpy as np  # noqa: E402
from jax.sharding import AxisType  # noqa: E402
from jax.sharding import PartitionSpec as P  # noqa: E402

import softjac  # noqa: E402
from softjac import sharded  # noqa: E402

SPLIT = P(None, "classes")
COLLECTIVE = re.compile(
    r"= \(?(\w+)\[([\d,]*)\]\S* "
    r"(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)
MESH = jax.make_mesh((8,), ("classes",), axis_types=(AxisType.Auto,))
BOTH = jax.make_mesh((2, 4), ("rows", "classes"), axis_types=(AxisType.Auto,) * 2)


def split(function: Callable[..., Any], arguments: int, out: Any = SPLIT, **options: Any) -> Any:
    """The function under shard_map and jit."""
    mapped = jax.shard_map(
        function, mesh=MESH, in_specs=(SPLIT,) * arguments, out_specs=out, **options
    )
    return jax.jit(mapped)


def through(op: str) -> Callable[[Any, Any], Any]:
    """An op from the logits on, by JAX's differentiation of the sharded forward function."""
    name = "log_softmax" if op.startswith("log") else "softmax"

    def value(x: Any) -> Any:
        return getattr(sharded, name)(x, "classes")

    if op.endswith("vjp"):
        return lambda x, v: jax.vjp(value, x)[1](v)[0]
    if op.endswith("jvp"):
        return lambda x, v: jax.jvp(value, [x], [v])[1]
    return lambda x, v: value(x)


def collectives(program: Any, *arguments: Any) -> list[tuple[str, int]]:
    """What a compiled program sends: each collective and the elements of its payload."""
    text = program.lower(*arguments).compile().as_text()
    return [
        (kind, int(np.prod([int(size) for size in shape.split(",") if size])))
        for _, shape, kind in COLLECTIVE.findall(text)
    ]


def accuracy(path: Path) -> None:
    """Every op on the rows that the tests put into the file."""
    rows = np.load(path / "rows.npz")
    for dtype in ("float32", "float64"):
        with jax.enable_x64(dtype == "float64"):
            x, v = rows[f"{dtype} x"], rows[f"{dtype} v"]
            ops = ["softmax", "log_softmax"]
            ops += [f"{op}_{way}" for op in ops for way in ("vjp", "jvp")]
            found = {op: np.asarray(split(through(op), 2)(x, v)) for op in ops}
            t = np.abs(v) / np.abs(v).sum(-1, keepdims=True)
            entropy = split(lambda x, t: sharded.cross_entropy(x, t, "classes"), 2, P())
            found["cross_entropy"] = np.asarray(entropy(x, t))
            np.savez(path / f"{dtype}.npz", **found)


def programs(op: str) -> dict[str, Any]:
    """The collectives of an op's compiled programs, for 6 rows of 8 · 64 classes."""
    x = jnp.zeros((6, 512))
    value = getattr(sharded, op)
    found = {op: collectives(split(lambda x: value(x, "classes"), 1), x)}
    for way in ("vjp", "jvp"):
        name = f"{op}_{way}"
        product = getattr(sharded, name)
        program = split(lambda y, v, product=product: product(y, v, "classes"), 2)
        found[name] = collectives(program, x, x)
        found[f"{name} from logits"] = collectives(split(through(name), 2), x, x)
    return found


def entropy_programs() -> dict[str, Any]:
    """The collectives of the cross-entropy and of its gradient."""
    x = jnp.zeros((6, 512))
    entropy = split(lambda x, t: sharded.cross_entropy(x, t, "classes"), 2, P())
    gradient = jax.jit(jax.grad(lambda x, t: jnp.sum(entropy(x, t))))
    return {
        "cross_entropy": collectives(entropy, x, x),
        "cross_entropy gradient": collectives(gradient, x, x),
    }


def apart(got: Any, expected: Any) -> float:
    """The greatest difference, masked entries (-inf) aside."""
    got, expected = (np.nan_to_num(np.asarray(a)) for a in (got, expected))
    return float(np.max(np.abs(got - expected)))


def composition(op: str) -> dict[str, float]:
    """How far from one device's: orders, modes, masks, scales, rows split too."""
    rng = np.random.default_rng(0)
    alone, value = getattr(softjac, op), getattr(sharded, op)
    x, v = jnp.asarray(rng.normal(size=(2, 1, 8)))
    rows, keep = jnp.asarray(rng.normal(size=(4, 8))), jnp.asarray(rng.random((1, 8)) < 0.6)
    together = split(lambda x: value(x, "classes"), 1)
    unchecked = split(lambda x: value(x, "classes"), 1, check_vma=False)
    masked = split(lambda x, keep: value(x, "classes", where=keep, scale=-0.7), 2)
    grid = P("rows", "classes")
    both = jax.shard_map(lambda x: value(x, "classes"), mesh=BOTH, in_specs=grid, out_specs=grid)

    def squares(function: Any) -> Any:
        return lambda x: jnp.sum(function(x)[:, 3] ** 2)

    def many(function: Any) -> Any:
        return lambda x: jax.vmap(lambda scale: function(x * scale))(jnp.arange(1.0, 4.0))

    orders = {
        "jacrev": jax.jacrev,
        "jacfwd": jax.jacfwd,
        "hessian": jax.hessian,
        "third": lambda function: jax.jacrev(jax.hessian(function)),
        "vmap": many,
    }
    found = {
        name: apart(jax.jit(how(together))(x), jax.jit(how(alone))(x))
        for name, how in orders.items()
    }
    found["unchecked"] = apart(unchecked(x), alone(x))
    pulled = [jax.vjp(function, x)[1](v)[0] for function in (unchecked, alone)]
    found["unchecked gradient"] = apart(*pulled)
    found["masked"] = apart(masked(x, keep), alone(x, where=keep, scale=-0.7))
    found["rows split too"] = apart(jax.jit(both)(rows), alone(rows))
    found["rows split too, gradient"] = apart(
        jax.grad(squares(both))(rows), jax.grad(squares(alone))(rows)
    )
    return {f"{op}: {name}": difference for name, difference in found.items()}


def entropy_composition() -> dict[str, float]:
    """The same of the cross-entropy, with labels and with targets."""
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.normal(size=(1, 8)))
    target = jax.nn.softmax(jnp.asarray(rng.normal(size=(1, 8))))
    by_target = split(lambda x, t: sharded.cross_entropy(x, t, "classes"), 2, P())
    by_label = jax.jit(
        jax.shard_map(
            lambda x, t: sharded.cross_entropy(x, t, "classes"),
            mesh=MESH,
            in_specs=(SPLIT, P()),
            out_specs=P(),
        )
    )
    label = jnp.array([5])

    def together(x: Any) -> Any:
        return by_label(x, label)[0]

    def alone(x: Any) -> Any:
        return -softjac.log_softmax(x)[0, 5]

    found = {
        "value": apart(together(x), alone(x)),
        "gradient": apart(jax.grad(together)(x), jax.grad(alone)(x)),
        "hessian": apart(jax.hessian(together)(x), jax.hessian(alone)(x)),
    }
    gradient = jax.grad(lambda t: by_target(x, t)[0])(target)
    outside = jnp.stack([by_label(x, jnp.array([label]))[0] for label in (-1, 8)])
    found["a label that is no class"] = 0.0 if jnp.isnan(outside).all() else 1.0
    found["by the target"] = apart(gradient, -softjac.log_softmax(x))
    return {f"cross_entropy: {name}": difference for name, difference in found.items()}


def main() -> None:
    """Everything, into the folder that is given."""
    path = Path(sys.argv[1])
    accuracy(path)
    ops = ("softmax", "log_softmax")
    sent = programs(ops[0]) | programs(ops[1]) | entropy_programs()
    with jax.enable_x64(True):
        composed = composition(ops[0]) | composition(ops[1]) | entropy_composition()
    seen = {"programs": sent, "composition": composed, "devices": jax.device_count()}
    (path / "seen.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main()
