"""The worked examples of the reference do what their READMEs say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(folder: str, program: str, *arguments: str) -> str:
    """What an example prints."""
    command = [sys.executable, program, *arguments]
    done = subprocess.run(command, cwd=EXAMPLES / folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--hidden", "gelu", "--output", "softmax", "--loss", "squared_error"),
        ("--hidden", "relu", "--output", "log_softmax", "--loss", "kullback_leibler"),
    ],
    ids=["default", "softmax with squared error", "log_softmax with divergence"],
)
def test_digits_by_hand_are_as_good_as_by_jax(arguments: tuple[str, ...]) -> None:
    """Hand-combined derivatives reach what jax.grad reaches on real data, within two images."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    by_hand, by_jax = map(
        float, re.findall(r": ([\d.]+)%", run("layers_digits", "train.py", *arguments))
    )
    assert by_jax > 90
    assert abs(by_hand - by_jax) <= 100 * 2 / 450


def test_natural_gradient_converges_where_descent_crawls() -> None:
    """Ten natural steps reach float32's accuracy; forty plain ones do not halve the divergence."""
    found = run("natural_gradient", "fit.py")
    values = {
        (kind, int(steps)): float(value)
        for kind, value, steps in re.findall(r"(\w+): (\S+) after (\d+) steps", found)
    }
    assert abs(values["natural", 10]) < 2e-6
    assert values["plain", 40] > values["plain", 0] / 2
