"""The options that describe a candidate, as the command line takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import click
from click.shell_completion import CompletionItem as Completion

import softjac
from softjac._errors import ArgumentError, did_you_mean

__all__ = ["FILE", "candidate_options", "files", "given", "op_names", "writable"]

DTYPES = ("float32", "float64", "bfloat16", "float16")
# The folder is listed, not imported: that would load JAX.
OPS = Path(softjac.__file__).parent / "oracle" / "ops"

FILE = click.Path(dir_okay=False)


class OpName(click.Choice[str]):
    """An op by its name; one that is not there is told from the nearest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name, if there is such an op."""
        if value not in self.choices:
            hint = did_you_mean(str(value), self.choices)
            self.fail(f"{value!r} is not one of {', '.join(self.choices)}{hint}", param, ctx)
        return str(value)


def op_names() -> list[str]:
    """The ops there are: one file each."""
    return [module.name for module in iter_modules([str(OPS)])]


def candidate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that describe a candidate, in the order of the help text."""
    options = [
        click.option(
            "--op",
            type=OpName(op_names()),
            metavar="OP",
            help="Operation the candidate computes; softjac ops lists them.",
        ),
        click.option(
            "--prototype",
            metavar="TEXT",
            help="The candidate's C prototype; its parameter names are the roles.",
        ),
        click.option(
            "--header", type=FILE, metavar="FILE", help="Take the prototype from this header."
        ),
        click.option(
            "--roles",
            metavar="NAME=ROLE,...",
            callback=parsed_pairs,
            help="Roles of parameters with other names.",
        ),
        click.option(
            "--autodiff",
            is_flag=True,
            help="The candidate is a differentiable function of x, maybe of scale too: judge its "
            "derivative.",
        ),
        click.option(
            "--dtype", type=click.Choice(DTYPES), help="Default: the prototype's, else float32."
        ),
        click.option(
            "--assume",
            multiple=True,
            metavar="EXPR",
            help="A precondition on n, rows and strides, such as 'n % 8 == 0'. Repeatable.",
        ),
        click.option(
            "--not-reentrant",
            is_flag=True,
            help="The candidate must not be called from several threads at once.",
        ),
        click.option(
            "--align",
            type=int,
            metavar="BYTES",
            help="The alignment that the candidate needs of its pointers. Default: the dtype's.",
        ),
        click.option(
            "--in-place",
            multiple=True,
            metavar="OUT=IN",
            help="The candidate may work in place: this output may be this input, such as dx=dy. "
            "Repeatable.",
        ),
        click.option(
            "--accumulates",
            is_flag=True,
            help="The candidate adds to what its output holds, by contract.",
        ),
        click.option(
            "--nonfinite",
            type=click.Choice(("strict", "report")),
            help="Whether NaN, +inf and rows of -inf must follow JAX. Default: report.",
        ),
        click.option(
            "--over-read",
            type=int,
            metavar="BYTES",
            help="Bytes the candidate may read past the end of an input. Default: 0.",
        ),
        click.option(
            "--cflags",
            multiple=True,
            metavar="FLAGS",
            help="More compiler flags, such as --cflags=-O3. Repeatable.",
        ),
        click.option(
            "--array",
            type=click.Choice(("numpy", "jax", "torch")),
            help="Kind of arrays a Python callable takes. Default: found by trying.",
        ),
        click.option(
            "--timeout",
            type=float,
            metavar="SECONDS",
            help="The longest that a call may take; six times as long while JAX or PyTorch compile "
            "for it. Default: 10.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def parsed_pairs(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> dict[str, str] | None:
    """`a=b,c=d` as a dictionary."""
    if not text:
        return None
    pairs = [part.split("=") for part in text.split(",")]
    if any(len(pair) != 2 or not all(pair) for pair in pairs):
        raise click.BadParameter(f"expected name=role,..., got {text!r}")
    return {name.strip(): role.strip() for name, role in pairs}


def files(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[Completion]:
    """A target begins with the name of a file: the shell completes it."""
    return [Completion(begun, type="file")]


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {
        key: value
        for key, value in options.items()
        if value is not None and value is not False and value != ()  # 0 is given, too
    }


def writable(name: str) -> None:
    """Raises ArgumentError where a file could not be written; leaves all files as they are."""
    file = Path(name)
    if file.exists() and not file.is_file():
        return  # a pipe or a device: to open it would be seen
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        is_new = not file.exists()
        with file.open("a"):
            pass
        if is_new:
            file.unlink()
    except OSError as error:
        raise ArgumentError(f"cannot write {name}: {error.strerror}") from error
