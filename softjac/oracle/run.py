"""Judging the candidates of a list: reports, files and exit status."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from softjac._errors import FAULT, ArgumentError, SoftjacError
from softjac.oracle.config import Entry
from softjac.oracle.findings import Report
from softjac.oracle.reports import html, json, junit, markdown
from softjac.oracle.reports.live import Live
from softjac.oracle.verdict import verify

__all__ = ["EXIT_STATUS", "judge", "worst_status", "write_reports"]

EXIT_STATUS = {"verified": 0, "refuted": 1, "error": 2, "inconclusive": 3}
# The worst of several: an error outweighs a refutation, that an inconclusive run.
WORST_FIRST = (2, 1, 3, 0)
PAGES = {"junit_xml": junit.document, "html": html.document, "markdown": markdown.document}


def judge(entry: Entry, live: Live, **overrides: Any) -> Report:
    """Judge one candidate, and show it.

    Args:
        entry: the candidate.
        live: where the run is shown.
        overrides: options that count before the entry's own.

    Returns:
        The report. A candidate that cannot run gives the verdict "error", not an exception.
    """
    options = {**entry.options, **overrides}
    live.start(f"{entry.target}: {options['op']}")
    try:
        report = verify(entry.target, progress=live.progress, **options)
    except SoftjacError as error:
        report = without_verdict(entry.target, options, str(error))
    except BrokenPipeError:
        raise  # nobody reads what `live` shows
    except Exception as error:
        traceback.print_exc()
        report = without_verdict(entry.target, options, f"{type(error).__name__}: {error}; {FAULT}")
    report.name, report.command = entry.name, entry.command
    live.finish(report)
    return report


def without_verdict(target: str, options: Mapping[str, Any], reason: str) -> Report:
    """The report on a candidate that could not be judged."""
    return Report(
        target,
        options["op"],
        options.get("dtype") or "float32",
        "error",
        tuple(options.get("assume", ())),
        error=" ".join(reason.split()),
    )


def write_reports(
    reports: Sequence[Report], files: Mapping[str, str | None], *, several: bool = False
) -> None:
    """Write the files that were asked for.

    Args:
        reports: what the runs gave.
        files: name of the file for "json", "junit_xml", "html" and "markdown"; None for none.
        several: whether JSON lists the reports, also where there is only one.

    Raises:
        ArgumentError: a file that cannot be written.
    """
    for kind, name in files.items():
        if name is None:
            continue
        if kind == "json":
            content = json.document(reports, several=several)
        else:
            content = PAGES[kind](reports)
        try:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(content, "utf-8")
        except OSError as error:
            raise ArgumentError(f"cannot write {name}: {error.strerror}") from error


def worst_status(reports: Sequence[Report]) -> int:
    """The exit status of several runs: that of the worst.

    Example:
        >>> worst_status([Report("a", "softmax", "float32", v) for v in ("verified", "refuted")])
        1
    """
    found = {EXIT_STATUS[report.verdict] for report in reports}
    return next(status for status in WORST_FIRST if status in found)
