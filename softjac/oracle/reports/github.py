"""Annotations that GitHub shows beside the code, when a workflow runs there."""

from __future__ import annotations

from softjac.oracle.description.suffixes import is_library, may_hold
from softjac.oracle.findings import Report
from softjac.oracle.reports.text import headline

__all__ = ["annotation"]

LEVELS = {"refuted": "error", "error": "error", "inconclusive": "warning"}


def escaped(content: str, *, of_property: bool = False) -> str:
    """Text as a workflow command takes it.

    References:
        https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
    """
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A")]
    if of_property:
        pairs += [(":", "%3A"), (",", "%2C")]
    for sign, code in pairs:
        content = content.replace(sign, code)
    return content


def annotation(report: Report) -> str | None:
    """The workflow command for a candidate that is not verified.

    Args:
        report: what a run gave.

    Returns:
        One line for standard output; None where the candidate is verified.

    Example:
        >>> annotation(Report("k.c:f", "softmax", "float32", "inconclusive"))
        '::warning file=k.c,title=softjac%3A inconclusive::INCONCLUSIVE k.c:f: softmax, float32'
    """
    level = LEVELS.get(report.verdict)
    if level is None:
        return None
    source = report.target.rpartition(":")[0]
    is_text = may_hold(source) and not is_library(source)
    file = f"file={escaped(source, of_property=True)}," if is_text else ""
    title = escaped(f"softjac: {report.verdict}", of_property=True)
    fixes = "".join(f"\n{d.title.rstrip('.')}. Fix: {d.fix}" for d in report.diagnoses)
    return f"::{level} {file}title={title}::{escaped(headline(report) + fixes)}"
