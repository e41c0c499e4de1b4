"""The package without a compiler: it installs, says so once, and what needs no C works."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PARTS = ("pyproject.toml", "README.md", "LICENSE", "Makefile", "pytest_softjac.py")


@pytest.fixture(scope="module")
def pure(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A wheel built from the sources where neither compiler nor make is found: log and file."""
    folder = tmp_path_factory.mktemp("pure")
    for part in PARTS:
        shutil.copy(TOP / part, folder / part)
    built = shutil.ignore_patterns("libsoftjac*", "_abi.py", "__pycache__")
    for part in ("softjac", "csrc"):
        shutil.copytree(TOP / part, folder / part, ignore=built)
    (folder / "nothing").mkdir()
    environment = {**os.environ, "PATH": str(folder / "nothing")}
    environment.pop("CC", None)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "out"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (folder / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return done.stdout + done.stderr, wheel


def run_without_library(wheel: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the unpacked wheel as the only softjac there is."""
    place = wheel.parent.parent / "installed"
    environment = {**os.environ, "PYTHONPATH": str(place)}
    checked = f"import softjac; assert softjac.__file__.startswith({str(place)!r})\n{code}"
    words = [sys.executable, "-c", checked]
    return subprocess.run(words, env=environment, cwd=place, capture_output=True, text=True)


def test_a_wheel_without_a_compiler_holds_no_library(pure: tuple[str, Path]) -> None:
    """The build says once what is missing; the wheel does not pass for every platform's."""
    log, wheel = pure
    assert log.count("without the kernels") == 1
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith((".so", ".dylib"))]
    for needed in (
        "softjac/py.typed",
        "pytest_softjac.py",
        "softjac/oracle/reports/page.html.jinja",
    ):
        assert needed in names


def test_the_reference_works_without_the_library(pure: tuple[str, Path]) -> None:
    """`import softjac` and the reference need no compiled code."""
    code = "print(softjac.softmax(__import__('numpy').array([0.0, 0.0], 'float32')))"
    done = run_without_library(pure[1], code)
    assert done.stdout.strip() == "[0.5 0.5]", done.stderr


def test_python_is_judged_without_the_library(pure: tuple[str, Path]) -> None:
    """A Python function can be judged; C, compiled or not, says what is missing."""
    code = (
        "vjp = lambda y, dy: y * (1 - y) * dy\n"
        "print(softjac.verify(vjp, op='softmax_vjp', effort='quick').verdict)\n"
        "library = softjac.CFunction('m.so', 'f', 'void f(const float *x, float *y, int n)')\n"
        "try:\n"
        "    softjac.verify(library, op='softmax')\n"
        "except softjac.SoftjacError as error:\n"
        "    print(error)\n"
    )
    (pure[1].parent.parent / "installed" / "m.so").touch()
    done = run_without_library(pure[1], code)
    verdict, message = done.stdout.splitlines()
    assert verdict == "refuted"
    assert message.startswith("the sandbox needs the compiled library")


def test_native_says_how_to_build_the_library(pure: tuple[str, Path]) -> None:
    """Calling a kernel that is not there raises one line that says what to do."""
    code = (
        "import numpy\n"
        "try:\n"
        "    softjac.native.softmax(numpy.zeros((1, 2), 'float32'))\n"
        "except softjac.LibraryMissingError as error:\n"
        "    print(error)\n"
    )
    done = run_without_library(pure[1], code)
    assert "make" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count("\n") == 1


PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_dependencies_have_lower_bounds() -> None:
    """Every run-time dependency says the oldest version it works with."""
    assert all(">=" in dependency for dependency in PROJECT["dependencies"])


def imported(file: Path) -> set[str]:
    """The top-level modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


def distributions(words: list[str]) -> set[str]:
    """The names of packages in a list of requirements, as they are compared."""
    return {re.split(r"[^\w-]", word)[0].lower().replace("_", "-") for word in words}


# What an extra brings, and pytest, whose plugin is loaded by pytest alone.
OPTIONAL = {"strategies": "strategies", "lineax": "lineax", "pytest_softjac": "test"}


def test_what_is_imported_is_a_dependency() -> None:
    """No package is there by the grace of another: each that is imported is asked for."""
    packages = metadata.packages_distributions()
    missing = []
    for file in [*(TOP / "softjac").rglob("*.py"), TOP / "pytest_softjac.py"]:
        extra = PROJECT["optional-dependencies"].get(OPTIONAL.get(file.stem, ""), [])
        asked = distributions(PROJECT["dependencies"] + extra)
        for name in imported(file) - sys.stdlib_module_names - {"softjac"}:
            if not distributions(packages.get(name, [name])) & asked:
                missing.append((file.name, name))
    assert not missing


WORKFLOWS = sorted((TOP / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_run_what_the_makefile_has(workflow: Path) -> None:
    """CI runs the commands that a contributor runs: every target that it names exists."""
    rules = "".join(f.read_text("utf-8") for f in (TOP / "Makefile", TOP / "csrc" / "lib.mk"))
    named = re.findall(r"run: make (.+)", workflow.read_text("utf-8"))
    targets = {word for line in named for word in line.split() if "=" not in word}
    assert targets <= set(re.findall(r"^([a-z-]+):", rules, re.MULTILINE))


@pytest.mark.skipif(not WORKFLOWS, reason="a source distribution has no workflows")
def test_every_python_that_is_claimed_is_tested() -> None:
    """The classifiers' versions of Python are those of the workflow of the tests."""
    claimed = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    (workflow,) = (file for file in WORKFLOWS if file.stem == "test")
    tested = re.findall(r'python: "(3\.\d+)"', workflow.read_text("utf-8"))
    assert sorted(claimed) == sorted(tested)


@pytest.mark.skipif(not WORKFLOWS, reason="a source distribution has no workflows")
def test_a_tag_must_be_the_version() -> None:
    """The workflow that publishes stops where the tag is not the package's version."""
    (workflow,) = (file for file in WORKFLOWS if file.stem == "wheels")
    (command,) = re.findall(r"run: (grep .+)", workflow.read_text("utf-8"))
    version = re.findall('__version__ = "(.+)"', (TOP / "softjac" / "__init__.py").read_text())[0]
    for tag, status in ((f"v{version}", 0), (f"v{version}1", 1), ("v", 1)):
        environment = {**os.environ, "GITHUB_REF_NAME": tag}
        done = subprocess.run(command, shell=True, cwd=TOP, env=environment)
        assert done.returncode == status


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.stem)
def test_every_job_has_a_limit(workflow: Path) -> None:
    """A job that hangs is ended."""
    text = workflow.read_text("utf-8")
    assert text.count("runs-on:") == text.count("timeout-minutes:")


def test_ci_says_the_same_thing_everywhere() -> None:
    """What CONTRIBUTING says that CI runs is what .ci/run and the workflow run."""
    if not (TOP / ".ci" / "run").exists():
        pytest.skip("a source distribution has no CI")
    steps = re.findall(r"^step (make [^#\n]+?) *(?:#.*)?$", (TOP / ".ci" / "run").read_text(), re.M)
    contributing = " ".join((TOP / "CONTRIBUTING.md").read_text("utf-8").split())
    (workflow,) = (file for file in WORKFLOWS if file.stem == "test")
    runs = re.findall(r"run: (make .+)", workflow.read_text("utf-8"))
    for step in steps:
        assert f"`{step}`" in contributing
        assert step in runs
    for run in set(runs) - {"make venv"}:
        assert f"`{run}`" in contributing
