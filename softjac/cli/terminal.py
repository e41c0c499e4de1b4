"""Where the command writes: a terminal or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "fail"]


def console(*, stderr: bool = False) -> Console:
    """A terminal or a log: colours only on the former, and not with NO_COLOR."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def fail(message: str) -> int:
    """One line on standard error, and the status for what cannot run."""
    from rich.text import Text

    line = Text.assemble(("softjac: ", "bold red"), " ".join(message.split()))
    console(stderr=True).print(line, soft_wrap=True)
    return 2
