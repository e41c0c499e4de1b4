"""The kernels and their peers side by side, as ratios to what the machine can do.

Everything is timed in one process, in turn, in an order drawn anew each round, after one call that
is not timed. Small arrays are timed in a C loop where the callee is C, and the cost of a call from
Python is a row of its own. A limit is the better of plain and streaming stores, measured on the
same arrays: a copy for softmax and log_softmax, a + 3b for the VJP, a fill for the Jacobian; rows
too long for the caches need one more reading of their inputs, which is timed too.

    python benchmarks/run.py [--shapes 4x1024,8x128 --keep] [--rounds 15] [--threads 1,2]

writes docs/benchmarks.md, with what was measured against the targets, docs/benchmarks.json and
docs/benchmarks.svg.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import machine
import page
import peers

SHAPES = ["1x8", "1x1000", "64x10", "4096x10", "8x128", "4096x128", "4x1024", "64x1024"]
SHAPES += ["1024x1024", "256x32768", "64x131072", "512x50257", "512x128256", "1x16777216"]
SHAPES += ["1x1024x1024", "1x4096x4096"]
DOCS = Path(__file__).resolve().parents[1] / "docs"


# Seconds of calls that are not timed, in which the system spreads a contestant's threads over the
# processors, and those of the one before, which look out for their next call for a while, sleep.
SETTLING = 0.02


def measure(contestants: dict[str, Any], rounds: int, seconds: float) -> dict[str, Any]:
    """Median and quartiles of each contestant's nanoseconds, all of them in turn each round."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    names = list(contestants)
    end = time.monotonic() + seconds
    done = 0
    while done < rounds and (done < min(5, rounds) or time.monotonic() < end):
        random.shuffle(names)
        for name in names:
            settled = time.monotonic() + SETTLING
            while time.monotonic() < settled:
                contestants[name]()
            times[name].append(contestants[name]())
        done += 1
    return {
        name: {
            "median": statistics.median(values),
            "low": sorted(values)[len(values) // 4],
            "high": sorted(values)[-1 - len(values) // 4],
        }
        for name, values in times.items()
    }


def run(shapes: list[str], threads: list[int], measured: Any) -> list[dict[str, Any]]:
    """All shapes and thread counts."""
    results = []
    peers.start()
    for shape in shapes:
        sizes = list(map(int, shape.split("x")))
        for count in threads if len(sizes) == 2 else [1]:
            machine.use_cores(count)
            contestants = (
                peers.contestants(*sizes, count) if len(sizes) == 2 else peers.jacobians(sizes[1])
            )
            results.append({"shape": shape, "threads": count, "times": measured(contestants)})
            print(page.line(results[-1]), file=sys.stderr, flush=True)
            del contestants
    return results


def main() -> None:
    """Measure, and write the table and the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=6, help="a shape; 5 rounds at least")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--keep", action="store_true", help="what the record has of other shapes")
    parser.add_argument("--page-only", action="store_true", help="from the record")
    options = parser.parse_args()
    record_file = DOCS / "benchmarks.json"

    def measured(contestants: dict[str, Any]) -> dict[str, Any]:
        return measure(contestants, options.rounds, options.seconds)

    if options.page_only:
        record = json.loads(record_file.read_text())
    else:
        threads = [int(count) for count in options.threads.split(",")]
        results = run(options.shapes.split(","), threads, measured)
        if options.keep and record_file.exists():
            new = {result["shape"] for result in results}
            old = json.loads(record_file.read_text())["results"]
            results += [result for result in old if result["shape"] not in new]
            results.sort(key=lambda r: (SHAPES.index(r["shape"]), r["threads"]))
        record = {"machine": machine.description(), "results": results}
        machine.use_cores(1)
        record["calls"] = measured(peers.small_calls())
    if options.no_write:
        print(page.text(record))
        return
    if not options.page_only:
        record_file.write_text(json.dumps(rounded(record), indent=1) + "\n")
    (DOCS / "benchmarks.md").write_text(page.text(record))
    page.plot(record, DOCS / "benchmarks.svg")


def rounded(value: Any) -> Any:
    """Nanoseconds to three digits after the point: what the clock gives is less."""
    if isinstance(value, dict):
        return {name: rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
