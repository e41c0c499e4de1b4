"""What splitting the classes over devices costs, and what travels between them.

    python benchmarks/scaling.py [--write]

1, 2, 4 and 8 virtual devices of one machine, a process each, so that the cores are shared: what is
measured is the work and its overhead, not a speed-up. The bytes are read off the compiled program:
the payload of every collective. A ring sends each device 2 (d - 1) / d times that.
--write puts the tables into docs/scaling.md.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEVICES = (1, 2, 4, 8)
ROWS, CLASSES = 256, 32768
ROUNDS = 9
# The prediction's: 32-bit numbers, a link of 100 Gbit/s, 20 µs a step of a collective.
FAR_ROWS, FAR_CLASSES, HOSTS = 10**6, 256_000, 64
LINK, LATENCY = 100e9 / 8, 20e-6
COLLECTIVE = re.compile(
    r"= \(?(\w+?)(\d+)\[([\d,]*)\]\S* "
    r"(all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)


def sent(program: str) -> list[tuple[str, int]]:
    """Each collective of a compiled program with the bytes of its payload."""
    found = []
    for _, bits, shape, kind in COLLECTIVE.findall(program):
        size = int(bits) // 8
        for length in shape.split(","):
            size *= int(length or 1)
        found.append((kind, size))
    return found


def measure(devices: int) -> dict[str, Any]:
    """Median seconds and collectives of each function; in a process of its own."""
    import jax

    jax.config.update("jax_num_cpu_devices", devices)
    import numpy as np
    from jax.sharding import AxisType, NamedSharding
    from jax.sharding import PartitionSpec as P

    from softjac import sharded

    mesh = jax.make_mesh((devices,), ("classes",), axis_types=(AxisType.Auto,))
    split = P(None, "classes")
    rng = np.random.default_rng(0)
    x, v = (
        jax.device_put(np.float32(rng.normal(size=(ROWS, CLASSES))), NamedSharding(mesh, split))
        for _ in range(2)
    )
    target = jax.nn.one_hot(np.arange(ROWS), CLASSES)
    target = jax.device_put(target, NamedSharding(mesh, split))

    def over(function: Callable[..., Any], out: Any = split) -> Any:
        return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=(split, split), out_specs=out))

    programs = {
        "softmax": (over(lambda x, _v: sharded.softmax(x, "classes")), (x, v)),
        "log_softmax": (over(lambda x, _v: sharded.log_softmax(x, "classes")), (x, v)),
        "softmax_vjp": (over(lambda y, v: sharded.softmax_vjp(y, v, "classes")), (target, v)),
        "cross_entropy": (
            over(lambda x, t: sharded.cross_entropy(x, t, "classes"), P()),
            (x, target),
        ),
    }
    found = {}
    for name, (program, arguments) in programs.items():
        collectives = sent(program.lower(*arguments).compile().as_text())
        jax.block_until_ready(program(*arguments))
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            jax.block_until_ready(program(*arguments))
            times.append(time.perf_counter() - start)
        found[name] = {"seconds": statistics.median(times), "collectives": collectives}
    return found


def tables(measured: dict[int, dict[str, Any]]) -> str:
    """Both tables and the prediction in Markdown."""
    numbers = " | ".join(str(devices) for devices in DEVICES)
    lines = [
        f"Milliseconds for {ROWS} rows of {CLASSES} classes, float32, on virtual devices:",
        "",
        f"| function | {numbers} |",
        "|---|" + "--:|" * len(DEVICES),
    ]
    for name in measured[1]:
        times = " | ".join(f"{measured[d][name]['seconds'] * 1e3:.1f}" for d in DEVICES)
        lines.append(f"| `{name}` | {times} |")
    lines += [
        "",
        "What the compiled program for 8 devices sends:",
        "",
        f"| function | collectives | bytes | a row | {FAR_CLASSES} x 10⁶, {HOSTS} hosts |",
        "|---|---|--:|--:|--:|",
    ]
    for name, seen in measured[8].items():
        collectives = seen["collectives"]
        size = sum(size for _, size in collectives)
        kinds = ", ".join(f"{kind} of {size} B" for kind, size in collectives)
        far = 2 * (HOSTS - 1) / HOSTS * size / ROWS * FAR_ROWS
        duration = far / LINK + len(collectives) * 2 * (HOSTS - 1) * LATENCY
        lines.append(
            f"| `{name}` | {kinds} | {size} | {size / ROWS:g} | {far / 1e6:.1f} MB a host, "
            f"{duration * 1e3:.1f} ms |"
        )
    for name in ("softmax", "softmax_vjp"):
        rate = measured[1][name]["seconds"] / (ROWS * CLASSES)
        work = rate * FAR_ROWS * FAR_CLASSES / HOSTS
        share = f"{FAR_CLASSES // HOSTS} classes of 10⁶ rows"
        measured_rate = f"At the measured {rate * 1e9:.2f} ns an element on one device"
        lines += ["", f"{measured_rate}, a host's share of `{name}`, {share}, takes {work:.1f} s."]
    return "\n".join(lines)


def main() -> None:
    """Measure in processes, print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scaling.md")
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.devices:
        print(json.dumps(measure(options.devices)))
        return
    measured = {}
    for devices in DEVICES:
        command = [sys.executable, __file__, "--devices", str(devices)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measured[devices] = json.loads(done.stdout)
    text = tables(measured)
    print(text)
    if options.write:
        page = Path(__file__).parent.parent / "docs" / "scaling.md"
        begin, end = "<!-- table -->", "<!-- end of table -->"
        head, _, rest = page.read_text("utf-8").partition(begin)
        tail = rest.partition(end)[2]
        page.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", "utf-8")


if __name__ == "__main__":
    main()
