"""What is made of reports: text, JSON, JUnit, Markdown, annotations and the HTML page."""

from __future__ import annotations

import io
import json as standard_json
import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import report_samples as samples
from rich.console import Console

from softjac.oracle.findings import Counterexample, Point, Report
from softjac.oracle.reports import github, html, json, junit, markdown, pictures, text
from softjac.oracle.reports.live import Live

EVERY = pytest.mark.parametrize("make", samples.ALL, ids=lambda make: make.__name__)


def test_text_says_verdict_bug_fix_counterexample_and_replay() -> None:
    """The text holds everything a person needs to act, the failing element pointed at."""
    found = text.render(samples.refuted())
    for part in (
        "REFUTED  mine.py:vjp: softmax_vjp, float32, assuming n % 8 == 0",
        "diagonal-only: only the diagonal of the Jacobian is applied",
        "subtract the sum: dx = y * (dy - sum(y * dy))",
        (
            "softjac replay v1-c29mdGphYw mine.py:vjp --op softmax_vjp --dtype float32 "
            "--assume 'n % 8 == 0'"
        ),
        "tails lost",
    ):
        assert part in found
    (marked,) = (line for line in found.splitlines() if line.startswith("  > 1"))
    assert marked.split() == [">", "1", "0.7310586", "0", "0", "-0.19661193"]


def test_text_repeats_the_options_it_is_given() -> None:
    """The replay command carries the command line's own options where they are known."""
    report = samples.refuted()
    report.command = "lib.so:f --op softmax"
    for made in (text.render(report), markdown.document([report]), html.document([report])):
        assert "replay v1-c29mdGphYw lib.so:f --op softmax" in made


def test_a_narrow_terminal_folds_sentences_but_no_command() -> None:
    """At 60 columns sentences keep their hanging indent, and the replay command stays whole."""
    written = io.StringIO()
    shown = Live(Console(file=written, force_terminal=True, width=60, no_color=True))
    for check in samples.refuted().checks:
        shown.progress(check)
    shown.finish(samples.refuted())
    found = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", written.getvalue()).splitlines()
    (command,) = (line for line in found if "softjac replay" in line)
    assert command.endswith("--op softmax_vjp --dtype float32 --assume 'n % 8 == 0'")
    long = [line for line in found if len(line) > 60 and line != command]
    assert all(line.startswith("REFUTED") for line in long), long


def test_text_shows_a_window_of_a_long_row() -> None:
    """Of a long row only the elements around the failing one are shown."""
    n, wrong = 1000, 777
    x = np.arange(n, dtype=np.float32)[None]
    found = Counterexample("values", n, 1, {"x": x}, x, x, (0, wrong), "r")
    shown = [line for _, line in text.counterexample_lines(found, "float32")]
    assert len(shown) < 20
    assert any(line.split()[:2] == [">", "777"] for line in shown)


def test_text_shows_the_failing_row_of_a_jacobian() -> None:
    """A Jacobian is shown by the row in which it fails."""
    shown = text.render(samples.jacobian())
    assert "row 1 of the Jacobian" in shown
    assert re.search(r"> 2 +0\.5 +0\.15 +-0\.15", shown)


@EVERY
def test_no_line_of_text_runs_off(make: type[Report]) -> None:
    """Lines that can be folded end within a hundred columns."""
    for line in text.render(make()).splitlines():
        assert len(line) <= 110


def test_json_has_the_keys_of_the_contract() -> None:
    """Every key of schema 1 is there, with its meaning."""
    keys = standard_json.loads(json.document([samples.refuted()]))
    assert keys["schema"] == 1
    assert keys["verdict"] == "refuted"
    assert keys["assumptions"] == ["n % 8 == 0"]
    assert set(keys["checks"][0]) == {"name", "status", "calls", "worst_ratio", "detail"}
    assert set(keys["diagnoses"][0]) == {"id", "title", "explains", "evidence", "fix"}
    assert keys["accuracy"] == {
        "class": "lanes", "worst_ulp": 1.4, "worst_ratio": 0.41, "componentwise_tails": False
    }  # fmt: skip
    found = keys["counterexamples"][0]
    assert {"check", "n", "rows", "replay", "inputs", "got", "expected", "index"} <= set(found)
    assert found["index"] == [0, 1]
    assert "error" not in keys


def test_json_numbers_are_exact() -> None:
    """Decimal and hexadecimal numbers both give back the float32 they came from."""
    report = samples.refuted()
    found = json.as_dict(report)["counterexamples"][0]
    y = report.counterexamples[0].inputs["y"]
    assert np.array_equal(np.float32(found["inputs"]["y"]), y)
    assert [float.fromhex(h) for h in found["inputs_hex"]["y"][0]] == y[0].tolist()


def test_json_writes_what_is_not_finite_as_strings() -> None:
    """Infinities and NaN are strings, so that every JSON reader can read the file."""
    keys = json.as_dict(samples.refuted())
    assert keys["checks"][-1]["worst_ratio"] == "inf"
    second = keys["counterexamples"][1]
    assert second["inputs"]["dy"] == [["inf", "-inf"]]
    assert second["got"] == [["nan", 0.0]]
    assert second["expected"] is None


def test_json_of_several_lists_them() -> None:
    """`--all` gives a list, also of one."""
    keys = standard_json.loads(json.document([samples.verified()], several=True))
    assert keys["schema"] == 1
    assert [report["verdict"] for report in keys["reports"]] == ["verified"]


def test_json_of_an_error_says_why() -> None:
    """A candidate that cannot run has the verdict "error" and the reason."""
    keys = json.as_dict(samples.unable())
    assert keys["verdict"] == "error"
    assert keys["error"] == "lib.so has no symbol 'none'; it has: softmax"


def test_json_leaves_out_huge_arrays() -> None:
    """An array that no file should hold is null; its replay string rebuilds it."""
    x = np.zeros((2, 40000), np.float32)
    report = samples.crashed()
    report.counterexamples[0].inputs = {"x": x}
    found = json.as_dict(report)["counterexamples"][0]
    assert found["inputs"]["x"] is None
    assert found["replay"] == "v1-b2"


def test_junit_counts_what_failed() -> None:
    """A suite a candidate; failing checks and verdicts are failures, unable ones errors."""
    root = ElementTree.fromstring(junit.document([make() for make in samples.ALL]))
    suites = {suite.get("name", ""): suite for suite in root}
    assert len(suites) == len(samples.ALL)
    refuted = suites["softjac.softmax_vjp.float32.mine.py:vjp"]
    assert (refuted.get("tests"), refuted.get("failures"), refuted.get("skipped")) == (
        "6", "3", "1"
    )  # fmt: skip
    verdict = refuted.find("testcase[@name='verdict']/failure")
    assert verdict is not None
    assert "diagonal-only" in str(verdict.text)
    assert suites["softjac.softmax.float64.softjac:native"].get("failures") == "0"
    assert suites["softjac.softmax.float32.lib.so:none"].get("errors") == "1"
    assert suites["softjac.softmax_jacobian.float32.lib.so:f"].get("failures") == "2"


def test_junit_survives_characters_that_xml_forbids() -> None:
    """A detail with control characters still gives XML that parses."""
    report = samples.unable()
    report.error = "compiler said \x1b[31merror\x00"
    ElementTree.fromstring(junit.document([report]))


def test_markdown_card_is_enough_for_a_review() -> None:
    """The card has verdict, bug, counterexample and ratio; a pipe cannot break its table."""
    report = samples.refuted()
    report.diagnoses[0].title = "a | b"
    card = markdown.card(report)
    for part in ("refuted: `mine.py:vjp`", "**diagonal-only**", "a \\| b", "> 1", "| inf |"):
        assert part in card


def test_markdown_of_several_has_cards_only_for_what_needs_attention() -> None:
    """Every candidate is in the table; verified ones have no card."""
    document = markdown.document([samples.refuted(), samples.verified()])
    assert document.count("| ✅ verified |") == 1
    assert document.count("### ") == 1


def test_annotations_only_where_something_is_wrong() -> None:
    """A refuted source file is annotated as an error; a verified one is not mentioned."""
    assert github.annotation(samples.verified()) is None
    line = github.annotation(samples.refuted())
    assert line is not None
    assert line.startswith("::error file=mine.py,title=softjac%3A refuted::")
    assert "\n" not in line
    assert "%25 8" in line
    for file, is_text in {"a.cxx": True, "a.cc": True, "liba.so.1": False, "m": False}.items():
        note = github.annotation(Report(f"{file}:f", "softmax", "float32", "refuted"))
        assert note is not None
        assert (f"file={file}," in note) == is_text


class Page(HTMLParser):
    """What a page opens, closes and refers to."""

    VOID = frozenset(
        {"meta", "wbr", "link", "br", "img", "circle", "path", "line", "rect", "polyline"}
    )

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.seen: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag and what it refers to."""
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("href", "src"):
                self.references.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        """Tags close in order."""
        if tag not in self.VOID:
            assert self.open.pop() == tag


@EVERY
def test_html_is_well_formed_and_self_contained(make: type[Report]) -> None:
    """One page: every tag closed, no script, nothing loaded from elsewhere."""
    page = Page(html.document([make(), samples.verified()]))
    assert page.open == []
    assert "script" not in page.seen
    assert all(r.startswith("#") and r[1:] in page.ids for r in page.references)


def test_html_has_the_pictures() -> None:
    """Expected, got and difference, the two error plots and the exp curve are drawn."""
    content = html.document([samples.refuted()])
    assert content.count("<svg") == 6
    for caption in ("expected (largest 0.197)", "got (same scale)", "difference", "modulo 16"):
        assert caption in content
    assert "prefers-color-scheme: dark" in content
    assert "@media print" in content


def test_html_tells_candidates_of_one_target_apart() -> None:
    """Each row of the table leads to its own part of the page, and says what was assumed."""
    one, other = samples.refuted(), samples.refuted()
    one.name, other.assumptions = "as claimed", ()
    page = Page(html.document([one, other]))
    assert page.references == ["#candidate-1", "#candidate-2"] == [f"#{name}" for name in page.ids]
    content = html.document([one, other])
    assert "as claimed" in content
    assert content.count("<small>assuming n % 8 == 0</small>") == 1
    assert "2 candidates:" in content


def test_html_escapes_what_it_is_given() -> None:
    """A target's name cannot become markup."""
    report = samples.unable()
    report.target = report.error = "<script>alert(1)</script>"
    assert "<script>" not in html.document([report])


def test_sections_travel_between_processes() -> None:
    """What a worker hands to the process that writes the page is plain strings."""
    part = standard_json.loads(standard_json.dumps(html.section(samples.refuted())))
    assert html.page([part]) == html.document([samples.refuted()])


def test_matrix_tells_signs_zeros_and_nan_apart_without_colour() -> None:
    """Filled, hollow, dot and cross are different shapes, not different colours alone."""
    drawn = str(pictures.matrix([[1.0, -1.0], [0.0, math.nan]], 1.0, "four"))
    for shape in ('class="plus"', 'class="minus"', "<circle", 'class="bad"'):
        assert drawn.count(shape) == 1


def test_plots_draw_ratios_that_are_not_finite() -> None:
    """An infinite or undefined ratio is drawn as beyond the bound."""
    points = [Point(1, 0.5, 0), Point(8, math.inf, 3), Point(9, math.nan, 4)]
    for drawn in (pictures.ratio_by_length(points), pictures.ratio_by_lane(points)):
        assert drawn.count('class="bad"') == 2
        assert drawn.count('class="good"') == 1
        assert "nan" not in re.sub(r"<title>.*?</title>", "", drawn)
