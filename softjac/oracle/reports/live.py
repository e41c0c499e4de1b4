"""What is seen while a run goes on: a line a check, and a progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from softjac.oracle.findings import CheckResult, Report
from softjac.oracle.reports.text import STYLES, WIDTH, check_lines, headline, lines

if TYPE_CHECKING:  # rich's bars take their time to import: only where one is drawn
    from softjac.oracle.reports.bar import Bar

__all__ = ["Live", "width_of"]


def width_of(console: Console) -> int:
    """Where sentences are folded: a terminal's width, if it is a narrow one."""
    return min(WIDTH, console.width) if console.is_terminal else WIDTH


class Live:
    """Shows runs on a console; hand its `progress` to `softjac.verify`.

    console: where to write; a bar is drawn only where it is a terminal.
    quiet:   only the verdict, one line a candidate.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet
        self.width = width_of(console)
        self.bar: Bar | None = None
        if console.is_terminal and not quiet:
            from softjac.oracle.reports.bar import Bar

            self.bar = Bar(console)

    def __enter__(self) -> Live:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar:
            self.bar.stop()

    def write(self, style: str, line: str) -> None:
        """A line in its style, whole: a command that is copied from a terminal is one line."""
        self.console.print(Text(line, style=style), soft_wrap=True)

    def progress(self, what: str | CheckResult, done: int = 0, total: int = 0) -> None:
        """A check goes on, or has ended."""
        if isinstance(what, CheckResult):
            if self.bar:
                self.bar.hide()
            if not self.quiet:
                for style, line in check_lines(what, self.width):
                    self.write(style, line)
        elif self.bar:
            self.bar.show(what, done, total)

    def start(self, title: str) -> None:
        """A run begins."""
        if not self.quiet:
            self.write("bold", title)

    def finish(self, report: Report) -> None:
        """A run has ended."""
        if self.bar:
            self.bar.hide()
        if self.quiet:
            self.write(STYLES[report.verdict], headline(report))
            return
        for style, line in lines(report, self.width):
            self.write(style, line)
        self.write("", "")
