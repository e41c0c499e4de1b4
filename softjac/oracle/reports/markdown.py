"""Reports as Markdown: a card for a job's summary or a comment on a pull request."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from softjac.oracle.findings import Report
from softjac.oracle.reports.numbers import short
from softjac.oracle.reports.text import (
    command,
    counterexample_lines,
    counterexample_title,
    own_name,
)

__all__ = ["card", "document"]

SIGNS = {"verified": "✅", "refuted": "❌", "inconclusive": "❔", "error": "⚠️"}


def cell(content: str) -> str:
    """Text that stays within a cell of a table."""
    return " ".join(content.split()).replace("|", "\\|").replace("<", "&lt;")


def worst(report: Report) -> str:
    """The largest error over its bound, of all checks."""
    ratios = [c.worst_ratio for c in report.checks if c.worst_ratio is not None]
    return short(max(ratios)) if ratios else ""


def named(report: Report) -> str:
    """The target, and what the configuration calls it where that says more."""
    name = own_name(report)
    return f"`{cell(report.target)}`" + (f" ({cell(name)})" if name else "")


def body(report: Report) -> Iterator[str]:
    """Bugs, counterexample and limits of one card."""
    if report.verdict == "error":
        yield f"{cell(report.error)}\n"
        return
    for diagnosis in report.diagnoses:
        yield f"**{diagnosis.id}**: {cell(diagnosis.title)}\n\nFix: {cell(diagnosis.fix)}\n"
    for found in report.counterexamples[:1]:
        lines = [f"  counterexample of {counterexample_title(found)}"]
        lines += [line for _, line in counterexample_lines(found, report.dtype)]
        if found.replay:
            lines.append(f"  softjac replay {shlex.quote(found.replay)} {command(report)}")
        yield "```text\n" + "\n".join(line.removeprefix("  ") for line in lines) + "\n```\n"
    yield "| check | status | calls | error/bound |\n|---|---|--:|--:|"
    for check in report.checks:
        ratio = "" if check.worst_ratio is None else short(check.worst_ratio)
        calls = f"{check.calls:,}" if check.calls else ""
        yield f"| {check.name} | {check.status} | {calls} | {ratio} |"
    limits = "; ".join(report.limits)
    if limits:
        yield f"\nLimits: {cell(limits)}."


def card(report: Report) -> str:
    """One candidate: the verdict in a heading, then what a reviewer needs.

    Args:
        report: what a run gave.

    Returns:
        Markdown text.
    """
    heading = f"### {SIGNS[report.verdict]} {report.verdict}: {named(report)}"
    ratio = worst(report)
    facts = ", ".join(
        [
            report.op,
            report.dtype,
            *([f"assuming {cell(' and '.join(report.assumptions))}"] if report.assumptions else []),
            *([f"worst error/bound {ratio}"] if ratio else []),
        ]
    )
    return "\n".join([heading, "", facts + "\n", *body(report)]) + "\n"


def document(reports: Sequence[Report]) -> str:
    """The text of a Markdown file: a table of verdicts where there are several, then the cards.

    Args:
        reports: what the runs gave.

    Returns:
        Markdown text that GitHub and GitLab render.
    """
    summary = ""
    if len(reports) > 1:
        rows = [
            f"| {SIGNS[r.verdict]} {r.verdict} | {named(r)} | {r.op} | {r.dtype} "
            f"| {', '.join(d.id for d in r.diagnoses)} | {worst(r)} |"
            for r in reports
        ]
        head = "| verdict | candidate | op | dtype | bug | error/bound |\n|---|---|---|---|---|--:|"
        summary = "\n".join([head, *rows]) + "\n\n"
        reports = [r for r in reports if r.verdict != "verified"]
    return "## softjac\n\n" + summary + "\n".join(card(report) for report in reports)
