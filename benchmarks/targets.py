"""What the kernels aim at, computed from a benchmark's record: measured, target, met or not."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

Result = dict[str, Any]

# The second-level and third-level caches part these groups, over all arrays of a shape.
LEVELS = {
    "in the second-level cache": ("8x128", "4x1024", "64x1024"),
    "in the third-level cache": ("4096x128", "1024x1024"),
    "in memory": ("256x32768", "64x131072", "512x50257", "512x128256", "1x16777216"),
}


@dataclasses.dataclass
class Target:
    """One line of the list; `most` says whether the bound is an upper one."""

    what: str
    measured: float
    bound: float
    most: bool = True
    where: str = ""

    @property
    def met(self) -> bool:
        """Whether the bound holds, at the precision of the list."""
        value = round(self.measured, 2)
        return value <= self.bound if self.most else value >= self.bound


def median(result: Result, name: str) -> float:
    """Nanoseconds of one call."""
    return float(result["times"][name]["median"])


def best_limit(result: Result, name: str) -> float:
    """The better of plain and streaming stores."""
    return min(median(result, f"limit {name}"), median(result, f"limit {name} streaming"))


def limit(result: Result, op: str) -> float:
    """The machine's best for an op, with the second reading that rows beyond the caches need."""
    if op == "softmax_jacobian":
        return best_limit(result, "fill")
    forward = op in ("softmax", "log_softmax")
    again = result["times"].get("limit one more read", {"median": 0})["median"]
    return best_limit(result, "copy" if forward else "a+3b") + again * (1 if forward else 2)


def elements(result: Result) -> int:
    """How many numbers the result has."""
    return math.prod(map(int, result["shape"].split("x")))


def geometric_mean(values: list[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def targets(record: dict[str, Any]) -> list[Target]:
    """All that the record has numbers for."""
    found: list[Target] = []
    by = {(r["shape"], r["threads"]): r for r in record["results"]}
    for isa, column in (("avx512", 0), ("avx2", 1)):
        found += _over_limits(by, isa, column)
        found += _unusual(by, isa)
        found += _jacobians(by, isa)
        found += _scaling(by, isa)
        found += _flat(by, isa)
    found += _against_torch_of_ten(by)
    found += _against_peers(record["results"])
    call = record["calls"].get("softjac numpy, out given")
    if call:
        found.append(Target("call from NumPy at 1x8, out given, µs", call["median"] / 1000, 1.5))
    return found


def _over_limits(by: dict[Any, Result], isa: str, column: int) -> list[Target]:
    """Times over the machine's limit."""
    bounds = [
        ("softmax_vjp", "4096x128", 1.1, 1.1),
        ("softmax_vjp", "1024x1024", 1.1, 1.1),
        ("softmax_vjp", "256x32768", 1.1, 1.1),
        ("softmax_vjp", "64x131072", 1.2, 1.2),
        ("softmax_vjp", "512x50257", 1.2, 1.2),
        ("softmax_vjp", "512x128256", 1.4, 1.4),
        ("softmax_vjp", "1x16777216", 1.05, 1.05),
        ("softmax_vjp", "4x1024", 1.9, 2.7),
        ("softmax_vjp offset rows,", "4x1024", 2.8, 3.7),
        ("softmax_vjp", "4096x10", 3.0, 4.4),
    ]
    for op in ("softmax", "log_softmax"):
        bounds += [
            (op, "1024x1024", 1.1, 1.2),
            (op, "256x32768", 1.4, 1.5),
            (op, "512x50257", 1.2, 1.3),
            (op, "512x128256", 1.35, 1.45),
            (op, "1x16777216", 1.15, 1.35),
        ]
    found = []
    for head, shape, *pair in bounds:
        result = by.get((shape, 1))
        name = f"{head} softjac {isa}"
        if not result or name not in result["times"]:
            continue
        ratio = median(result, name) / limit(result, head.split()[0])
        what = head.rstrip(",")
        found.append(Target(f"{what} {shape} over the limit, {isa}", ratio, pair[column]))
    result = by.get(("4x1024", 1))
    for op in ("softmax", "log_softmax"):
        name = f"{op} softjac {isa}"
        if result and name in result["times"]:
            scaled = 0.41 / 0.047 * best_limit(result, "a+3b")
            what = f"{op} 4x1024 over XNNPACK's three passes, scaled, {isa}"
            found.append(Target(what, median(result, name) / scaled, (0.48, 0.73)[column]))
    return found


def _unusual(by: dict[Any, Result], isa: str) -> list[Target]:
    """Rows with half their entries far below or masked, over ordinary ones."""
    found = []
    for (shape, threads), result in by.items():
        for op in ("softmax", "log_softmax", "softmax_vjp"):
            for kind in ("far", "masked"):
                name = f"{op} {kind} rows, softjac {isa}"
                if threads == 1 and name in result["times"]:
                    ratio = median(result, name) / median(result, f"{op} softjac {isa}")
                    what = f"{op} {shape}, half of each row {kind}, over ordinary rows, {isa}"
                    found.append(Target(what, ratio, 1.5))
    return found


def _jacobians(by: dict[Any, Result], isa: str) -> list[Target]:
    """Bandwidth over that of a fill."""
    found = []
    for n in (1024, 4096):
        result = by.get((f"1x{n}x{n}", 1))
        name = f"softmax_jacobian softjac {isa}"
        if result and name in result["times"]:
            share = limit(result, "softmax_jacobian") / median(result, name)
            what = f"Jacobian {n}, bandwidth over a fill's, {isa}"
            found.append(Target(what, share, 0.8, most=False))
    return found


def _scaling(by: dict[Any, Result], isa: str) -> list[Target]:
    """Two threads against one, where the result has 1 MB and more."""
    found = []
    for op in ("softmax", "log_softmax", "softmax_vjp"):
        name = f"{op} softjac {isa}"
        speeds = {
            shape: median(result, name) / median(by[shape, 2], name)
            for (shape, threads), result in by.items()
            if threads == 1
            and (shape, 2) in by
            and name in result["times"]
            and elements(result) * 4 >= 1 << 20
        }
        if speeds:
            worst = min(speeds, key=lambda shape: speeds[shape])
            what = f"{op}, 2 threads against 1, the worst of 1 MB and more, {isa}"
            found.append(Target(what, speeds[worst], 1.7, most=False, where=worst))
    return found


def _flat(by: dict[Any, Result], isa: str) -> list[Target]:
    """Cost of an element: the dearest shape of a cache level over the cheapest."""
    found = []
    for op in ("softmax", "softmax_vjp"):
        for level, shapes in LEVELS.items():
            costs = {
                shape: median(by[shape, 1], f"{op} softjac {isa}") / elements(by[shape, 1])
                for shape in shapes
                if (shape, 1) in by and f"{op} softjac {isa}" in by[shape, 1]["times"]
            }
            if len(costs) > 1:
                worst = max(costs, key=lambda shape: costs[shape])
                what = f"{op} {level}, an element's cost, dearest over cheapest, {isa}"
                ratio = costs[worst] / min(costs.values())
                found.append(Target(what, ratio, 2.0, where=worst))
    return found


def _against_torch_of_ten(by: dict[Any, Result]) -> list[Target]:
    """Ten classes, where PyTorch's kernels are at their slowest."""
    result = by.get(("4096x10", 1))
    if not result or "softmax torch out" not in result["times"]:
        return []
    ours = median(result, "softmax softjac numpy out")
    found = [
        Target(
            "softmax 4096x10, times as fast as torch",
            median(result, "softmax torch out") / ours,
            20,
            most=False,
        )
    ]
    if "softmax torch avx2 out" in result["times"]:
        kernel = "softmax softjac avx2"
        speed = median(result, "softmax torch avx2 out") / median(result, kernel)
        what = "softmax 4096x10, avx2, times as fast as torch with AVX2"
        found.append(Target(what, speed, 3, most=False))
    return found


PAIRS = [
    ("softmax", "softjac numpy out", "torch out"),
    ("softmax_vjp", "softjac numpy out", "torch out"),
    ("softmax", "softjac numpy", "torch"),
    ("softmax_vjp", "softjac numpy", "torch"),
    ("softmax", "softjac jit", "xla"),
    ("log_softmax", "softjac jit", "xla"),
    ("softmax_vjp", "softjac jit", "xla textbook"),
    ("softmax_vjp", "softjac jit", "xla reference"),
    ("softmax_vjp_from_logits", "softjac jit", "xla"),
]


def _against_peers(results: list[Result]) -> list[Target]:
    """How many times as fast as each peer: the geometric mean, and the worst shape."""
    found = []
    for op, ours, theirs in PAIRS:
        for threads in (1, 2):
            speeds = {
                r["shape"]: median(r, f"{op} {theirs}") / median(r, f"{op} {ours}")
                for r in results
                if r["threads"] == threads and f"{op} {theirs}" in r["times"]
            }
            if not speeds:
                continue
            worst = min(speeds, key=lambda shape: speeds[shape])
            what = f"{op}, {ours} against {theirs}, {threads} thread{'s'[: threads - 1]}"
            mean = geometric_mean(list(speeds.values()))
            found.append(Target(f"{what}, geometric mean", mean, 2.5, most=False))
            found.append(Target(f"{what}, worst", speeds[worst], 0.95, most=False, where=worst))
    return found
