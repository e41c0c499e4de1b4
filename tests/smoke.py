"""What an installed wheel must do; run by `make test-wheel` and by cibuildwheel."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np

import softjac
from softjac import native


def cpu_seconds(times: int, *words: str) -> float:
    """The least processor time that a command takes: what else the machine does is left out."""
    durations = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        durations.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(durations)


def main() -> None:
    """Kernels, reference, command and plugin, in a folder that is not the checkout."""
    assert "site-packages" in str(softjac.__file__), softjac.__file__
    y = native.softmax(np.array([[1.0, 2.0]], np.float32))
    assert np.allclose(y, [[0.26894142, 0.73105858]], rtol=1e-6)
    assert np.allclose(softjac.softmax(np.array([1.0, 2.0], np.float32)), y[0], rtol=1e-6)
    Path("mine.py").write_text("def vjp(y, dy):\n    return y * (1 - y) * dy\n")
    words = [sys.executable, "-m", "softjac", "verify", "mine.py:vjp", "--op", "softmax_vjp"]
    done = subprocess.run([*words, "--effort", "quick"], capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "diagonal-only" in done.stdout
    words = [sys.executable, "-m", "softjac", "verify", "softjac:native", "--op", "softmax_vjp"]
    done = subprocess.run([*words, "--effort", "quick"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cpu_seconds(5, "-m", "softjac", "--version") < 0.2
    jax = cpu_seconds(3, "-c", "import jax")
    both = cpu_seconds(3, "-c", "import jax, softjac")
    assert both - jax < 0.05, f"import softjac adds {both - jax:.3f} s"
    print(f"softjac {softjac.__version__} works: {native.isa()} on Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
