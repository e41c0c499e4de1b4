"""The report that a person reads: verdict, bug, fix, counterexample, replay."""

from __future__ import annotations

import shlex
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from softjac.oracle.catalogue import Entry
from softjac.oracle.findings import CheckResult, Counterexample, Diagnosis, Report, Verdict
from softjac.oracle.reports.numbers import number, plural, ratio, short

__all__ = [
    "VERDICTS",
    "WIDTH",
    "alike",
    "check_lines",
    "command",
    "counterexample_lines",
    "counterexample_title",
    "diagnosis_page",
    "folded",
    "headline",
    "lines",
    "own_name",
    "render",
    "summary",
]

WIDTH = 100
# Elements of a row that are shown around the failing one.
SHOWN = 12

# Style of a line: a name that the terminal turns into a colour, and plain text drops.
Line = tuple[str, str]

STYLES = {
    "pass": "green",
    "fail": "bold red",
    "suspect": "bold yellow",
    "reported": "cyan",
    "skipped": "dim",
    "verified": "bold green",
    "refuted": "bold red",
    "inconclusive": "bold yellow",
    "error": "bold red",
}


# The worst first.
VERDICTS: tuple[Verdict, ...] = ("error", "refuted", "inconclusive", "verified")


def folded(label: str, content: str, style: str = "", width: int = WIDTH) -> Iterator[Line]:
    """A labelled paragraph, folded to the width with a hanging indent."""
    first = f"  {label:<10}" if label else "  "
    wrapped = textwrap.wrap(
        content,
        width,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from ((style, line) for line in wrapped)


def title(report: Report) -> str:
    """What was judged, in one line."""
    assumed = f", assuming {' and '.join(report.assumptions)}" if report.assumptions else ""
    return f"{report.target}: {report.op}, {report.dtype}{assumed}"


def own_name(report: Report) -> str:
    """What the configuration calls a candidate, where that says more than its target."""
    return "" if report.name.startswith(report.target) else report.name


def headline(report: Report) -> str:
    """The verdict in one line: what a log or an annotation needs.

    Example:
        >>> headline(Report("m:f", "softmax_vjp", "float32", "verified"))
        'VERIFIED m:f: softmax_vjp, float32'
        >>> headline(Report("m:f", "softmax_vjp", "float32", "error", error="m:f: no such file"))
        'ERROR m:f: no such file'
    """
    if report.verdict == "error":
        return f"ERROR {report.target}: {report.error.removeprefix(f'{report.target}: ')}"
    names = ", ".join(diagnosis.id for diagnosis in report.diagnoses)
    return f"{report.verdict.upper()} {title(report)}" + (f": {names}" if names else "")


def summary(reports: Sequence[Report]) -> Iterator[Line]:
    """Several runs in a few lines: how many of each verdict, and those to look at."""
    counts = Counter(report.verdict for report in reports)
    parts = [f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict]]
    yield "bold", f"{plural(len(reports), 'candidate')}: {', '.join(parts)}"
    for report in reports:
        if report.verdict != "verified":
            yield STYLES[report.verdict], f"  {headline(report)}"


def check_lines(check: CheckResult, width: int = WIDTH) -> Iterator[Line]:
    """One check in one line, and its detail where there is something to say."""
    calls = plural(check.calls, "call") if check.calls else ""
    line = f"  {check.name:<12} {check.status:<9}{calls:>14}   {ratio(check.worst_ratio)}"
    detail = "" if check.status == "pass" else " ".join(check.detail.split())
    fits = len(f"{line.rstrip()}   {detail}") <= width
    yield STYLES[check.status], (f"{line.rstrip()}   {detail}" if fits else line).rstrip()
    if not fits:
        yield from folded(" " * 12, detail, width=width)


def command(report: Report) -> str:
    """The target and the options that say what was judged, as far as the report knows them."""
    if report.command:
        return report.command
    words = [report.target, "--op", report.op, "--dtype", report.dtype]
    for assumption in report.assumptions:
        words += ["--assume", assumption]
    return shlex.join(words)


def diagnosis_lines(diagnosis: Diagnosis, width: int) -> Iterator[Line]:
    """The bug's name in a sentence, what speaks for it, and what to do."""
    sentence = f"{diagnosis.id}: {diagnosis.title}"
    yield from folded("bug", sentence, "bold", width)
    explains = f"explains {diagnosis.explains:.0%} of the failures"
    yield from folded("evidence", diagnosis.evidence or explains, width=width)
    yield from folded("fix", diagnosis.fix, width=width)


def window(n: int, index: int | None) -> range:
    """The elements of a row to show: all of a short one, else those around the failing one."""
    if n <= 2 * SHOWN:
        return range(n)
    if index is None:
        return range(SHOWN // 3)
    start = max(0, min(index - SHOWN // 2, n - SHOWN))
    return range(start, start + SHOWN)


def table(header: list[str], rows: list[list[str]], marked: int | None) -> Iterator[Line]:
    """Columns aligned right, the marked row pointed at."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    for number_of, cells in enumerate([header, *rows]):
        wrong = marked is not None and number_of == marked + 1
        sign = ">" if wrong else " "
        line = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        yield ("bold red" if wrong else "dim" if number_of == 0 else ""), f"  {sign} {line}"


def slice_of(array: Any, row: int, i: int | None) -> Any:
    """One row of a result: of a Jacobian, the row i of the matrix."""
    if array is None or row >= len(array):
        return None
    picked = array[row]
    return (
        picked[i or 0] if picked.ndim == 2 and i is not None and (i or 0) < len(picked) else picked
    )


def row_table(found: Counterexample, dtype: str, row: int) -> Iterator[Line]:
    """One row of a counterexample: inputs, got and expected, side by side."""
    index = found.index or ()
    jacobian = found.expected is not None and found.expected.ndim == 3
    i = index[1] if jacobian and len(index) > 1 else (0 if jacobian else None)
    failing = index[-1] if len(index) > 1 and index[0] == row else None
    columns: dict[str, Any] = {role: array[row] for role, array in found.inputs.items()}
    columns["got"] = slice_of(found.got, row, i)
    columns["expected"] = slice_of(found.expected, row, i)
    columns = {name: value for name, value in columns.items() if value is not None}
    shown = window(found.n, failing)
    cells = [
        [str(j), *(number(v[j], dtype) if j < len(v) else "" for v in columns.values())]
        for j in shown
        if all(np.ndim(v) == 1 for v in columns.values())
    ]
    if not cells:
        return
    if jacobian:
        yield "", f"  row {i} of the Jacobian:"
    label = "j" if jacobian else "i"
    marked = None if failing is None else shown.index(failing) if failing in shown else None
    yield from table([label, *columns], cells, marked)
    if len(shown) < found.n:
        yield "dim", f"    ... elements {shown.start} to {shown.stop - 1} of {found.n}"


def place(index: tuple[int, ...]) -> str:
    """Where in the result: the row, and the element or the entry of the Jacobian.

    Example:
        >>> place((0, 8)), place((0, 1, 2))
        ('row 0, i = 8', 'row 0, i = 1, j = 2')
    """
    names = ("row ", "i = ", "j = ")
    return ", ".join(f"{name}{int(i)}" for name, i in zip(names, index, strict=False))


def remark(found: Counterexample) -> str:
    """The detail of a counterexample, without the size and the element told before it already."""
    where, _, what = found.detail.partition(": ")
    size, *circumstances = where.split(", ")
    if size != f"n = {found.n}":
        return found.detail
    apart = [one for one in circumstances if not one.startswith("element ")]
    return ", ".join([*apart, what.removeprefix("relation: ")])


def counterexample_title(found: Counterexample) -> str:
    """Which check fails on what, and where."""
    where = f", wrong at {place(found.index)}" if found.index else ""
    scale = "" if found.scale == 1.0 else f", scale = {found.scale:g}"
    detail = f": {remark(found)}" if found.detail else ""
    return f"{found.check}, rows = {found.rows}, n = {found.n}{scale}{where}{detail}"


def counterexample_lines(found: Counterexample, dtype: str) -> Iterator[Line]:
    """The numbers of a counterexample, few enough to be checked by hand."""
    if not found.n or not found.rows:
        return
    failing = found.index[0] if found.index else 0
    every = found.rows * found.n <= 2 * SHOWN
    for row in range(found.rows) if every else [failing]:
        if found.rows > 1:
            yield "", f"  row {row}:"
        yield from row_table(found, dtype, row)


def verdict_lines(report: Report, width: int) -> Iterator[Line]:
    """The verdict with its limits, the bugs, and how accurate the candidate is."""
    if report.verdict == "error":
        yield STYLES["error"], f"ERROR  {report.error}"
        return
    yield STYLES[report.verdict], f"{report.verdict.upper()}  {title(report)}"
    for diagnosis in report.diagnoses:
        yield from diagnosis_lines(diagnosis, width)
    if report.verdict != "verified":
        for check in report.checks:
            if check.status in ("fail", "suspect") and not report.diagnoses and check.detail:
                yield from folded(check.name, check.detail, width=width)
    if report.accuracy is not None:
        tails = {True: "; tails accurate componentwise", False: "; tails lost", None: ""}
        yield from folded(
            "accuracy",
            f"{report.accuracy.kind}, worst {short(report.accuracy.worst_ulp)} ulp, "
            f"{ratio(report.accuracy.worst_ratio)}{tails[report.accuracy.componentwise_tails]}",
            width=width,
        )
    for limit in report.limits:
        yield from folded("limit", limit, "dim", width)
    effort = f"{plural(report.calls, 'call')}, {plural(report.rows, 'row')}, {report.seconds:.1f} s"
    yield from folded("tried", effort, "dim", width)


def lines(report: Report, width: int = WIDTH) -> Iterator[Line]:
    """The report after its checks: pairs of a style and a line.

    Args:
        report: what a run gave.
        width: where sentences are folded; a command to copy never is.

    Returns:
        (style, line): styles are names of rich's; plain text drops them.
    """
    yield from verdict_lines(report, width)
    if report.counterexamples:
        first, *others = report.counterexamples
        yield "", ""
        yield from folded("", f"counterexample of {counterexample_title(first)}", "bold", width)
        yield from counterexample_lines(first, report.dtype)
        if first.replay:
            yield "cyan", f"  softjac replay {shlex.quote(first.replay)} {command(report)}"
        yield from further_lines(first, others, width)


def further_lines(
    first: Counterexample, others: list[Counterexample], width: int
) -> Iterator[Line]:
    """The counterexamples of other checks, in a line each."""
    same = [other.check for other in others if alike(first, other)]
    if same:
        yield "dim", f"  the same call also fails: {', '.join(dict.fromkeys(same))}"
    for found in (other for other in others if not alike(first, other)):
        yield from folded("", f"also {counterexample_title(found)}", "dim", width)
        if found.replay:
            yield "dim", f"       replay {shlex.quote(found.replay)}"


def alike(one: Counterexample, other: Counterexample) -> bool:
    """Whether two checks failed on one and the same case."""
    return (one.n, one.rows, one.index, one.detail) == (
        other.n, other.rows, other.index, other.detail
    )  # fmt: skip


def diagnosis_page(identifier: str, entry: Entry, width: int = WIDTH) -> Iterator[str]:
    """What `softjac diagnoses ID` prints: the mistake, the fix, and where it was seen."""
    yield from textwrap.wrap(f"{identifier}: {entry.title}", width)
    yield ""
    yield from textwrap.wrap(entry.explanation, width)
    yield ""
    yield from (line for _, line in folded("", f"Fix: {entry.fix}", width=width))
    if entry.seen_in:
        yield ""
        yield from (
            line for _, line in folded("", f"Seen in: {', '.join(entry.seen_in)}", width=width)
        )


def render(report: Report) -> str:
    """The whole report as plain text.

    Args:
        report: what a run gave.

    Returns:
        A line a check, then the verdict and what belongs to it.
    """
    checks = (line for check in report.checks for _, line in check_lines(check))
    return "\n".join([*checks, *(line for _, line in lines(report))])
