"""The benchmark's record as a table, and as a plot of time over the limit against size."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

OPS = ("softmax", "log_softmax", "softmax_vjp", "log_softmax_vjp", "softmax_vjp_from_logits")
LIMITS = {
    "softmax": "copy",
    "log_softmax": "copy",
    "softmax_vjp": "a+3b",
    "log_softmax_vjp": "a+3b",
    "softmax_vjp_from_logits": "a+3b",
    "softmax_jacobian": "fill",
}


def limit(result: dict[str, Any], op: str) -> float:
    """The machine's best for an op: the better of plain and streaming, and the reads it needs."""
    times, name = result["times"], LIMITS[op]
    best = min(times[f"limit {name}"]["median"], times[f"limit {name} streaming"]["median"])
    again = times.get("limit one more read")
    if again is None or op == "softmax_jacobian":
        return float(best)
    return float(best + again["median"] * (2 if name == "a+3b" else 1))


def ratios(result: dict[str, Any], op: str) -> dict[str, float]:
    """Each contestant's time over the limit."""
    bound = limit(result, op)
    head = f"{op} "
    return {
        name.removeprefix(head): value["median"] / bound
        for name, value in result["times"].items()
        if name.startswith(head)
    }


def line(result: dict[str, Any]) -> str:
    """One result while it runs."""
    ops = ("softmax_jacobian",) if result["shape"].count("x") == 2 else OPS
    parts = [
        f"{op}: " + ", ".join(f"{who} {value:.2f}" for who, value in ratios(result, op).items())
        for op in ops
    ]
    return f"{result['shape']} {result['rows']} {result['threads']} thread(s)\n  " + "\n  ".join(
        parts
    )


def geometric_mean(values: list[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values))


def text(record: dict[str, Any]) -> str:
    """The page."""
    machine = record["machine"]
    lines = [
        "# Benchmarks",
        "",
        f"On {machine['cores']} cores of {machine['processor']} by `make bench`, in float32.",
        "Times over the machine's limit in the same run (1 is the limit): the better of a plain",
        "and a streaming copy for softmax and log_softmax, of a + 3b for products; for rows beyond",
        "the caches with one more reading of the inputs. In brackets: quartiles.",
        "",
        "![time over the limit against size](benchmarks.svg)",
        "",
    ]
    results = [r for r in record["results"] if r["shape"].count("x") == 1]
    for op in OPS:
        names = sorted({name for r in results for name in ratios(r, op)}, key=_order)
        lines += [f"## {op}", "", "| rows x classes | rows | threads | limit, ns an element | "]
        lines[-1] += " | ".join(names) + " |"
        lines.append("|---" * (4 + len(names)) + "|")
        for result in results:
            lines.append(_table_row(result, op, names))
        lines.append("")
    lines += _comparison(results)
    lines += [
        "## Jacobian",
        "",
        "| shape | contestant | bandwidth over that of a fill |",
        "|---|---|---|",
    ]
    for result in record["results"]:
        if result["shape"].count("x") == 2:
            for who, value in ratios(result, "softmax_jacobian").items():
                lines.append(f"| {result['shape']} | {who} | {1 / value:.2f} |")
    lines += ["", "## One call at 1 x 8, from Python", "", "| contestant | µs |", "|---|---|"]
    for who, value in record["calls"].items():
        lines.append(f"| {who} | {value['median'] / 1000:.2f} |")
    return "\n".join(lines) + "\n"


def _order(name: str) -> tuple[bool, str]:
    """This library first."""
    return not name.startswith("softjac"), name


def _table_row(result: dict[str, Any], op: str, names: list[str]) -> str:
    """One shape of an op's table."""
    rows, n = map(int, result["shape"].split("x"))
    bound = limit(result, op)
    cells = [result["shape"], result["rows"], str(result["threads"]), f"{bound / (rows * n):.3f}"]
    found = ratios(result, op)
    for name in names:
        if name not in found:
            cells.append("")
            continue
        spread = result["times"][f"{op} {name}"]
        low, high = spread["low"] / bound, spread["high"] / bound
        cells.append(f"{found[name]:.2f} ({low:.2f} to {high:.2f})")
    return "| " + " | ".join(cells) + " |"


def _comparison(results: list[dict[str, Any]]) -> list[str]:
    """How many times as fast as each peer: the worst shape, and the geometric mean."""
    pairs = [
        ("softmax", "softjac numpy", "torch out"),
        ("softmax", "softjac numpy", "torch"),
        ("softmax_vjp", "softjac numpy", "torch out"),
        ("softmax_vjp", "softjac numpy", "torch"),
        ("softmax", "softjac jit", "xla"),
        ("log_softmax", "softjac jit", "xla"),
        ("softmax_vjp", "softjac jit", "xla textbook"),
        ("softmax_vjp_from_logits", "softjac jit", "xla"),
    ]
    lines = ["## Against each peer, 1 thread", ""]
    lines += ["| op | this library | peer | geometric mean | worst |", "|---|---|---|---|---|"]
    chosen = [r for r in results if r["threads"] == 1 and r["rows"] == "ordinary"]
    for op, ours, theirs in pairs:
        speeds = {
            r["shape"]: found[theirs] / found[ours]
            for r in chosen
            if theirs in (found := ratios(r, op)) and ours in found
        }
        if speeds:
            worst = min(speeds, key=lambda shape: speeds[shape])
            mean = geometric_mean(list(speeds.values()))
            lines.append(
                f"| {op} | {ours} | {theirs} | {mean:.2f} | {speeds[worst]:.2f} ({worst}) |"
            )
    return [*lines, ""]


def plot(record: dict[str, Any], target: Path) -> None:
    """Time over the limit against the size of the arrays, for softmax and its VJP."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    results = [
        r
        for r in record["results"]
        if r["threads"] == 1 and r["rows"] == "ordinary" and r["shape"].count("x") == 1
    ]
    for axis, op in zip(axes, ("softmax", "softmax_vjp"), strict=True):
        names = sorted({name for r in results for name in ratios(r, op)}, key=_order)
        for name in names:
            points = sorted(
                (math.prod(map(int, r["shape"].split("x"))), ratios(r, op)[name])
                for r in results
                if name in ratios(r, op)
            )
            style = "-o" if name.startswith("softjac") else "--x"
            axis.plot(*zip(*points, strict=True), style, label=name, markersize=4)
        axis.set(xscale="log", yscale="log", xlabel="elements", title=op)
        axis.axhline(1, color="black", linewidth=0.8)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    axes[0].set_ylabel("time / the machine's limit")
    figure.tight_layout()
    figure.savefig(target)
