"""The progress bar of a terminal: what goes on, how much of it is done, and for how long."""

from __future__ import annotations

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

__all__ = ["Bar"]


class Bar:
    """A bar on the last line; it is there from `start` to `stop`, and leaves nothing behind."""

    def __init__(self, console: Console) -> None:
        description = TextColumn("  {task.description:<12}")
        columns = description, BarColumn(), Count(), TimeElapsedColumn()
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task("", visible=False)

    def start(self) -> None:
        """Draws it from now on."""
        self._progress.start()

    def stop(self) -> None:
        """Takes it away."""
        self._progress.stop()

    def show(self, what: str, done: int = 0, total: int = 0) -> None:
        """Shows how far something has come; where the total is not known, the bar pulses."""
        if total:
            self._progress.update(
                self._task, description=what, completed=done, total=total, visible=True
            )
        else:
            self._progress.remove_task(self._task)
            self._task = self._progress.add_task(what, total=None)

    def hide(self) -> None:
        """Nothing goes on."""
        self._progress.update(self._task, visible=False)


class Count(MofNCompleteColumn):
    """How much is done of how much, where that is known."""

    def render(self, task: Task) -> Text:
        """Nothing in place of 0/?."""
        return super().render(task) if task.total else Text()
