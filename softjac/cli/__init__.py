"""The command `softjac`. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from softjac._errors import SoftjacError
from softjac.cli.commands import cli
from softjac.cli.terminal import fail

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; every way to end has its exit status."""
    try:
        status = cli.main(arguments, prog_name="softjac", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "softjac"
        said = error.format_message().rstrip(".")
        status = fail(f"{said}{' See' if said.endswith('?') else '; see'} {command} --help")
    except click.ClickException as error:
        status = fail(error.format_message())
    except click.Abort:
        status = 130
    except SoftjacError as error:
        status = fail(str(error))
    except BrokenPipeError:
        # The reader of a pipe has gone: nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    except Exception:
        import traceback

        traceback.print_exc()
        status = fail("this is a fault of softjac itself, not a verdict; please report it")
    sys.exit(status)
