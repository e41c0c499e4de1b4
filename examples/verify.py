"""Judge the bundled kernels and from_the_question, and compare each verdict with the one expected.

Run by `make verify`. Writes build/verify.json and build/verify.html; the exit status is 0 when
every verdict is the expected one, 1 when one is not, 2 when a candidate could not run.
"""

from __future__ import annotations

import argparse
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from softjac.cli.options import op_names
from softjac.cli.terminal import console
from softjac.oracle.config import Entry, read
from softjac.oracle.findings import CheckResult, Report
from softjac.oracle.reports.info import cpu_features, info_lines
from softjac.oracle.reports.live import Live
from softjac.oracle.reports.numbers import short
from softjac.oracle.reports.text import STYLES, render
from softjac.oracle.run import judge, write_reports

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Case:
    """A candidate and what must come of it."""

    entry: Entry
    expected: dict[str, Any]

    def missing(self) -> str:
        """What the machine lacks for this candidate."""
        need = self.expected.get("needs", "")
        return need if need and need not in cpu_features() else ""

    def surprise(self, report: Report) -> str:
        """How the report differs from what was expected; empty where it does not."""
        wanted = self.expected
        names = [diagnosis.id for diagnosis in report.diagnoses]
        if report.verdict != wanted["verdict"]:
            return f"expected {wanted['verdict']}"
        if names[:1] != ([wanted["diagnosis"]] if "diagnosis" in wanted else names[:1]):
            return f"expected {wanted['diagnosis']}"
        if "n" in wanted and report.counterexamples[0].n != wanted["n"]:
            return f"expected a counterexample at n = {wanted['n']}"
        return ""


class Brief(Live):
    """Shows a bar while a candidate is judged, and leaves the lines to the caller."""

    def start(self, title: str) -> None:
        """Nothing: the caller writes one line at the end."""

    def progress(self, what: str | CheckResult, done: int = 0, total: int = 0) -> None:
        """Only the bar."""
        if not isinstance(what, CheckResult):
            super().progress(what, done, total)

    def finish(self, report: Report) -> None:
        """Hide the bar."""
        if self.bar:
            self.bar.hide()


def bundled() -> list[Case]:
    """The project's own kernels: every op and dtype."""
    return [
        Case(
            Entry(f"{op} {dtype}", "softjac:native", {"op": op, "dtype": dtype}),
            {"verdict": "verified"},
        )
        for op in op_names()
        for dtype in ("float32", "float64")
    ]


def folder(path: Path) -> list[Case]:
    """The candidates of a folder's softjac.toml, with the verdicts of its expected.toml."""
    expected = tomllib.loads((path / "expected.toml").read_text("utf-8"))
    entries = read(path / "softjac.toml")
    if expected.keys() != {entry.name for entry in entries}:
        raise SystemExit(f"{path}: softjac.toml and expected.toml name different candidates")
    return [Case(entry, expected[entry.name]) for entry in entries]


def judged(case: Case, live: Live, effort: str) -> tuple[Report, str]:
    """The report on a case and its surprise, shown in one line; a surprise in full."""
    start = time.perf_counter()
    report = judge(case.entry, live, effort=effort)
    surprise = case.surprise(report)
    ratios = [check.worst_ratio for check in report.checks if check.worst_ratio is not None]
    facts = ", ".join(diagnosis.id for diagnosis in report.diagnoses)
    if report.verdict == "verified" and ratios:
        facts = f"error/bound {short(max(ratios))}"
    line = Text.assemble(
        f"  {case.entry.name:<50} ",
        (f"{report.verdict:<13}", STYLES[report.verdict]),
        f"{time.perf_counter() - start:5.1f} s   {facts}",
        (f"   {surprise.upper()}" if surprise else "", "bold red"),
    )
    live.console.print(line, soft_wrap=True)
    if surprise:
        live.console.print(Text(render(report)), soft_wrap=True)
    return report, surprise


def main() -> int:
    """Judge everything; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--effort", default="quick", choices=("quick", "standard", "thorough"))
    parser.add_argument("--output", type=Path, default=Path("build"), metavar="FOLDER")
    chosen = parser.parse_args()
    reports: list[Report] = []
    surprises: list[str] = []
    skipped: list[str] = []
    groups = {
        "the bundled kernels, against the reference": bundled(),
        "the code of the question, examples/from_the_question": folder(HERE / "from_the_question"),
    }
    out = console()
    for line in info_lines():
        out.print(line, soft_wrap=True)
    with Brief(out) as live:
        for title, cases in groups.items():
            out.print(f"\n{title}", style="bold")
            for case in cases:
                if case.missing():
                    skipped.append(case.entry.name)
                    out.print(f"  {case.entry.name:<50} skipped: no {case.missing()} here")
                    continue
                report, surprise = judged(case, live, chosen.effort)
                reports.append(report)
                surprises += [case.entry.name] if surprise else []
    files = {kind: str(chosen.output / f"verify.{kind}") for kind in ("json", "html")}
    write_reports(reports, files, several=True)
    counts = f"{len(reports) - len(surprises)} of {len(reports)} verdicts as expected"
    also = f", {len(skipped)} skipped" if skipped else ""
    out.print(f"\n{counts}{also}; details in {files['json']} and {files['html']}", soft_wrap=True)
    if any(report.verdict == "error" for report in reports):
        return 2
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
