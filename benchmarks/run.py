"""The kernels and their peers side by side, as ratios to what the machine can do.

Everything is timed in one process, in turn, in an order drawn anew each round, after one call that
is not timed. Small arrays are timed in a C loop where the callee is C, and the cost of a call from
Python is a row of its own. A limit is the better of plain and streaming stores, measured on the
same arrays: a copy for softmax and log_softmax, a + 3b for the VJP, a fill for the Jacobian; rows
too long for the caches need one more reading of their inputs, which is timed too.

    python benchmarks/run.py [--shapes 4x1024,8x128] [--rounds 15] [--threads 1,2] [--no-write]

writes docs/benchmarks.md, docs/benchmarks.json and docs/benchmarks.svg.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from pathlib import Path
from typing import Any

import machine
import page
import peers

SHAPES = ["1x8", "1x1000", "64x10", "4096x10", "8x128", "4096x128", "4x1024", "64x1024"]
SHAPES += ["1024x1024", "256x32768", "64x131072", "512x50257", "512x128256", "1x16777216"]
DOCS = Path(__file__).resolve().parents[1] / "docs"


def measure(contestants: dict[str, Any], rounds: int) -> dict[str, dict[str, float]]:
    """Median and quartiles of each contestant's nanoseconds, all of them in turn each round."""
    for call in contestants.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    for _ in range(rounds):
        random.shuffle(names)
        for name in names:
            times[name].append(contestants[name]())
    return {
        name: {
            "median": statistics.median(values),
            "low": sorted(values)[len(values) // 4],
            "high": sorted(values)[-1 - len(values) // 4],
        }
        for name, values in times.items()
    }


def run(shapes: list[str], rounds: int, threads: list[int]) -> list[dict[str, Any]]:
    """All shapes, thread counts and kinds of row."""
    results = []
    for shape in shapes:
        rows, n = map(int, shape.split("x"))
        for count in threads:
            for kind in ("ordinary", "offset", "far", "masked") if count == 1 else ("ordinary",):
                if kind != "ordinary" and shape not in ("4x1024", "1024x1024", "512x50257"):
                    continue
                contestants = peers.contestants(rows, n, count, kind)
                found = measure(contestants, rounds)
                results.append({"shape": shape, "threads": count, "rows": kind, "times": found})
                print(page.line(results[-1]), file=sys.stderr, flush=True)
                del contestants
    for n in (1024, 4096):
        found = measure(peers.jacobians(n), rounds)
        results.append({"shape": f"1x{n}x{n}", "threads": 1, "rows": "ordinary", "times": found})
        print(page.line(results[-1]), file=sys.stderr, flush=True)
    return results


def main() -> None:
    """Measure, and write the table and the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    threads = [int(count) for count in options.threads.split(",")]
    results = run(options.shapes.split(","), options.rounds, threads)
    record = {"machine": machine.description(), "results": results}
    record["calls"] = measure(peers.small_calls(), options.rounds)
    if options.no_write:
        print(page.text(record))
        return
    (DOCS / "benchmarks.json").write_text(json.dumps(record, indent=1) + "\n")
    (DOCS / "benchmarks.md").write_text(page.text(record))
    page.plot(record, DOCS / "benchmarks.svg")


if __name__ == "__main__":
    main()
