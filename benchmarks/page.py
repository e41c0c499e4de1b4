"""The benchmark's record as a table, and as a plot of time over the limit against size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import targets
from targets import elements, limit, median

OPS = ("softmax", "log_softmax", "softmax_vjp", "log_softmax_vjp", "softmax_vjp_from_logits")
NOTES = Path(__file__).with_name("notes.md")


def ratios(result: dict[str, Any], op: str) -> dict[str, float]:
    """Each contestant's time over the limit, on ordinary rows."""
    bound = limit(result, op)
    head = f"{op} "
    return {
        name.removeprefix(head): median(result, name) / bound
        for name in result["times"]
        if name.startswith(head) and " rows, " not in name
    }


def line(result: dict[str, Any]) -> str:
    """One result while it runs."""
    ops = ("softmax_jacobian",) if result["shape"].count("x") == 2 else OPS
    parts = [
        f"{op} ({limit(result, op) / elements(result):.3f} ns): "
        + ", ".join(f"{who} {value:.2f}" for who, value in ratios(result, op).items())
        for op in ops
    ]
    return f"{result['shape']} {result['threads']} thread(s)\n  " + "\n  ".join(parts)


def text(record: dict[str, Any]) -> str:
    """The page."""
    machine = record["machine"]
    lines = [
        "# Benchmarks",
        "",
        f"On {machine['cores']} cores of {machine['processor']} by `make bench`, in float32, all",
        "in one process and in turn; where 1 thread stands, the process is held to one core, or",
        "XLA would take more. Each is called for 20 ms before it is timed: threads of the one",
        "before look out for work for some milliseconds, and its own must be spread over the",
        "cores. Times are over the machine's limit in the same run (1 is the limit): the better",
        "of a plain and a streaming copy for softmax and log_softmax, of a + 3b for products;",
        "for a row beyond the caches with one more reading of the inputs.",
        "",
        "![time over the limit against size](benchmarks.svg)",
        "",
    ]
    lines += _targets(record)
    if NOTES.exists():
        lines += [NOTES.read_text().rstrip(), ""]
    results = [r for r in record["results"] if r["shape"].count("x") == 1]
    for op in OPS:
        names = sorted({name for r in results for name in ratios(r, op)}, key=_order)
        lines += [f"## {op}", ""]
        if op == OPS[0]:
            lines += ["Medians; ± is half of the distance between the quartiles.", ""]
        lines.append("| rows x classes | threads | limit, ns an element | ")
        lines[-1] += " | ".join(names) + " |"
        lines.append("|---" * (3 + len(names)) + "|")
        for result in results:
            lines.append(_table_row(result, op, names))
        lines.append("")
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


def _targets(record: dict[str, Any]) -> list[str]:
    """What was aimed at and what came of it."""
    found = targets.targets(record)
    met = sum(target.met for target in found)
    lines = ["## Targets", "", f"{met} of {len(found)} are met in this run.", ""]
    lines += ["| what | measured | target | |", "|---|---|---|---|"]
    for target in found:
        where = f" ({target.where})" if target.where else ""
        sign = "≤" if target.most else "≥"
        verdict = "met" if target.met else "**not met**"
        value = f"{target.measured:.2f}{where}"
        lines.append(f"| {target.what} | {value} | {sign} {target.bound:g} | {verdict} |")
    return [*lines, ""]


def _order(name: str) -> tuple[bool, str]:
    """This library first."""
    return not name.startswith("softjac"), name


def _table_row(result: dict[str, Any], op: str, names: list[str]) -> str:
    """One shape of an op's table."""
    bound = limit(result, op)
    cells = [result["shape"], str(result["threads"]), f"{bound / elements(result):.3f}"]
    found = ratios(result, op)
    for name in names:
        if name not in found:
            cells.append("")
            continue
        spread = result["times"][f"{op} {name}"]
        half = (spread["high"] - spread["low"]) / (2 * spread["median"])
        cells.append(f"{found[name]:.2f} ±{half:.0%}")
    return "| " + " | ".join(cells) + " |"


# Contestants of the plot: label, colour, style. The colours tell apart on white and on black.
PLOTTED = {
    "softjac avx512": ("softjac, AVX-512", "#2f7fd6", "-o"),
    "softjac avx2": ("softjac, AVX2", "#22a3a3", "-s"),
    "softjac numpy out": ("softjac from NumPy, out given", "#7d74d9", "-^"),
    "softjac jit": ("softjac inside jit", "#4f9a3f", "-v"),
    "torch out": ("PyTorch, out given", "#e0662f", "--o"),
    "torch": ("PyTorch", "#c99a1e", "--s"),
    "xla": ("XLA inside jit", "#d1497e", "--^"),
    "xla textbook": ("XLA inside jit", "#d1497e", "--^"),
}
GREY = "#808890"


def plot(record: dict[str, Any], target: Path) -> None:
    """Time over the limit against the size of the arrays, for softmax and its VJP."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "softjac", "font.size": 10}
    for part in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"):
        mpl.rcParams[part] = GREY
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.6), sharey=True)
    results = sorted(
        (r for r in record["results"] if r["threads"] == 1 and r["shape"].count("x") == 1),
        key=elements,
    )
    for axis, op in zip(axes, ("softmax", "softmax_vjp"), strict=True):
        for name, (label, colour, style) in PLOTTED.items():
            points = [
                (elements(r), found[name])
                for r in results
                if name in (found := ratios(r, op)) and int(r["shape"].split("x")[1]) > 10
            ]
            if points:
                axis.plot(
                    *zip(*points, strict=True), style, color=colour, label=label, markersize=4
                )
        axis.set(xscale="log", yscale="log", xlabel="elements", title=op)
        axis.axhline(1, color=GREY, linewidth=1.2)
        axis.grid(color=GREY, alpha=0.25)
        axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
        axis.yaxis.set_minor_locator(ticker.NullLocator())
        axis.set_facecolor("none")
    axes[0].set_ylabel("time / the machine's limit, 1 thread")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(target, transparent=True, metadata={"Date": None})
    pyplot.close(figure)
