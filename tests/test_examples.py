"""The examples: each verdict is the one its folder expects, and their texts hold."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import softjac
from softjac.oracle.config import Entry, read
from softjac.oracle.reports.info import cpu_features
from softjac.oracle.reports.text import render

EXAMPLES = Path(__file__).parent.parent / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/softjac.toml"))
# What a folder needs beyond softjac, a C compiler and make: commands and modules.
COMMANDS = {"rust": "cargo"}
MODULES = {"numba": "numba", "torch": "torch", "torch_compile": "torch", "zig": "ziglang"}


def expected(folder: str) -> dict[str, dict[str, Any]]:
    """What must come of each candidate of a folder."""
    return tomllib.loads((EXAMPLES / folder / "expected.toml").read_text("utf-8"))


CASES = [(folder, name) for folder in FOLDERS for name in expected(folder)]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Copies of the folders, made where they have a Makefile."""
    done: dict[str, Path] = {}

    def build(folder: str) -> Path:
        if folder not in done:
            copy = tmp_path_factory.mktemp("examples") / folder
            shutil.copytree(EXAMPLES / folder, copy)
            if (copy / "Makefile").exists():
                words = ["make", f"ZIG={shlex.quote(sys.executable)} -m ziglang"]
                made = subprocess.run(words, cwd=copy, capture_output=True, text=True)
                assert made.returncode == 0, made.stdout + made.stderr
            done[folder] = copy
        return done[folder]

    return build


def entry_of(folder: Path, name: str) -> Entry:
    """A candidate of a folder's configuration by its name."""
    (entry,) = (e for e in read(folder / "softjac.toml") if e.name == name)
    return entry


@pytest.mark.parametrize("folder, name", CASES)
def test_verdicts_are_those_expected(folder: str, name: str, built: Any) -> None:
    """Each candidate gets its verdict, its bug's name and its counterexample's length."""
    if folder in COMMANDS and shutil.which(COMMANDS[folder]) is None:
        pytest.skip(f"{COMMANDS[folder]} is not installed")
    if folder in MODULES:
        pytest.importorskip(MODULES[folder], reason=f"{MODULES[folder]} is not installed")
    if folder == "torch_compile" and " " in sys.prefix:
        pytest.skip("torch.compile does not work where the environment's path holds a space")
    wanted = expected(folder)[name]
    if "needs" in wanted and wanted["needs"] not in cpu_features():
        pytest.skip(f"this CPU has no {wanted['needs']}")
    entry = entry_of(built(folder), name)
    report = softjac.verify(entry.target, **{**entry.options, "effort": "quick"})
    assert report.verdict == wanted["verdict"], render(report)
    if "diagnosis" in wanted:
        assert [d.id for d in report.diagnoses][:1] == [wanted["diagnosis"]], render(report)
    if "n" in wanted:
        assert report.counterexamples[0].n == wanted["n"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_candidate_has_an_expected_verdict(folder: str) -> None:
    """softjac.toml and expected.toml of a folder name the same candidates, right and wrong."""
    entries = read(EXAMPLES / folder / "softjac.toml")
    assert [entry.name for entry in entries] == list(expected(folder))
    assert {"verified", "refuted"} <= {wanted["verdict"] for wanted in expected(folder).values()}


def module(name: str) -> ModuleType:
    """A Python file of the gallery."""
    spec = importlib.util.spec_from_file_location(
        f"gallery_{name}", EXAMPLES / "from_the_question" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def gradient_check(library: ModuleType, activation: str, loss: str) -> float:
    """The largest relative difference between a library's derivative and central differences."""
    value, _ = library.ACTIVATIONS[activation]
    measure, _ = library.LOSSES[loss]
    random = np.random.default_rng(0)
    x, target = random.normal(size=5), random.dirichlet(np.ones(5))
    steps = 1e-6 * np.eye(5)
    numerical = [
        (measure(value(x + h), target) - measure(value(x - h), target)) / 2e-6 for h in steps
    ]
    found = library.output_error(activation, loss, x, target)
    return float(np.abs(found - numerical).max() / np.abs(numerical).max())


@pytest.mark.parametrize("loss", ["squared error", "cross-entropy"])
def test_gradient_check_of_the_library(loss: str) -> None:
    """With `delta` the gradient check fails for softmax alone; with the VJP it passes."""
    wrong, right = module("library"), module("library_corrected")
    assert gradient_check(wrong, "sigmoid", loss) < 1e-7
    assert gradient_check(wrong, "softmax", loss) > 0.05
    for activation in ("sigmoid", "softmax"):
        assert gradient_check(right, activation, loss) < 1e-7


def test_both_jacobians_are_equal() -> None:
    """The double loop and diag(y) - y yᵀ give the same matrix up to the rounding of y - y²."""
    gallery = module("jacobian")
    y = np.random.default_rng(1).dirichlet(np.ones(7), size=3)
    loop, outer = gallery.by_double_loop(y), gallery.by_outer_product(y)
    off_diagonal = ~np.eye(7, dtype=bool)
    assert np.array_equal(loop[:, off_diagonal], outer[:, off_diagonal])
    assert np.allclose(loop, outer, rtol=1e-14, atol=0)


def test_the_benchmark_prints_ratios() -> None:
    """The gallery's benchmark runs and prints a ratio for each kernel and length."""
    if "avx" not in cpu_features():
        pytest.skip("this CPU has no avx")
    words = [sys.executable, str(EXAMPLES / "from_the_question" / "benchmark.py"), "--rounds=1"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[2:]]
    assert [row[0] for row in rows] == ["128", "1024", "4096"]
    assert all(line.count("(") == 3 for line in done.stdout.splitlines()[2:])
