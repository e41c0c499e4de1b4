"""pytest plugin: the fixture `softjac_verify`, and one test item per candidate of softjac.toml.

softjac itself is imported only when something is judged, so that import hooks and coverage that
other plugins install come first.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from softjac.oracle.config import Entry
    from softjac.oracle.findings import Report

__all__ = ["softjac_verify"]

MARKER = "softjac(**options): options of softjac.verify for `softjac_verify` in this test"
# The parts of the HTML page: of one test, and of the whole session.
PARTS = pytest.StashKey[list[dict[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options --softjac-effort and --softjac-html."""
    group = parser.getgroup("softjac", "judge softmax kernels")
    group.addoption(
        "--softjac-effort",
        choices=("quick", "standard", "thorough"),
        help="how much softjac tries, whatever the candidate or test says",
    )
    group.addoption("--softjac-html", metavar="FILE", help="write softjac's reports as one page")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and the place where parts of the page gather."""
    config.addinivalue_line("markers", MARKER)
    config.stash[PARTS] = []


def judged(
    item: pytest.Item, candidate: Any, options: dict[str, Any], name: str = "", command: str = ""
) -> Report:
    """The report on a candidate, noted for the page; its name and command, where it has them."""
    import softjac

    effort = item.config.getoption("softjac_effort")
    if effort:
        options = {**options, "effort": effort}
    report: Report = softjac.verify(candidate, **options)
    report.name, report.command = name, command
    if item.config.getoption("softjac_html"):
        from softjac.oracle.reports import html

        item.stash.setdefault(PARTS, []).append(html.section(report))
    return report


@pytest.fixture
def softjac_verify(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """Judge a candidate; the test fails with the oracle's report unless it is verified.

    Takes what `softjac.verify` takes, and returns the report. Options of the marker
    `@pytest.mark.softjac(...)` are defaults.
    """
    marker = request.node.get_closest_marker("softjac")
    defaults = dict(marker.kwargs) if marker else {}

    def verify(candidate: Any, **options: Any) -> Report:
        from softjac.oracle.reports.text import render

        report = judged(request.node, candidate, {**defaults, **options})
        if report.verdict != "verified":
            pytest.fail(render(report), pytrace=False)
        return report

    return verify


class Configuration(pytest.File):
    """softjac.toml, or a pyproject.toml with [tool.softjac]."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item per candidate."""
        from softjac._errors import ArgumentError
        from softjac.oracle.config import read

        try:
            entries = read(self.path)
        except ArgumentError as error:
            raise self.CollectError(str(error)) from error
        for entry in entries:
            yield Candidate.from_parent(self, name=entry.name, entry=entry)


class Candidate(pytest.Item):
    """A candidate as a test: it passes when it is verified."""

    def __init__(self, *, entry: Entry, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.entry = entry
        self.add_marker("softjac")

    def runtest(self) -> None:
        """Judge it."""
        from softjac._errors import RefutedError
        from softjac.oracle.reports.text import render

        entry = self.entry
        report = judged(self, entry.target, dict(entry.options), entry.name, entry.command)
        if report.verdict != "verified":
            raise RefutedError(render(report))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The oracle's report, or in one line why there is none."""
        from softjac._errors import SoftjacError

        if isinstance(excinfo.value, SoftjacError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is from, for the heading of a failure."""
        return self.path, None, f"softjac: {self.name}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Configuration | None:
    """Collect softjac.toml, and pyproject.toml where it has [tool.softjac]."""
    shared = file_path.name == "pyproject.toml" and speaks_of_softjac(file_path)
    if file_path.name != "softjac.toml" and not shared:
        return None
    configuration: Configuration = Configuration.from_parent(parent, path=file_path)
    return configuration


def speaks_of_softjac(file: Path) -> bool:
    """Whether a pyproject.toml has [tool.softjac].

    Every pytest run asks this of every pyproject.toml, also of fixtures that are wrong on purpose:
    one that cannot be read counts only where it names the table.
    """
    import tomllib

    try:
        content = file.read_bytes()
        if b"softjac" not in content:
            return False
        tools = tomllib.loads(content.decode("utf-8")).get("tool")
    except OSError:
        return False
    except ValueError:  # no UTF-8, or no TOML
        return b"tool.softjac" in content
    return isinstance(tools, dict) and "softjac" in tools


# The older kind of wrapper, which every pluggy knows: pytest of any age must load this module.
@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Send a test's parts of the page along with its report, also between processes."""
    outcome = yield
    if call.when == "call":
        vars(outcome.get_result())["softjac_parts"] = item.stash.get(PARTS, [])


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Gather the parts of all tests where the page is written."""
    config = session.config
    if config.getoption("softjac_html") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Page(config), "softjac-page")


class Page:
    """The HTML page of a session."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the parts that came with a report."""
        self.config.stash[PARTS].extend(getattr(report, "softjac_parts", []))

    def pytest_sessionfinish(self) -> None:
        """Write the page."""
        from softjac.oracle.reports import html

        parts = self.config.stash[PARTS]
        file = Path(self.config.getoption("softjac_html"))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(html.page(parts), "utf-8")
