"""The command judges for real: exit status, report and replay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from softjac.oracle import run


def judged(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A real run of the command in a folder, at the least effort."""
    command = [sys.executable, "-m", "softjac", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


RIGHT = "def right(y, dy):\n    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))\n"
WRONG = "def wrong(y, dy):\n    return y * (1 - y) * dy\n"
REFUSING = """
#include <stddef.h>
int refusing(const float *y, const float *dy, float *dx, size_t n)
{
    if (n % 8 != 0) return 1;
    float s = 0;
    for (size_t i = 0; i < n; ++i) s += y[i] * dy[i];
    for (size_t i = 0; i < n; ++i) dx[i] = y[i] * (dy[i] - s);
    return 0;
}
"""
PROTOTYPE = "int refusing(const float *y, const float *dy, float *dx, size_t n)"


@pytest.mark.parametrize(
    "words, status, said",
    [
        (("mine.py:right",), 0, "VERIFIED  mine.py:right: softmax_vjp, float32"),
        (("mine.py:wrong",), 1, "diagonal-only"),
        (("mine.py:absent",), 2, "mine.py:absent: there is no absent; it has right, wrong"),
        (("absent.so:f", "--prototype", PROTOTYPE), 2, "ERROR"),
        (("refusing.c:refusing", "--prototype", "int refusing(float z)"), 2, "ERROR"),
        (("broken.py:f",), 2, "No module named 'absent' (broken.py, line 2)"),
        (("mine.py:right", "--timeout", "0"), 2, "expected seconds above 0"),
        (("refusing.c:refusing", "--prototype", PROTOTYPE, "--timeout", "inf"), 2, "at most 86400"),
        (("refusing.c:refusing", "--prototype", PROTOTYPE), 3, "INCONCLUSIVE"),
    ],
    ids=[
        "verified",
        "refuted",
        "no function",
        "no library",
        "bad prototype",
        "import",
        "time",
        "for ever",
        "refuses",
    ],
)
def test_exit_status_of_real_runs(
    tmp_path: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    """Each situation of the contract, through the command line, with its report."""
    (tmp_path / "mine.py").write_text(RIGHT + WRONG)
    (tmp_path / "refusing.c").write_text(REFUSING)
    (tmp_path / "broken.py").write_text("f = None\nimport absent\n")
    options = ("--op", "softmax_vjp", "--effort", "quick", "--json", "report.json")
    done = judged("verify", *words, *options, folder=tmp_path)
    assert done.returncode == status, done.stdout + done.stderr
    assert said in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert run.EXIT_STATUS[report["verdict"]] == status
    assert ("error" in report) == (status == 2)


def test_replay_of_a_real_run(tmp_path: Path) -> None:
    """The printed command fails again with the same numbers, and passes once the bug is mended."""
    file = tmp_path / "mine.py"
    file.write_text(WRONG)
    words = ("mine.py:wrong", "--op", "softmax_vjp")
    judged("verify", *words, "--effort", "quick", "--json", "report.json", folder=tmp_path)
    (first, *_) = json.loads((tmp_path / "report.json").read_text())["counterexamples"]
    assert len(first["replay"]) <= 200
    again = judged("replay", first["replay"], *words, folder=tmp_path)
    assert again.returncode == 1
    for number in (first["got"][0][0], first["expected"][0][0]):
        assert f"{number:.5g}" in again.stdout
    file.write_text(RIGHT.replace("right", "wrong"))
    mended = judged("replay", first["replay"], *words, folder=tmp_path)
    assert mended.returncode == 0
