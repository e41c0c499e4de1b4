"""Reports as JUnit XML: a suite a candidate, a case a check, and one for the verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from softjac.oracle.findings import CheckResult, Report
from softjac.oracle.reports.text import headline, render

__all__ = ["document"]

# Characters that XML 1.0 does not allow, whatever the escaping.
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(content: str) -> str:
    """The text without what XML cannot hold."""
    return FORBIDDEN.sub("�", content)


def add_case(suite: ElementTree.Element, name: str, seconds: float = 0.0) -> ElementTree.Element:
    """A test case of the suite."""
    return ElementTree.SubElement(
        suite, "testcase", classname=suite.get("name", ""), name=name, time=f"{seconds:.3f}"
    )


def add_outcome(case: ElementTree.Element, tag: str, message: str, body: str = "") -> None:
    """What happened in a case: failure, error or skipped."""
    element = ElementTree.SubElement(case, tag, message=clean(message))
    element.text = clean(body)


def add_check(suite: ElementTree.Element, check: CheckResult) -> None:
    """A check as a case; what is only reported passes, with its detail as output."""
    case = add_case(suite, check.name)
    if check.status in ("fail", "suspect"):
        add_outcome(case, "failure", f"{check.status}: {check.detail}")
    elif check.status == "skipped":
        add_outcome(case, "skipped", check.detail)
    elif check.detail:
        ElementTree.SubElement(case, "system-out").text = clean(check.detail)


def add_suite(root: ElementTree.Element, report: Report) -> None:
    """The suite of one candidate."""
    name = clean(f"softjac.{report.op}.{report.dtype}.{report.target}")
    suite = ElementTree.SubElement(root, "testsuite", name=name, time=f"{report.seconds:.3f}")
    for check in report.checks:
        add_check(suite, check)
    case = add_case(suite, "verdict", report.seconds)
    if report.verdict == "error":
        add_outcome(case, "error", report.error)
    elif report.verdict != "verified":
        add_outcome(case, "failure", headline(report), render(report))
    for counter, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(counter, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))


def document(reports: Sequence[Report]) -> str:
    """The text of a JUnit XML file.

    Args:
        reports: what the runs gave.

    Returns:
        XML text. A case fails where its check failed or is suspect; the case "verdict" holds the
        whole report where the candidate is not verified.
    """
    root = ElementTree.Element("testsuites", name="softjac")
    for report in reports:
        add_suite(root, report)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
