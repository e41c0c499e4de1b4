"""The plain records a run produces; the reports turn them into text, JSON and pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

__all__ = ["Accuracy", "CheckResult", "Counterexample", "Diagnosis", "Point", "Report"]

Array = np.ndarray[Any, np.dtype[Any]]
Status = Literal["pass", "fail", "suspect", "reported", "skipped"]
Verdict = Literal["verified", "refuted", "inconclusive", "error"]


@dataclass(slots=True)
class CheckResult:
    """One check: its status, how many calls it made, and the worst error over its bound."""

    name: str
    status: Status
    calls: int = 0
    worst_ratio: float | None = None
    detail: str = ""


@dataclass(slots=True)
class Diagnosis:
    """A known mistake that explains the failures: `explains` is the share of them, 0 to 1."""

    id: str
    title: str
    explains: float
    evidence: str
    fix: str


@dataclass(slots=True)
class Counterexample:
    """One failing call, shrunk. `index` is where it fails: (row, i) or (row, i, j)."""

    check: str
    n: int
    rows: int
    inputs: dict[str, Array]
    got: Array | None
    expected: Array | None
    index: tuple[int, ...] | None
    replay: str
    detail: str = ""
    scale: float = 1.0


@dataclass(slots=True)
class Accuracy:
    """How accurate the candidate is where it is right.

    kind: "compensated", "pairwise", "lanes", "sequential", "16-bit sums", "inaccurate exp" or
    "unknown" (JSON key "class").
    """

    kind: str
    worst_ulp: float
    worst_ratio: float
    componentwise_tails: bool | None = None


@dataclass(slots=True)
class Point:
    """The worst ratio seen at one length, and where: what the HTML report plots."""

    n: int
    ratio: float
    position: int


@dataclass(slots=True)
class Report:
    """A whole run. `verdict` "error" has its reason in `error`, and nothing else is filled.

    name:    what the configuration calls the candidate, if it does.
    command: the target and options that follow `softjac verify` or `softjac replay REPLAY`, where
             they are known.
    """

    target: str
    op: str
    dtype: str
    verdict: Verdict
    assumptions: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    seconds: float = 0.0
    calls: int = 0
    rows: int = 0
    checks: list[CheckResult] = field(default_factory=list)
    diagnoses: list[Diagnosis] = field(default_factory=list)
    accuracy: Accuracy | None = None
    counterexamples: list[Counterexample] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    exp_errors: list[tuple[float, float]] = field(default_factory=list)
    jacobian: tuple[Array, Array] | None = None
    tried: list[str] = field(default_factory=list)
    error: str = ""
    name: str = ""
    command: str = ""
