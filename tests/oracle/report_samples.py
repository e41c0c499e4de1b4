"""Reports made by hand, for the tests of what is made of reports."""

from __future__ import annotations

import numpy as np

from softjac.oracle.findings import (
    Accuracy,
    CheckResult,
    Counterexample,
    Diagnosis,
    Point,
    Report,
)


def refuted() -> Report:
    """A derivative that is only the diagonal, refuted at n = 2."""
    y = np.array([[0.26894143, 0.7310586]], np.float32)
    dy = np.array([[1.0, 0.0]], np.float32)
    expected = np.array([[0.19661193324148185, -0.19661193324148185]])
    return Report(
        target="mine.py:vjp",
        op="softmax_vjp",
        dtype="float32",
        verdict="refuted",
        assumptions=("n % 8 == 0",),
        limits=("n up to 4096, rows up to 129",),
        seconds=2.14,
        calls=41873,
        rows=1200345,
        checks=[
            CheckResult("values", "fail", 41000, 3.2e6, "element 1 of row 0 is far outside"),
            CheckResult("memory", "pass", 800, None),
            CheckResult("aliasing", "reported", 3, None, "dx = dy gives other numbers"),
            CheckResult("threads", "skipped", 0, None, "--not-reentrant"),
            CheckResult("invariants", "fail", 70, float("inf"), "rows do not sum to 0"),
        ],
        diagnoses=[
            Diagnosis(
                "diagonal-only",
                "only the diagonal of the Jacobian is applied",
                1.0,
                "dx equals y (1 - y) dy",
                "subtract the sum: dx = y * (dy - sum(y * dy))",
            )
        ],
        accuracy=Accuracy("lanes", 1.4, 0.41, False),
        counterexamples=[
            Counterexample(
                "values",
                2,
                1,
                {"y": y, "dy": dy},
                np.array([[0.19661194, 0.0]], np.float32),
                expected,
                (0, 1),
                "v1-c29mdGphYw",
                "dx[1] = 0",
            ),
            Counterexample(
                "invariants",
                2,
                1,
                {"y": y, "dy": np.array([[np.inf, -np.inf]], np.float32)},
                np.array([[np.nan, 0.0]], np.float32),
                None,
                (0, 0),
                "v1-aW52",
            ),
        ],
        points=[Point(n, 0.4 if n < 2 else 3e5 / n, n // 2) for n in range(1, 200)],
        exp_errors=[(-float(d), 0.1 * (d % 7)) for d in range(105)],
        jacobian=(
            np.array([[0.19661193, -0.19661193], [-0.19661193, 0.19661193]]),
            np.array([[0.19661193, 0.0], [0.0, 0.19661193]]),
        ),
        tried=["lengths 1 to 4096", "a spike at every position"],
    )


def verified() -> Report:
    """A forward function without a fault."""
    return Report(
        target="softjac:native",
        op="softmax",
        dtype="float64",
        verdict="verified",
        limits=("n up to 131072, rows up to 70000",),
        seconds=4.0,
        calls=1000,
        rows=120000,
        checks=[CheckResult("values", "pass", 900, 0.31), CheckResult("memory", "pass", 100)],
        accuracy=Accuracy("pairwise", 0.9, 0.31, True),
        points=[Point(n, 0.2 + 0.001 * n, n - 1) for n in range(1, 100)],
        tried=["lengths 1 to 131072"],
    )


def inconclusive() -> Report:
    """A candidate that was refused too often to be judged."""
    return Report(
        target="lib.so:f",
        op="softmax_jacobian",
        dtype="float32",
        verdict="inconclusive",
        checks=[CheckResult("values", "suspect", 12, 0.9, "refused n = 3, which it allows")],
    )


def crashed() -> Report:
    """A refuted candidate that gave no output, in a case too large to print."""
    x = np.zeros((3, 5000), np.float32)
    return Report(
        target="lib.so:crash",
        op="softmax",
        dtype="float32",
        verdict="refuted",
        checks=[CheckResult("memory", "fail", 1, None, "SIGSEGV: read 4 bytes past x")],
        counterexamples=[
            Counterexample("memory", 5000, 3, {"x": x}, None, None, None, "v1-b2", "SIGSEGV")
        ],
    )


def jacobian() -> Report:
    """A wrong Jacobian: the sign off the diagonal."""
    y = np.array([[0.2, 0.3, 0.5]], np.float32)
    expected = np.diagflat(y) - np.outer(y, y)
    got = np.where(np.eye(3), expected, -expected).astype(np.float32)
    return Report(
        target="jac.py:f",
        op="softmax_jacobian",
        dtype="float32",
        verdict="refuted",
        checks=[CheckResult("values", "fail", 1, 9.0e6)],
        counterexamples=[
            Counterexample(
                "values", 3, 1, {"y": y}, got[None], expected[None], (0, 1, 2), "v1-amFj"
            )
        ],
        jacobian=(expected, got),
    )


def unable() -> Report:
    """A target that could not be loaded."""
    return Report(
        target="lib.so:none",
        op="softmax",
        dtype="float32",
        verdict="error",
        error="lib.so has no symbol 'none'; it has: softmax",
    )


ALL = (refuted, verified, inconclusive, crashed, jacobian, unable)
