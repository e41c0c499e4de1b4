"""The command `softjac`. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem as Completion

import softjac
from softjac._errors import ArgumentError, SoftjacError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "main"]

FOLDER = Path(__file__).parent
DTYPES = ("float32", "float64", "bfloat16", "float16")

HELP = """The oracle for softmax and its derivatives.

It proves a kernel right, or names the bug.

\b
Examples:
  softjac verify kernels.c:softmax_vjp --op softmax_vjp \\
      --prototype 'void f(const float *y, const float *dy, float *dx, size_t rows, size_t n)'
  softjac verify mine.py:vjp --op softmax_vjp
  softjac verify --all
  softjac show 1 2
  softjac diagnoses diagonal-only

\b
Completion in the shell (bash; zsh and fish likewise):
  eval "$(_SOFTJAC_COMPLETE=bash_source softjac)"
"""


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
    return [module.name for module in iter_modules([str(FOLDER / "oracle" / "ops")])]


def candidate_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that describe a candidate, in the order of the help text."""
    options = [
        click.option(
            "--op",
            type=OpName(op_names()),
            metavar="OP",
            help="What it claims to compute; softjac ops lists them.",
        ),
        click.option("--prototype", metavar="TEXT", help="Its C prototype; names are roles."),
        click.option(
            "--header", type=FILE, metavar="FILE", help="Take the prototype from a header."
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
            help="It is a differentiable forward function: judge its derivative.",
        ),
        click.option("--dtype", type=click.Choice(DTYPES), help="Default: the prototype's."),
        click.option(
            "--assume",
            multiple=True,
            metavar="EXPR",
            help="A precondition over n, rows and strides, such as 'n % 8 == 0'. Repeatable.",
        ),
        click.option("--not-reentrant", is_flag=True, help="It claims one caller at a time."),
        click.option("--align", type=int, metavar="BYTES", help="Alignment of its pointers."),
        click.option(
            "--in-place",
            multiple=True,
            metavar="OUT=IN",
            help="Aliasing that it claims to allow, such as dx=dy. Repeatable.",
        ),
        click.option("--accumulates", is_flag=True, help="It adds to its output by contract."),
        click.option(
            "--nonfinite",
            type=click.Choice(("strict", "report")),
            help="Whether NaN, +inf and rows of -inf must follow JAX. Default: report.",
        ),
        click.option("--over-read", type=int, metavar="BYTES", help="Reads past inputs allowed."),
        click.option("--cflags", multiple=True, metavar="FLAGS", help="More compiler flags."),
        click.option(
            "--array",
            type=click.Choice(("numpy", "jax", "torch")),
            help="The arrays that a Python callable takes. Default: what it accepts.",
        ),
        click.option("--timeout", type=float, metavar="SECONDS", help="Default: 10 per call."),
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


def identifiers(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[Completion]:
    """The names of bugs that begin so."""
    from softjac.oracle.catalogue import CATALOGUE

    return [Completion(name, help=entry.title) for name, entry in CATALOGUE.items()
            if name.startswith(begun)]  # fmt: skip


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given on the command line."""
    return {
        key: value
        for key, value in options.items()
        if value is not None and value is not False and value != ()  # 0 is given, too
    }


def console(*, stderr: bool = False) -> Console:
    """A terminal or a log: colours only on the former, and not with NO_COLOR."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


@click.group(
    help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(softjac.__version__, prog_name="softjac")
def cli() -> None:
    """The group of commands."""


@cli.command(epilog="Exit status: 0 verified, 1 refuted, 2 cannot run, 3 inconclusive.")
@click.argument("target", required=False, shell_complete=files)
@click.option("--all", "every", is_flag=True, help="Every candidate of softjac.toml.")
@candidate_options
@click.option(
    "--effort",
    type=click.Choice(("quick", "standard", "thorough")),
    help="How much is tried. Default: standard.",
)
@click.option("--seed", type=int, metavar="N", help="Of the random inputs. Default: 0.")
@click.option("--json", type=FILE, metavar="FILE", help="Write a report as JSON.")
@click.option("--junit-xml", type=FILE, metavar="FILE", help="Write a report that CI servers read.")
@click.option(
    "--html", type=FILE, metavar="FILE", help="Write a report as one page, with pictures."
)
@click.option("--markdown", type=FILE, metavar="FILE", help="Write a report for a pull request.")
@click.option("-q", "--quiet", is_flag=True, help="Only the verdict, one line a candidate.")
@click.pass_context
def verify(
    context: click.Context,
    /,
    target: str | None,
    *,
    every: bool,
    quiet: bool,
    json: str | None,
    junit_xml: str | None,
    html: str | None,
    markdown: str | None,
    **options: Any,
) -> None:
    """Judge a candidate, or with --all each one of softjac.toml.

    \b
    TARGET is one of
      path/to/lib.so:symbol      a function of a shared library, with --prototype
      path/to/file.c:symbol      C or C++ source, compiled with $CC or $CXX
      package.module:function    a Python callable, also path/to/file.py:function
      softjac:native             the project's own kernels; softjac:reference its JAX functions

    \b
    Examples:
      softjac verify build/libmine.so:f --op softmax_vjp --header mine.h --assume 'n % 8 == 0'
      softjac verify mine.py:vjp --op softmax_vjp --html report.html
      softjac verify model.py:softmax --op softmax_vjp --autodiff --array torch
      softjac verify --all --effort quick --junit-xml softjac.xml

    The parameter names of a prototype or a Python function are its roles: x logits, y result,
    dy and dx cotangents, x_dot and y_dot tangents, jac the Jacobian, n, rows, strides such as
    ldx, and scale.
    """
    from softjac.oracle import config
    from softjac.oracle.reports.live import Live

    chosen = given(options)
    if every:
        extra = sorted(chosen.keys() - {"effort", "seed", "timeout", "nonfinite"})
        if target is not None or extra:
            what = "TARGET" if target is not None else f"--{extra[0].replace('_', '-')}"
            raise click.UsageError(f"--all takes its candidates from the file: leave {what} out")
        path = config.find(Path.cwd())
        if path is None:
            raise ArgumentError(
                "no softjac.toml here or above; `softjac init HEADER` writes a first one"
            )
        entries = config.read(path)
    else:
        if target is None or "op" not in chosen:
            missing = "TARGET" if target is None else "--op"
            raise click.UsageError(f"{missing} is missing; or judge every candidate with --all")
        entries, chosen = [config.Entry(target, target, chosen)], {}
    with Live(console(), quiet=quiet) as live:
        live.progress("starting")  # JAX takes its time
        from softjac.oracle.reference import keep_compiled
        from softjac.oracle.reports.github import annotation
        from softjac.oracle.reports.text import summary
        from softjac.oracle.run import judge, worst_status, write_reports

        keep_compiled()
        reports = [judge(entry, live, **chosen) for entry in entries]
        if len(reports) > 1 and not quiet:
            for style, line in summary(reports):
                live.write(style, line)
    files = {"json": json, "junit_xml": junit_xml, "html": html, "markdown": markdown}
    write_reports(reports, files, several=every)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for note in filter(None, map(annotation, reports)):
            click.echo(note)
    context.exit(worst_status(reports))


@cli.command(epilog="Exit status: 0 it passes now, 1 it still fails, 2 cannot run.")
@click.argument("replay")
@click.argument("target", shell_complete=files)
@candidate_options
@click.pass_context
def replay(context: click.Context, /, replay: str, target: str, **options: Any) -> None:
    """Run one counterexample again, bit for bit.

    REPLAY is the string that a report gives for it, TARGET and the options are those of verify.

    \b
    Example:
      softjac replay eyJv...In0 mine.py:vjp --op softmax_vjp
    """
    from softjac.oracle.config import Entry
    from softjac.oracle.reports.live import Live
    from softjac.oracle.verdict import replay as run_again

    entry = Entry(target, target, given(options))
    report = run_again(replay, target, **entry.options)
    report.command = entry.command
    with Live(console()) as live:
        live.finish(report)
    context.exit(1 if report.verdict == "refuted" else 0)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("x", nargs=-1, required=True, type=float, metavar="X [X ...]")
def show(x: tuple[float, ...]) -> None:
    """Print softmax, its Jacobian and its VJP at the given logits.

    \b
    Examples:
      softjac show 1 2
      softjac show 40 0
    """
    from softjac.oracle.reports.show import show_lines

    for line in show_lines(x):
        click.echo(line)


@cli.command()
def ops() -> None:
    """List the ops, with the roles each takes and gives.

    \b
    Example:
      softjac ops
    """
    from softjac.oracle.ops import OPS

    for op in OPS.values():
        click.echo(f"{op.name:<22}{op.summary}")
        takes = " or ".join(", ".join(roles) for roles in op.takes)
        click.echo(f"{'':<22}takes {takes}; gives {op.output}")


@cli.command()
@click.argument("identifier", required=False, metavar="[ID]", shell_complete=identifiers)
def diagnoses(identifier: str | None) -> None:
    """List the bugs that the oracle names, or explain one.

    \b
    Examples:
      softjac diagnoses
      softjac diagnoses pointer-not-advanced
    """
    from softjac.oracle.catalogue import CATALOGUE
    from softjac.oracle.reports.live import width_of
    from softjac.oracle.reports.text import diagnosis_page, folded

    width = width_of(console())
    if identifier is None:
        for name, entry in CATALOGUE.items():
            for _, line in folded(f"{name:<28}", entry.title, width=width):
                click.echo(line)
        return
    if identifier not in CATALOGUE:
        hint = did_you_mean(identifier, CATALOGUE) or "; `softjac diagnoses` lists them"
        raise ArgumentError(f"no diagnosis is called {identifier}{hint}")
    for line in diagnosis_page(identifier, CATALOGUE[identifier], width):
        click.echo(line)


@cli.command()
def info() -> None:
    """Print versions, CPU features and the instruction set in use.

    \b
    Example:
      softjac info
    """
    from softjac.oracle.reports.info import info_lines

    for line in info_lines():
        click.echo(line)


@cli.command()
@click.argument("sources", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option("--force", is_flag=True, help="Replace a softjac.toml that is there.")
def init(sources: tuple[str, ...], *, force: bool) -> None:
    """Write a first softjac.toml from headers, sources or libraries.

    A header gives the prototypes, a library the target; with both, each function of the header
    that the library exports becomes a candidate.

    \b
    Examples:
      softjac init mine.h build/libmine.so
      softjac init kernels.c
    """
    from softjac.oracle.init import draft

    path = Path("softjac.toml")
    if path.exists() and not force:
        raise ArgumentError("softjac.toml is there already; --force replaces it")
    content, count = draft([Path(source) for source in sources])
    path.write_text(content, "utf-8")
    noun = "candidate" if count == 1 else "candidates"
    click.echo(f"softjac.toml: {count} {noun}; read it, then run softjac verify --all")


def fail(message: str) -> int:
    """One line on standard error, and the status for what cannot run."""
    from rich.text import Text

    line = Text.assemble(("softjac: ", "bold red"), " ".join(message.split()))
    console(stderr=True).print(line, soft_wrap=True)
    return 2


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
