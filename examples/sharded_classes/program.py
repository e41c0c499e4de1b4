"""One process of several: the classes of a softmax split over all of them.

Started by launch.py, with its number, the number of processes and the coordinator's address. Each
process makes its own share of the logits, takes softmax, VJP and cross-entropy together with the
others, and compares its share of the results with what one device alone would give.
"""

import argparse
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import softjac
from softjac import sharded

ROWS, CLASSES = 5, 4096


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--process", type=int, required=True)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--coordinator", required=True)
    parser.add_argument("--die", type=int, help="the process that ends before it is done")
    options = parser.parse_args()

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        options.coordinator,
        num_processes=options.processes,
        process_id=options.process,
        initialization_timeout=60,
    )
    if options.die == options.process:
        print(f"process {options.process} dies now", flush=True)
        os._exit(9)

    mesh = jax.make_mesh((jax.device_count(),), ("classes",), axis_types=(AxisType.Auto,))
    split = P(None, "classes")
    rng = np.random.default_rng(0)
    logits = np.float32(rng.normal(size=(ROWS, CLASSES)) * 5)
    logits[0] = -60.0
    logits[0, 7] = 0.0  # a saturated row: its tails must survive the journey
    cotangent = np.float32(rng.normal(size=(ROWS, CLASSES)) + 100)
    labels = np.arange(ROWS) * 700

    def shared(array: np.ndarray, spec: P) -> jax.Array:
        """The array over all processes; each makes only its own part."""
        sharding = NamedSharding(mesh, spec)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    def step(x, dy, labels):
        y, pull = jax.vjp(lambda x: sharded.softmax(x, "classes"), x)
        return y, pull(dy)[0], sharded.cross_entropy(x, labels, "classes")

    program = jax.jit(
        jax.shard_map(step, mesh=mesh, in_specs=(split, split, P()), out_specs=(split, split, P()))
    )
    y, dx, loss = program(shared(logits, split), shared(cotangent, split), shared(labels, P()))

    x, v = jnp.asarray(logits), jnp.asarray(cotangent)
    whole, pull = jax.vjp(softjac.softmax, x)
    distance = jnp.abs(v - jnp.sum(whole * v, -1, keepdims=True))
    size = whole * (distance + jnp.sum(whole * distance, -1, keepdims=True))
    for name, result, expected, scale in (
        ("softmax", y, whole, whole),
        ("VJP", dx, pull(v)[0], size),
    ):
        for shard in result.addressable_shards:
            part, unit = np.asarray(expected)[shard.index], np.asarray(scale)[shard.index]
            error = np.abs(np.asarray(shard.data) - part) / np.maximum(unit, 1e-37)
            first, last = shard.index[1].start or 0, shard.index[1].stop or CLASSES
            worst = float(np.max(error))
            print(f"process {options.process}: {name}, classes {first} to {last - 1}: {worst:.1e}")
            if worst > 2e-6:
                sys.exit(f"the {name} differs from one device's")
    expected = -np.asarray(softjac.log_softmax(x))[np.arange(ROWS), labels]
    worst = np.max(np.abs(np.asarray(loss.addressable_data(0)) - expected) / expected)
    print(f"process {options.process}: cross-entropy: {worst:.1e}", flush=True)
    if worst > 1e-6:
        sys.exit("the cross-entropy differs from one device's")


if __name__ == "__main__":
    main()
