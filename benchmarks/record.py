"""The record: what the oracle says of every mutant and every right implementation, beside peers.

    python benchmarks/record.py            everything, written to docs/record.md and docs/record.svg
    python benchmarks/record.py --check    the oracle alone, nothing written; ends with 1 where a
                                           mutant survives, a right implementation or a library's
                                           is refused, or more than 1 % of the names are wrong
    --effort E, --only PATTERN             how much is tried, and on which specimens and functions
    --sample K                             every K-th specimen and library's function only
    --workers N                            processes at once
    --resume                               go on with a run of the same code that was cut off: what
                                           it found is kept in build/record

Peers that are not installed are left out, and the record says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import re
import selectors
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from record_others import OTHERS  # noqa: E402 - the path comes first
from record_page import page, picture  # noqa: E402
from record_peers import PEERS  # noqa: E402

from softjac import verify  # noqa: E402
from softjac.oracle.findings import Report  # noqa: E402
from tests.mutants.judge_all import Judgement, available, judge_all, line, summary  # noqa: E402
from tests.mutants.registry import HONEST, HONEST_FOLDER, MUTANTS, MUTANTS_FOLDER  # noqa: E402
from tests.mutants.specimen import Mutant, Specimen, build  # noqa: E402

SECONDS = 60
SAMPLED = (
    "This is a sample: in the order of files and lines, one in {} of all {} wrong kernels and {} "
    "right ones. `make record` makes the whole."
)
DIRTY = {"memory", "environment"}
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


class Kept:
    """What was found of each subject, a line of JSON each, in a file that outlives the run."""

    def __init__(self, name: str, *, resume: bool) -> None:
        self._file = ROOT / "build" / "record" / f"{name}.jsonl"
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self.found: dict[str, Any] = {}
        if resume and self._file.exists():
            for line in self._file.read_text().splitlines():
                subject, value = json.loads(line)
                self.found[subject] = value
        else:
            self._file.write_text("")

    def add(self, subject: str, value: Any) -> None:
        """Keeps what was found of a subject."""
        self.found[subject] = value
        with self._file.open("a") as file:
            file.write(json.dumps([subject, value]) + "\n")


def opinions(
    specimens: Sequence[Specimen], libraries: dict[Path, Path], kept: Kept, workers: int
) -> dict[str, dict[str, str]]:
    """What each peer says of each specimen."""
    waiting = [specimen for specimen in specimens if specimen.name not in kept.found]
    queue = iter(waiting)
    lock = threading.Lock()

    def work() -> None:
        worker = Worker(libraries)
        while True:
            with lock:
                specimen = next(queue, None)
            if specimen is None:
                break
            said = {peer: worker.ask(peer, specimen) for peer in PEERS}
            with lock:
                kept.add(specimen.name, said)
                print(specimen.name, said, flush=True)
            if isinstance(specimen, Mutant) and DIRTY & set(specimen.checks):
                worker.close()
        worker.close()

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work) for _ in range(workers)]:
            done.result()
    return dict(kept.found)


def judgements(
    specimens: Sequence[Specimen],
    effort: str,
    libraries: dict[Path, Path],
    kept: Kept,
    workers: int,
) -> list[Judgement]:
    """What the oracle says of each specimen."""
    waiting = [specimen for specimen in specimens if specimen.name not in kept.found]
    for judgement in judge_all(waiting, effort, libraries, workers):
        kept.add(judgement.name, asdict(judgement))
        print(line(judgement), flush=True)
    return [restored(kept.found[specimen.name]) for specimen in specimens]


def restored(fields: dict[str, Any]) -> Judgement:
    """A judgement from its JSON."""
    return Judgement(**{k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()})


def others(effort: str, only: str, sample: int, kept: Kept) -> list[dict[str, Any]]:
    """The oracle's verdict on the implementations nobody here wrote, on every `sample`-th."""
    found = []
    wanted = [other for other in OTHERS if re.search(only, other.shown)]
    chosen = list(itertools.product(("float32", "float64"), wanted))[::sample]
    for dtype, other in sorted(chosen, key=lambda pair: OTHERS.index(pair[1])):
        subject = f"{other.shown} {dtype}"
        if subject not in kept.found:
            record: dict[str, Any] = {"shown": other.shown, "dtype": dtype, "op": other.op}
            if importlib.util.find_spec(other.library) is None:
                record |= {"verdict": "not run", "error": f"{other.library} is not installed"}
            else:
                record |= _judged(verify(other.target, effort=effort, **other.arguments(dtype)))
            kept.add(subject, record)
            print(record, flush=True)
        found.append(kept.found[subject])
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
        "notes": details("reported", "nonfinite", "empty"),
    }


def accepted(judged: Sequence[Judgement], found: Sequence[dict[str, Any]]) -> bool:
    """Whether every verdict is right, and at most one name in a hundred (of few, one) is wrong."""
    right = [j.right for j in judged] + [other["verdict"] != "refuted" for other in found]
    names = [judgement.named for judgement in judged if judgement.named]
    return all(right) and names.count("wrong") <= max(1, len(names) / 100)


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--effort", default="quick", choices=("quick", "standard", "thorough"))
    parser.add_argument("--only", default="", help="a pattern that names must contain")
    parser.add_argument("--sample", default=1, type=int, help="every K-th specimen only")
    parser.add_argument("--workers", default=1, type=int, help="processes at once")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off")
    chosen = parser.parse_args(arguments)
    wanted: list[Specimen] = [s for s in [*MUTANTS, *HONEST] if re.search(chosen.only, s.name)]
    wanted = wanted[:: chosen.sample]
    missing = [specimen.name for specimen in wanted if not available(specimen)]
    wanted = [specimen for specimen in wanted if available(specimen)]
    said = {}
    with tempfile.TemporaryDirectory() as folder:
        libraries = build(MUTANTS_FOLDER, Path(folder)) | build(HONEST_FOLDER, Path(folder))
        if not chosen.check:
            kept = Kept("opinions", resume=chosen.resume)
            said = opinions(wanted, libraries, kept, chosen.workers)
        kept = Kept("others", resume=chosen.resume)
        found = others(chosen.effort, chosen.only, chosen.sample, kept)
        kept = Kept("judgements", resume=chosen.resume)
        judged = judgements(wanted, chosen.effort, libraries, kept, chosen.workers)
    print(summary(judged))
    if missing:
        print(f"left out, their library is not installed: {', '.join(missing)}")
    if not chosen.check:
        drawn = (
            "" if chosen.sample == 1 else SAMPLED.format(chosen.sample, len(MUTANTS), len(HONEST))
        )
        text = page(wanted, judged, said, found, missing, chosen.effort, drawn)
        (ROOT / "docs" / "record.md").write_text(text)
        picture(wanted, judged, said, ROOT / "docs" / "record.svg")
    return int(not accepted(judged, found))


if __name__ == "__main__":
    sys.exit(main())
