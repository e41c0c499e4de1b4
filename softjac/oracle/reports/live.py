"""What is seen while a run goes on: a line a check, and a progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from softjac.oracle.findings import CheckResult, Report
from softjac.oracle.reports.text import STYLES, check_lines, headline, lines

__all__ = ["Live"]


class Live:
    """Shows runs on a console; hand its `progress` to `softjac.verify`.

    console: where to write; a bar is drawn only where it is a terminal.
    quiet:   only the verdict, one line a candidate.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet
        self.bar = Progress(
            TextColumn("  {task.description:<12}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self.task = self.bar.add_task("", visible=False)

    def __enter__(self) -> Live:
        # rich before 14 ends a bar with an empty line, even one that is never drawn.
        if not self.bar.disable:
            self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self.bar.disable:
            self.bar.stop()

    def write(self, style: str, line: str) -> None:
        """A line in its style; a terminal folds it, a log gets it whole."""
        soft = not self.console.is_terminal
        self.console.print(Text(line, style=style), soft_wrap=soft)

    def progress(self, what: str | CheckResult, done: int = 0, total: int = 0) -> None:
        """A check goes on, or has ended."""
        if isinstance(what, CheckResult):
            self.bar.update(self.task, visible=False)
            if not self.quiet:
                for style, line in check_lines(what):
                    self.write(style, line)
        else:
            self.bar.update(
                self.task, description=what, completed=done, total=total or None, visible=True
            )

    def start(self, title: str) -> None:
        """A run begins."""
        if not self.quiet:
            self.write("bold", title)

    def finish(self, report: Report) -> None:
        """A run has ended."""
        self.bar.update(self.task, visible=False)
        if self.quiet:
            self.write(STYLES[report.verdict], headline(report))
            return
        for style, line in lines(report):
            self.write(style, line)
        self.write("", "")
