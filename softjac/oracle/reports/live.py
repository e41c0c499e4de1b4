"""What is seen while a run goes on: a line a check, and a progress bar on a terminal."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from softjac.oracle.findings import CheckResult, Report
from softjac.oracle.reports.text import STYLES, WIDTH, check_lines, headline, lines

__all__ = ["Live", "width_of"]


def width_of(console: Console) -> int:
    """Where sentences are folded: a terminal's width, if it is a narrow one."""
    return min(WIDTH, console.width) if console.is_terminal else WIDTH


class Count(MofNCompleteColumn):
    """How much is done of how much, where that is known."""

    def render(self, task: Task) -> Text:
        """Nothing in place of 0/?."""
        return super().render(task) if task.total else Text()


class Live:
    """Shows runs on a console; hand its `progress` to `softjac.verify`.

    console: where to write; a bar is drawn only where it is a terminal.
    quiet:   only the verdict, one line a candidate.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console = console
        self.quiet = quiet
        self.width = width_of(console)
        self.bar = Progress(
            TextColumn("  {task.description:<12}"),
            BarColumn(),
            Count(),
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
        """A line in its style, whole: a command that is copied from a terminal is one line."""
        self.console.print(Text(line, style=style), soft_wrap=True)

    def progress(self, what: str | CheckResult, done: int = 0, total: int = 0) -> None:
        """A check goes on, or has ended."""
        if isinstance(what, CheckResult):
            self.bar.update(self.task, visible=False)
            if not self.quiet:
                for style, line in check_lines(what, self.width):
                    self.write(style, line)
        elif total:
            self.bar.update(self.task, description=what, completed=done, total=total, visible=True)
        else:  # how long it takes is not known: the bar pulses
            self.bar.remove_task(self.task)
            self.task = self.bar.add_task(what, total=None)

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
        for style, line in lines(report, self.width):
            self.write(style, line)
        self.write("", "")
