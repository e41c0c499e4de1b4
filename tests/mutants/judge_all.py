"""Runs mutants and right implementations through the oracle and prints what it says of each.

    python -m tests.mutants.judge_all [mutants|honest] [--effort E] [--only PATTERN] [--json FILE]
                                      [--workers N]

Ends with 1 if a mutant survives, a right implementation is not verified, or a name is wrong.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from softjac import SoftjacError
from softjac.oracle.verdict import verify
from tests.mutants.registry import HONEST, HONEST_FOLDER, MUTANTS, MUTANTS_FOLDER
from tests.mutants.specimen import Mutant, Specimen, build

EFFORTS = ("quick", "standard", "thorough")


@dataclass(frozen=True)
class Judgement:
    """What the oracle said of a specimen, and what it should have said."""

    name: str
    op: str
    dtype: str
    verdict: str
    expected: str
    diagnoses: tuple[str, ...]
    accepted: tuple[str, ...]
    failed: tuple[str, ...]
    checks: tuple[str, ...]
    seconds: float
    calls: int
    rows: int
    worst: float | None
    detail: str
    both: bool = False

    @property
    def right(self) -> bool:
        """The verdict is the one that is due."""
        return self.verdict == self.expected

    @property
    def named(self) -> str:
        """How the first diagnosis compares: right, unknown, wrong, or nothing to name.

        Of two faults one alone is not right, and "unknown" speaks of the other.
        """
        if not self.accepted or self.expected != "refuted" or not self.right:
            return ""
        first = self.diagnoses[0] if self.diagnoses else "unknown"
        if first in self.accepted:
            missing = self.both and not set(self.accepted) <= set(self.diagnoses)
            return "unknown" if missing else "right"
        return "unknown" if first == "unknown" else "wrong"


def judge(specimen: Specimen, effort: str, libraries: dict[Path, Path]) -> Judgement:
    """The oracle's word on one specimen, at an effort that can show what it has to show."""
    arguments = specimen.arguments()
    expected, accepted, checks, both = "verified", (), (), False
    if isinstance(specimen, Mutant):
        expected, accepted, checks = specimen.verdict, specimen.diagnoses, specimen.checks
        both = specimen.both
        effort = max(effort, specimen.effort, key=EFFORTS.index)
    known = (specimen.name, specimen.op, specimen.dtype)
    started = time.perf_counter()
    try:
        report = verify(specimen.target(libraries), effort=effort, **arguments)
    except SoftjacError as error:
        seconds = time.perf_counter() - started
        return Judgement(
            *known, "error", expected, (), accepted, (), checks, seconds, 0, 0, None, str(error)
        )
    telling = ("fail", "suspect") if expected == "verified" else ("fail",)
    failed = [c for c in report.checks if c.status in telling]
    ratios = [c.worst_ratio for c in report.checks if c.worst_ratio is not None]
    return Judgement(
        *known,
        report.verdict,
        expected,
        tuple(d.id for d in report.diagnoses),
        accepted,
        tuple(c.name for c in failed),
        checks,
        report.seconds,
        report.calls,
        report.rows,
        max(ratios, default=None),
        "; ".join([*(c.detail for c in failed), *report.limits]),
        both,
    )


def available(specimen: Specimen) -> bool:
    """Whether the library that a specimen needs is installed."""
    library = specimen.options.get("array", "numpy")
    return library == "numpy" or importlib.util.find_spec(library) is not None


def judge_all(
    specimens: Sequence[Specimen], effort: str, libraries: dict[Path, Path], workers: int = 1
) -> Iterator[Judgement]:
    """The judgements in the specimens' order, made in so many processes."""
    asked = partial(judge, effort=effort, libraries=libraries)
    if workers == 1:
        yield from map(asked, specimens)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from pool.map(asked, specimens)


def line(judgement: Judgement) -> str:
    """One row of the table."""
    first = judgement.diagnoses[0] if judgement.diagnoses else "-"
    note = "" if judgement.right else f"  EXPECTED {judgement.expected}"
    joint = " and " if judgement.both else " or "
    if judgement.named in ("wrong", "unknown"):
        note += f"  NAME {judgement.named}: expected {joint.join(judgement.accepted)}"
    if not judgement.right:
        note += f"  {judgement.detail[:200]}"
    return (
        f"{judgement.name:38} {judgement.verdict:12} {first:26} {judgement.seconds:6.1f} s "
        f"{judgement.calls:7} calls  {','.join(judgement.failed)}{note}"
    )


def summary(judgements: list[Judgement]) -> str:
    """The counts."""
    wrong = [j.name for j in judgements if not j.right]
    names = [j.named for j in judgements if j.named]
    counts = {kind: names.count(kind) for kind in ("right", "unknown", "wrong")}
    share = f"{100 * counts['right'] / len(names):.1f} %" if names else "none"
    return (
        f"{len(judgements)} judged, {len(wrong)} wrong verdicts: {', '.join(wrong) or 'none'}\n"
        f"names: {counts['right']} right ({share}), {counts['unknown']} unknown, "
        f"{counts['wrong']} wrong"
    )


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="?", choices=("mutants", "honest"))
    parser.add_argument("--effort", default="quick", choices=EFFORTS)
    parser.add_argument("--only", default="", help="a pattern that names must contain")
    parser.add_argument("--json", type=Path, help="one JSON record a line goes to this file")
    parser.add_argument("--workers", type=int, default=1, help="processes at once")
    chosen = parser.parse_args(arguments)
    specimens: list[Any] = []
    specimens += HONEST if chosen.which != "mutants" else []
    specimens += MUTANTS if chosen.which != "honest" else []
    specimens = [s for s in specimens if re.search(chosen.only, f"{s.source.name}:{s.name}")]
    for specimen in specimens:
        if not available(specimen):
            print(f"{specimen.name:38} left out: {specimen.options['array']} is not installed")
    specimens = [specimen for specimen in specimens if available(specimen)]
    judgements = []
    with tempfile.TemporaryDirectory() as folder:
        libraries = build(MUTANTS_FOLDER, Path(folder)) | build(HONEST_FOLDER, Path(folder))
        for judgement in judge_all(specimens, chosen.effort, libraries, chosen.workers):
            judgements.append(judgement)
            print(line(judgement), flush=True)
            if chosen.json:
                with chosen.json.open("a") as file:
                    file.write(json.dumps(asdict(judgement)) + "\n")
    print(summary(judgements))
    return int(any(not j.right or j.named == "wrong" for j in judgements))


if __name__ == "__main__":
    sys.exit(main())
