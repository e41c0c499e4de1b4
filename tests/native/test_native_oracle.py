"""The oracle's verdict on the kernels, for every ISA of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from native_isas import FORWARD, ISAS, OPS, library

DTYPES = ("float32", "float64", "bfloat16", "float16")
DERIVATIVES = tuple(op for op in OPS if op not in FORWARD)


def judged(op: str, dtype: str, isa: str, folder: Path) -> Any:
    """What `softjac verify` reports of one kernel."""
    if library(isa) is None:
        pytest.skip(f"no {isa} here")
    report = folder / "report.json"
    words = [sys.executable, "-m", "softjac", "verify", "softjac:native", "--op", op]
    words += ["--dtype", dtype, "--effort", "quick", "--quiet", "--json", str(report)]
    environment = os.environ | {"SOFTJAC_FORCE_ISA": isa}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(report.read_text())


def check(op: str, dtype: str, isa: str, folder: Path) -> None:
    """Verified, and the tails kept by what has any."""
    report = judged(op, dtype, isa, folder)
    assert report["verdict"] == "verified"
    if op in DERIVATIVES:
        assert report["accuracy"]["componentwise_tails"] is True


@pytest.mark.parametrize(
    ("op", "isa"), [*(("softmax_vjp", isa) for isa in ISAS), ("log_softmax_vjp", ISAS[-1])]
)
def test_oracle_verifies_vjp(op: str, isa: str, tmp_path: Path) -> None:
    """The kernels that most people came for."""
    check(op, "float32", isa, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS)
def test_oracle_verifies_every_kernel(op: str, dtype: str, isa: str, tmp_path: Path) -> None:
    """All of them, in every type."""
    check(op, dtype, isa, tmp_path)
