"""Classes split over devices: 8 virtual ones in a process, and 2 processes on the loopback."""

from __future__ import annotations

import importlib
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import softjac
from softjac.oracle import enclosure

TESTS = Path(__file__).parent
EXAMPLE = TESTS.parent / "examples" / "sharded_classes"
sys.path.insert(0, str(TESTS.parent / "benchmarks"))
accuracy: Any = importlib.import_module("accuracy")
accuracy_rows: Any = importlib.import_module("accuracy_rows")

CLASSES = 96
OPS = [
    "softmax", "log_softmax", "softmax_vjp", "softmax_jvp", "log_softmax_vjp", "log_softmax_jvp",
]  # fmt: skip
DTYPES = ["float32", "float64"]


def cases(dtype: str) -> list[tuple[str, Any]]:
    """The rows: adversarial logits with adversarial vectors."""
    return list(accuracy_rows.cases(dtype, CLASSES))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What 8 devices computed and what their programs are, by a process of its own."""
    path = tmp_path_factory.mktemp("sharded")
    rows = {}
    for dtype in DTYPES:
        exacts = [exact for _, exact in cases(dtype)]
        rows[f"{dtype} x"] = np.stack([exact.x for exact in exacts])
        rows[f"{dtype} v"] = np.stack([exact.v for exact in exacts])
    np.savez(path / "rows.npz", **rows)
    command = [sys.executable, str(TESTS / "sharded_worker.py"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads((path / "seen.json").read_text())
    assert seen["devices"] == 8
    return seen | {dtype: np.load(path / f"{dtype}.npz") for dtype in DTYPES}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS)
def test_as_accurate_as_on_one_device(results: dict[str, Any], op: str, dtype: str) -> None:
    """8 devices keep the promise of one: 8 u C on every row, tails and all."""
    for (name, exact), got in zip(cases(dtype), results[dtype][op], strict=True):
        assert accuracy_rows.error(op, got, exact) <= 8, name


@pytest.mark.parametrize("dtype", DTYPES)
def test_cross_entropy_is_relative_to_itself(results: dict[str, Any], dtype: str) -> None:
    """The loss is right relative to itself, also where it is nearly 0."""
    for (name, exact), got in zip(cases(dtype), results[dtype]["cross_entropy"], strict=True):
        size = np.abs(exact.v)
        target = (size / size.sum(dtype=size.dtype)).astype(float)
        logs = enclosure.split(enclosure.log_softmax(exact.x.astype(float).tolist()))[0]
        parts = np.where(target == 0, 0, -target * np.where(target == 0, 0, logs))
        loss = math.fsum(parts)
        # The targets themselves were rounded here and there: n roundings of each quotient.
        unit = accuracy_rows.UNIT[dtype]
        if math.isinf(loss):
            assert got == loss, name
        else:
            assert abs(float(got) - loss) <= (16 + CLASSES) * unit * loss, name


@pytest.mark.parametrize(
    ("program", "most"),
    [
        ("softmax", 2),
        ("log_softmax", 2),
        ("cross_entropy", 2),
        ("softmax_vjp", 3),
        ("softmax_jvp", 3),
        ("log_softmax_vjp", 1),
        ("log_softmax_jvp", 3),
        ("softmax_vjp from logits", 5),
        ("log_softmax_vjp from logits", 3),
        ("cross_entropy gradient", 3),
    ],
)
def test_what_travels(results: dict[str, Any], program: str, most: int) -> None:
    """No all-gather; few collectives; a few numbers a row, however many classes there are."""
    found = results["programs"][program]
    assert 1 <= len(found) <= most
    assert {kind for kind, _ in found} == {"all-reduce"}
    assert max(elements for _, elements in found) <= 4 * 6, "6 rows of 512 classes"


def test_composition(results: dict[str, Any]) -> None:
    """Orders, modes, vmap, masks, scales, labels, rows split too: as on one device."""
    assert len(results["composition"]) >= 20
    for name, difference in results["composition"].items():
        assert difference <= 64 * 2.0**-53, name


SELDOM = pytest.mark.exhaustive


@pytest.mark.parametrize(
    "op",
    [
        "softmax",
        "softmax_vjp",
        "log_softmax",
        pytest.param("log_softmax_vjp", marks=SELDOM),
        pytest.param("log_softmax_jvp", marks=SELDOM),
    ],
)
def test_the_oracle_judges_it_like_any_candidate(op: str) -> None:
    """Split over 8 devices, each function is verified, for any number of classes."""
    target = f"{TESTS / 'sharded_candidate.py'}:{op}"
    softjac.assert_verified(target, op=op, dtype="float32", effort="quick")


def launch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The example's launcher with its program."""
    command = [sys.executable, "launch.py", "--processes", "2", *arguments]
    return subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True)


def test_two_processes() -> None:
    """Two processes of jax.distributed agree with one device, each on its share."""
    done = launch("program.py")
    assert done.returncode == 0, done.stderr
    for process in (0, 1):
        for name in ("softmax", "VJP", "cross-entropy"):
            assert f"process {process}: {name}" in done.stdout


def test_a_dead_peer_is_noticed() -> None:
    """When a process dies the launcher stops the rest and says which, long before its limit."""
    start = time.monotonic()
    done = launch("--limit", "100", "program.py", "--die", "1")
    assert done.returncode == 1
    assert "process 1 of 2 ended with status 9" in done.stderr
    assert time.monotonic() - start < 90


def test_a_hanging_peer_is_noticed(tmp_path: Path) -> None:
    """When nothing ends in time the launcher says so, and leaves no process behind."""
    stuck = tmp_path / "stuck.py"
    stuck.write_text("import time; time.sleep(600)")
    done = launch("--limit", "1", str(stuck))
    assert done.returncode == 1
    assert "no end after 1 s" in done.stderr


def test_arguments_are_checked() -> None:
    """Shapes and dtypes are refused with the function's name, before anything is compiled."""
    from softjac import sharded

    with pytest.raises(softjac.ArgumentError, match=r"sharded\.softmax_vjp"):
        sharded.softmax_vjp(np.ones(3), np.ones(4), "classes")
    with pytest.raises(softjac.ArgumentError, match=r"sharded\.softmax: an array without axes"):
        sharded.softmax(1.0, "classes")
    with pytest.raises(softjac.ArgumentError, match="integers of shape"):
        sharded.cross_entropy(np.ones((2, 3)), np.ones(3), "classes")
