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
    """How one check went.

    Attributes:
        name: of the check, "values" or another of the twelve.
        status: "pass", "fail", "suspect" (improbable, not impossible), "reported" (told, not
            judged) or "skipped"; `detail` says why.
        calls: how many it made.
        worst_ratio: the largest error over its bound, where it compared numbers.
        detail: the first failure, or what else there is to tell.
    """

    name: str
    status: Status
    calls: int = 0
    worst_ratio: float | None = None
    detail: str = ""


@dataclass(slots=True)
class Diagnosis:
    """A known mistake that explains failures.

    Attributes:
        id: one of those that `softjac diagnoses` lists.
        title: the mistake in a sentence.
        explains: the share of the failures it explains, 0 to 1.
        evidence: what it was seen from.
        fix: what to do.
    """

    id: str
    title: str
    explains: float
    evidence: str
    fix: str


@dataclass(slots=True)
class Counterexample:
    """One failing call, shrunk.

    Attributes:
        check: the one that failed.
        n: classes.
        rows: of the call.
        inputs: by role, each `(rows, n)`.
        got: the candidate's result, if it gave one.
        expected: the exact answer, rounded to float64.
        index: where it fails, (row, i) or (row, i, j).
        replay: the string that `softjac replay` takes.
        detail: what is wrong, in words.
        scale: the factor on the logits.
    """

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

    Attributes:
        kind: how it sums, "compensated", "pairwise", "lanes", "sequential" or "16-bit sums"; or
            "inaccurate exp", or "unknown" (JSON key "class").
        worst_ulp: the worst error, in units in the last place.
        worst_ratio: the same over its bound.
        componentwise_tails: whether small components have correct digits of their own; None where
            that could not be measured.
    """

    kind: str
    worst_ulp: float
    worst_ratio: float
    componentwise_tails: bool | None = None


@dataclass(slots=True)
class Point:
    """What the HTML report plots.

    Attributes:
        n: a length.
        ratio: the worst error over bound seen there.
        position: of the element.
    """

    n: int
    ratio: float
    position: int


@dataclass(slots=True)
class Report:
    """A whole run.

    Attributes:
        target: what was judged, as it was given.
        op: what it claims to compute.
        dtype: of its arrays.
        verdict: "verified", "refuted", "inconclusive" or "error"; of the last the reason is in
            `error`, and nothing else is filled.
        assumptions: the conditions it was judged under.
        limits: what was not tried, or could not be.
        seconds: the run took.
        calls: were made.
        rows: were judged.
        checks: each with its status.
        diagnoses: the mistakes that explain the failures, the likeliest first.
        accuracy: where there were right results to measure.
        counterexamples: one for each check that failed, those that replay first.
        points: for the picture of error over bound against n.
        exp_errors: pairs of x - max x and the relative error of its exponential in units of u.
        jacobian: expected and got, of one small row, for the picture.
        tried: lengths, seed and effort, in words.
        error: why nothing could be judged.
        name: what the configuration calls the candidate, if it does.
        command: the target and options that follow `softjac verify` or `softjac replay REPLAY`,
            where they are known.
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
