"""What the documentation takes from the code itself: help texts, diagnoses, pictures.

A line `<!-- name: argument -->` of a page is replaced by what the function `name` below gives.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np

from softjac.cli.commands import cli
from softjac.oracle.catalogue import CATALOGUE
from softjac.oracle.ops import OPS
from softjac.oracle.reports.pictures import matrix

MUTANTS = Path(__file__).parent.parent / "tests" / "mutants"

MARKER = re.compile(r"^<!-- (\w+): ?(.*?) -->$", re.MULTILINE)


def command_help(name: str) -> str:
    """The help text of one command."""
    command = cli.commands[name]
    context = click.Context(command, info_name=f"softjac {name}", max_content_width=90)
    context.terminal_width = 90
    return f"```text\n{command.get_help(context)}\n```"


def ops(_: str) -> str:
    """The table of ops."""
    rows = [
        f"| `{op.name}` | {' or '.join('`' + ', '.join(t) + '`' for t in op.takes)} "
        f"| `{op.output}` | {op.summary} |"
        for op in OPS.values()
    ]
    return "\n".join(["| op | takes | gives | what |", "|---|---|---|---|", *rows])


@cache
def mutants() -> list[Any]:
    """The functions with known mistakes that the oracle's own tests judge."""
    sys.path.insert(0, str(MUTANTS))
    import specimen

    return list(specimen.mutants(MUTANTS))


def code_of(mutant: Any) -> str:
    """A mutant's function as it stands in its file, without the line of tags."""
    content = mutant.source.read_text("utf-8")
    opening = rf"def {mutant.name}\(" if mutant.kind == "py" else rf"\w[^;{{}}]*\b{mutant.name}\("
    body = r"[^\n]*\n(?:[ ]+[^\n]*\n|\n)*" if mutant.kind == "py" else r".*?^}\n"
    found = re.search(rf"^{opening}{body}", content, re.MULTILINE | re.DOTALL)
    assert found is not None, mutant.name
    code = re.sub(r"(?m)^\s*\n\s*@[^\n]*\n", "", found[0])
    comment = "" if mutant.kind == "py" else f"// {mutant.text}\n"
    return comment + re.sub(r'"""([^\n]*)\n\s*"""', r'"""\1"""', code).strip()


def example(identifier: str) -> str:
    """The shortest of the mutants that have a bug, in a block of code."""
    named = [mutant for mutant in mutants() if mutant.diagnoses[0] == identifier]
    shortest = min(named, key=lambda mutant: len(code_of(mutant)))
    language = {"py": "python", "c": "c", "cpp": "cpp"}[shortest.kind]
    return f"```{language}\n{code_of(shortest)}\n```"


def diagnoses(_: str) -> str:
    """Every diagnosis with its explanation, an example and the fix."""
    parts = []
    for name, entry in CATALOGUE.items():
        seen = f"\n\nSeen in: {', '.join(entry.seen_in)}." if entry.seen_in else ""
        parts.append(
            f"## {name}\n\n**{entry.title}**\n\n{entry.explanation}\n\n{example(name)}\n\n"
            f"Fix: {entry.fix}{seen}"
        )
    return "\n\n".join(parts)


def jacobians(logits: str) -> str:
    """The Jacobian of softmax, its diagonal, and what the diagonal leaves out, as pictures."""
    x = np.array([float(word) for word in logits.split()])
    y = np.exp(x - x.max()) / np.exp(x - x.max()).sum()
    full = np.diagflat(y) - np.outer(y, y)
    diagonal = np.diagflat(np.diagonal(full))
    largest = float(np.abs(full).max())
    figures = [
        f"<figure>{matrix(part, largest, caption)}<figcaption>{caption}</figcaption></figure>"
        for caption, part in (
            ("the Jacobian", full),
            ("its diagonal", diagonal),
            ("what the diagonal leaves out", full - diagonal),
        )
    ]
    return f'<div class="matrices">{"".join(figures)}</div>'


REPLACEMENTS = {"help": command_help, "ops": ops, "diagnoses": diagnoses, "jacobians": jacobians}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the markers of a page; an unknown one is an error."""
    return MARKER.sub(lambda found: REPLACEMENTS[found.group(1)](found.group(2)), markdown)
