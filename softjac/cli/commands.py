"""The commands, each with its help text: `softjac verify`, `softjac show` and the others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem as Completion

import softjac
from softjac._errors import ArgumentError, did_you_mean
from softjac.cli.options import FILE, candidate_options, files, given, writable
from softjac.cli.terminal import console

__all__ = ["cli"]

HELP = """The oracle for softmax and its derivatives.

It tests a kernel against proven error bounds, and names the bug when it is wrong.

\b
Examples:
  softjac verify kernels.c:softmax_vjp --op softmax_vjp \\
      --prototype 'void softmax_vjp(const float *y, const float *dy, float *dx, size_t n)'
  softjac verify mine.py:vjp --op softmax_vjp
  softjac verify --all
  softjac show 1 2
  softjac diagnoses diagonal-only

\b
Completion in the shell (bash; zsh and fish likewise):
  eval "$(_SOFTJAC_COMPLETE=bash_source softjac)"
"""


def identifiers(
    _context: click.Context, _parameter: click.Parameter, begun: str
) -> list[Completion]:
    """The names of bugs that begin so."""
    from softjac.oracle.catalogue import CATALOGUE

    return [Completion(name, help=entry.title) for name, entry in CATALOGUE.items()
            if name.startswith(begun)]  # fmt: skip


@click.group(
    help=HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(softjac.__version__, prog_name="softjac")
def cli() -> None:
    """The group of commands."""


@cli.command(epilog="Exit status: 0 verified, 1 refuted, 2 cannot run, 3 inconclusive.")
@click.argument("target", required=False, shell_complete=files)
@click.option(
    "--all",
    "every",
    is_flag=True,
    help="Every candidate of softjac.toml, or of [tool.softjac] in pyproject.toml.",
)
@candidate_options
@click.option(
    "--effort",
    type=click.Choice(("quick", "standard", "thorough")),
    help="How much is tried. Default: standard.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    metavar="N",
    help="Seed of the random inputs. Default: 0.",
)
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
    wanted = {"json": json, "junit_xml": junit_xml, "html": html, "markdown": markdown}
    for name in filter(None, wanted.values()):
        writable(name)
    from softjac.oracle.judging.allocation import keep_freed_memory
    from softjac.oracle.judging.judge_process import judging_beside

    keep_freed_memory()
    with judging_beside():  # it takes its time to start: meanwhile the rest is imported
        from softjac.oracle.reports.github import annotation
        from softjac.oracle.reports.live import Live
        from softjac.oracle.reports.text import summary
        from softjac.oracle.run import judge, worst_status, write_reports

        with Live(console(), quiet=quiet) as live:
            reports = [judge(entry, live, **chosen) for entry in entries]
            if len(reports) > 1 and not quiet:
                for style, line in summary(reports):
                    live.write(style, line)
    write_reports(reports, wanted, several=every)
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

    REPLAY is the string that the report prints after `softjac replay`; TARGET and the options are
    those that `softjac verify` was given.

    \b
    Example:
      softjac replay values:simple:2:20:0:...:once mine.py:vjp --op softmax_vjp
    """
    from softjac.oracle.config import Entry
    from softjac.oracle.reports.live import Live

    chosen = given(options)
    if "op" not in chosen:
        raise click.UsageError("--op is missing: the replay needs the options of verify")
    entry = Entry(target, target, chosen)
    with Live(console()) as live:
        live.progress("starting")  # JAX takes its time
        from softjac.oracle.verdict import replay as run_again

        report = run_again(replay, target, **entry.options)
        report.command = entry.command
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
