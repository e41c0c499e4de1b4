"""Reports as one HTML page that needs nothing but itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

import softjac
from softjac.oracle.findings import Report
from softjac.oracle.reports import pictures
from softjac.oracle.reports.numbers import plural, short
from softjac.oracle.reports.text import (
    VERDICTS,
    alike,
    command,
    counterexample_lines,
    counterexample_title,
    own_name,
)

if TYPE_CHECKING:  # it takes its time to import: only for a page
    from jinja2 import Template

__all__ = ["document", "page", "section"]

SIGNS = {"verified": "✓", "refuted": "✗", "inconclusive": "?", "error": "!"}


@cache
def template(name: str) -> Template:
    """A template of this package."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.globals.update(short=short, plural=plural, signs=SIGNS, verdicts=VERDICTS)
    environment.filters["breakable"] = breakable
    source = resources.files(__package__).joinpath(name).read_text("utf-8")
    return environment.from_string(source)


def jacobian_pictures(report: Report) -> list[tuple[str, Markup]]:
    """The Jacobian expected, got and their difference, each with its caption."""
    if report.jacobian is None:
        return []
    expected, got = (np.asarray(part, dtype=np.float64) for part in report.jacobian)
    difference = got - expected
    finite = np.abs(expected[np.isfinite(expected)])
    largest = float(finite.max(initial=0.0))
    wrong = np.abs(difference[np.isfinite(difference)]).max(initial=0.0)
    return [
        (caption, pictures.matrix(part, scale, caption))
        for caption, part, scale in (
            (f"expected (largest {largest:.3g})", expected, largest),
            ("got (same scale)", got, largest),
            (f"difference (at most {wrong:.3g})", difference, largest),
        )
    ]


def plots(report: Report) -> list[tuple[str, Markup]]:
    """The curves that the run gives, each with its caption."""
    drawn = []
    if report.points:
        lanes = f"worst error over bound against position modulo {pictures.LANES}"
        drawn.append(("worst error over bound against n", pictures.ratio_by_length(report.points)))
        drawn.append((lanes, pictures.ratio_by_lane(report.points)))
    if report.exp_errors:
        drawn.append(("error of exp in ulp against x - max", pictures.exp_curve(report.exp_errors)))
    return drawn


def breakable(name: str) -> Markup:
    """A file's or function's name that a narrow page may break where its parts end."""
    return Markup(re.sub(r"([/:._])", r"\1<wbr>", str(Markup.escape(name))))


def section(report: Report) -> dict[str, str]:
    """One candidate's part of the page, and what the table at its top says of it.

    Args:
        report: what a run gave.

    Returns:
        Strings only, so that a process can hand it to another.
    """
    first = report.counterexamples[:1]
    others = [found for found in report.counterexamples[1:] if not alike(first[0], found)]
    same = [found.check for found in report.counterexamples[1:] if alike(first[0], found)]
    counterexamples = [
        {
            "title": counterexample_title(found),
            "numbers": "\n".join(
                line.removeprefix("  ") for _, line in counterexample_lines(found, report.dtype)
            ),
            "replay": found.replay,
        }
        for found in [*first, *others]
    ]
    content: dict[str, Any] = {
        "report": report,
        "command": command(report),
        "counterexamples": counterexamples,
        "same": list(dict.fromkeys(same)),
        "jacobian": jacobian_pictures(report),
        "plots": plots(report),
    }
    return {
        "name": own_name(report),
        "assumed": " and ".join(report.assumptions),
        "verdict": report.verdict,
        "target": report.target,
        "op": report.op,
        "dtype": report.dtype,
        "bug": ", ".join(d.id for d in report.diagnoses),
        "html": template("section.html.jinja").render(content),
    }


def page(sections: Sequence[dict[str, str]]) -> str:
    """The page of several candidates.

    Args:
        sections: what `section` gave for each.

    Returns:
        HTML text with its style and pictures inside, and no script.
    """
    parts = [{**part, "html": Markup(part["html"])} for part in sections]
    counts = Counter(part["verdict"] for part in sections)
    return template("page.html.jinja").render(
        sections=parts, counts=counts, version=softjac.__version__
    )


def document(reports: Sequence[Report]) -> str:
    """The text of an HTML file.

    Args:
        reports: what the runs gave.

    Returns:
        One self-contained page.
    """
    return page([section(report) for report in reports])
