"""The command `softjac`. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from softjac._errors import FAULT, SoftjacError
from softjac.cli.commands import cli
from softjac.cli.terminal import fail

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; every way to end has its exit status."""
    try:
        status = ended(sys.argv[1:] if arguments is None else list(arguments))
    except (BrokenPipeError, SystemExit) as gone:
        # rich turns the one into the other, with the status that means "refuted" here.
        if isinstance(gone, SystemExit) and not isinstance(gone.__context__, BrokenPipeError):
            raise
        # The reader of a pipe has gone: nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    sys.exit(status)


def ended(words: list[str]) -> int:
    """The exit status of the command; a pipe without a reader is the caller's affair."""
    try:
        if "_SOFTJAC_COMPLETE" in os.environ:
            cli.main(words, prog_name="softjac")
        # click's `main` would end with 1 where a pipe has no reader.
        with cli.make_context("softjac", words) as context:
            return int(cli.invoke(context) or 0)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "softjac"
        said = error.format_message().rstrip(".")
        return fail(f"{said}{' See' if said.endswith('?') else '; see'} {command} --help")
    except click.ClickException as error:
        return fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SoftjacError as error:
        return fail(str(error))
    except BrokenPipeError:
        raise
    except Exception:
        import traceback

        traceback.print_exc()
        return fail(FAULT)
