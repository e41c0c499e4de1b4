"""The documentation: its code runs, its outputs are real, and nothing public is left out."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import softjac

TOP = Path(__file__).parent.parent
PAGES = sorted([TOP / "README.md", *(TOP / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STATUSES = ("pass", "fail", "suspect", "reported", "skipped")
NUMBER = re.compile(r"\d[\d,]*(\.\d+)?(e[+-]?\d+)?")


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """The fenced blocks of a page: language, rest of the line, content."""
    for found in FENCE.finditer(page.read_text("utf-8")):
        yield found.group(1), found.group(2), found.group(3)


def with_blocks(*languages: str) -> list[Path]:
    """The pages that have a block in one of the languages."""
    return [page for page in PAGES if any(b[0] in languages for b in blocks(page))]


@pytest.mark.parametrize("page", with_blocks("python"), ids=lambda page: page.name)
def test_python_of_the_documentation_runs(page: Path, tmp_path: Path) -> None:
    """Every block of Python runs as it stands, and so do the tests in it."""
    for number, (language, rest, content) in enumerate(blocks(page)):
        if language != "python" or "title=" in rest:
            continue
        file = tmp_path / f"test_{page.stem}_{number}.py"
        file.write_text(content)
        words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(file)]
        if not any(isinstance(n, ast.FunctionDef) and n.name.startswith("test_")
                   for n in ast.parse(content).body):  # fmt: skip
            words = [str(file)]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def masked(output: str) -> list[str]:
    """The lines of an output that every machine prints, their numbers masked.

    Left out is what a run's speed decides: the lines of the checks, limits and further cases, and
    the end of a replay string. A page may leave such lines out, and say so by a line of dots.
    """
    kept = []
    for line in output.splitlines():
        words = NUMBER.sub("#", line).replace("# calls", "# call").split()
        words = [re.sub(":(once|afresh)$", ":#", word) for word in words]
        of_check = line.startswith(" " * 12) or (words[1:2] and words[1] in STATUSES)
        if (
            words
            and not of_check
            and words[0] not in ("limit", "accuracy", "also", "replay", "the", "...")
        ):
            kept.append(" ".join(words))
    return kept


def printed(command: str, folder: Path) -> str:
    """What a command prints in a folder, with the command `softjac` of this environment."""
    here = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{here}{os.pathsep}{os.environ['PATH']}"}
    for changing in ("GITHUB_ACTIONS", "PYTEST_ADDOPTS"):
        environment.pop(changing, None)
    done = subprocess.run(
        command, shell=True, cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def followed(page: Path, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Follow a page: each command, what the page shows, what it prints.

    The folder is empty but for the examples, as they lie in the repository.
    """
    shutil.copytree(TOP / "examples", folder / "examples")
    for language, rest, content in blocks(page):
        title = re.search(r'title="([^"]+)"', rest)
        if title:
            file = folder / title.group(1)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        if language != "console":
            continue
        for step in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
            command, _, shown = step.partition("\n")
            while command.endswith("\\"):
                more, _, shown = shown.partition("\n")
                command += "\n" + more
            yield command, shown, printed(command, folder)


@pytest.mark.parametrize("page", with_blocks("console"), ids=lambda page: page.name)
def test_output_in_the_documentation_is_real(page: Path, tmp_path: Path) -> None:
    """Followed step by step, each command of a page prints what the page shows."""
    for command, shown, output in followed(page, tmp_path):
        assert masked(output) == masked(shown), f"{page.name}: {command}\n{output}"


@pytest.mark.parametrize("name", sorted(set(softjac.__all__) - {"oracle"}))
def test_every_public_name_is_in_the_reference(name: str) -> None:
    """The API page has each public name, and the name has a docstring."""
    pages = "".join(page.read_text("utf-8") for page in (TOP / "docs").glob("*.md"))
    assert f"::: softjac.{name}\n" in pages
    assert inspect.getdoc(getattr(softjac, name))


def test_every_diagnosis_has_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of diagnoses shows each bug in the code of a mutant."""
    monkeypatch.syspath_prepend(str(TOP / "docs"))
    hooks = importlib.import_module("hooks")
    sections = hooks.diagnoses("").split("\n\n## ")
    assert len(sections) == len(hooks.CATALOGUE)
    for section in sections:
        assert re.search(r"```(c|cpp|python)\n.+?\n```", section, re.DOTALL), section


def test_links_of_the_readme_lead_somewhere() -> None:
    """Relative links of README, CONTRIBUTING and the examples name files that are there."""
    for page in (TOP / "README.md", TOP / "CONTRIBUTING.md", *TOP.glob("examples/**/README.md")):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    """A broken link or a name that cannot be found fails the build."""
    pytest.importorskip("mkdocs", reason="the docs extra is not installed")
    words = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run([sys.executable, *words], cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "index.html").exists()


def refresh(page: Path) -> None:
    """Write into a page what its commands print now."""
    with tempfile.TemporaryDirectory() as folder:
        text = page.read_text("utf-8")
        for command, shown, output in followed(page, Path(folder)):
            if "\n  ...\n" in shown and masked(output) == masked(shown):
                continue  # shortened by hand, and still right
            old = f"$ {command}\n{shown}"
            clean = "\n".join(line.rstrip() for line in output.rstrip().splitlines())
            gap = "\n" if shown.endswith("\n\n") else ""
            text = text.replace(old, f"$ {command}\n{clean}\n{gap}", 1)
        page.write_text(text)


if __name__ == "__main__":
    for name in sys.argv[1:] or map(str, with_blocks("console")):
        refresh(Path(name))
