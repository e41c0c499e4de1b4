"""The record: what the oracle says of every mutant and every right implementation, beside peers.

    python benchmarks/record.py            everything, written to docs/record.md and docs/record.svg
    python benchmarks/record.py --check    the oracle alone, nothing written; ends with 1 where a
                                           mutant survives, a right implementation is refused, or
                                           more than 1 % of the names are wrong
    --effort E, --only PATTERN             how much is tried, and on which specimens

Peers that are not installed are left out, and the record says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from record_others import OTHERS  # noqa: E402 - the path comes first
from record_page import page, picture  # noqa: E402
from record_peers import PEERS  # noqa: E402

from softjac import SoftjacError, verify  # noqa: E402
from softjac.oracle.findings import Report  # noqa: E402
from tests.mutants.judge_all import Judgement, available, judge, line, summary  # noqa: E402
from tests.mutants.registry import HONEST, HONEST_FOLDER, MUTANTS, MUTANTS_FOLDER  # noqa: E402
from tests.mutants.specimen import Mutant, Specimen, build  # noqa: E402

SECONDS = 60
DIRTY = {"memory", "output", "environment", "state"}
"""Mutants of these checks may leave damage behind in the process that called them."""


class Worker:
    """A process that asks peers about specimens, replaced when a specimen ends it."""

    def __init__(self, libraries: dict[Path, Path]) -> None:
        self._libraries = {str(k): str(v) for k, v in libraries.items()}
        self._process: subprocess.Popen[str] | None = None

    def ask(self, peer: str, specimen: Specimen) -> str:
        """What a peer says, or "crashes" or "hangs" for what happened to it."""
        process = self._running()
        question = {"peer": peer, "name": specimen.name, "libraries": self._libraries}
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answered = selector.select(SECONDS)
        answer = process.stdout.readline() if answered else ""
        if answer.startswith('"'):
            return str(json.loads(answer))
        self.close()
        return "crashes" if answered else "hangs"

    def close(self) -> None:
        """Ends the process."""
        if self._process:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        """The process, started if there is none."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, ROOT / "benchmarks" / "record_peers.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
            )
        return self._process


def opinions(
    specimens: Iterable[Specimen], libraries: dict[Path, Path]
) -> dict[str, dict[str, str]]:
    """What each peer says of each specimen."""
    worker = Worker(libraries)
    found = {}
    for specimen in specimens:
        found[specimen.name] = {peer: worker.ask(peer, specimen) for peer in PEERS}
        print(specimen.name, found[specimen.name], flush=True)
        if isinstance(specimen, Mutant) and DIRTY & set(specimen.checks):
            worker.close()
    worker.close()
    return found


def others(effort: str) -> list[dict[str, Any]]:
    """The oracle's verdict on the implementations nobody here wrote."""
    found = []
    for other in OTHERS:
        for dtype in ("float32", "float64"):
            record: dict[str, Any] = {"shown": other.shown, "dtype": dtype, "op": other.op}
            try:
                record |= _judged(verify(other.target, effort=effort, **other.arguments(dtype)))
            except (SoftjacError, ImportError) as error:
                record |= {"verdict": "not run", "error": str(error)}
            print(record, flush=True)
            found.append(record)
    return found


def _judged(report: Report) -> dict[str, Any]:
    """What the record says of a report."""

    def details(status: str, *names: str) -> list[str]:
        checks = [c for c in report.checks if c.status == status and (not names or c.name in names)]
        return [f"{check.name}: {check.detail}" for check in checks]

    return {
        "verdict": report.verdict,
        "calls": report.calls,
        "ratio": max((c.worst_ratio or 0 for c in report.checks), default=0),
        "tails": report.accuracy.componentwise_tails if report.accuracy else None,
        "failed": details("fail"),
        "notes": details("reported", "nonfinite"),
    }


def accepted(judgements: list[Judgement]) -> bool:
    """Whether every verdict is right and at most one name in a hundred is wrong."""
    names = [judgement.named for judgement in judgements if judgement.named]
    return all(j.right for j in judgements) and names.count("wrong") <= len(names) / 100


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--effort", default="quick", choices=("quick", "standard", "thorough"))
    parser.add_argument("--only", default="", help="a pattern that names must contain")
    chosen = parser.parse_args(arguments)
    wanted: list[Specimen] = [s for s in [*MUTANTS, *HONEST] if re.search(chosen.only, s.name)]
    missing = [specimen.name for specimen in wanted if not available(specimen)]
    wanted = [specimen for specimen in wanted if available(specimen)]
    judgements: list[Judgement] = []
    with tempfile.TemporaryDirectory() as folder:
        libraries = build(MUTANTS_FOLDER, Path(folder)) | build(HONEST_FOLDER, Path(folder))
        for specimen in wanted:
            judgements.append(judge(specimen, chosen.effort, libraries))
            print(line(judgements[-1]), flush=True)
        print(summary(judgements))
        if missing:
            print(f"left out, their library is not installed: {', '.join(missing)}")
        if not chosen.check:
            said = opinions(wanted, libraries)
            text = page(wanted, judgements, said, others(chosen.effort), missing, chosen.effort)
            (ROOT / "docs" / "record.md").write_text(text)
            picture(wanted, judgements, said, ROOT / "docs" / "record.svg")
    return int(not accepted(judgements))


if __name__ == "__main__":
    sys.exit(main())
