"""Specimens: functions in C, C++ and Python that the oracle is tried on, read from their source.

The tags of a specimen stand beside its code, in the comment above a C function or in the
docstring of a Python function: a sentence that says what it does, then one line

    @op | checks | diagnosis or diagnosis | option | option ...

Of two faults at once both names stand there: `diagnosis and diagnosis`. A right implementation has
no checks and no diagnosis: `@op | option ...`. Options are those of
`softjac.verify` (`assume n % 8 == 0`, `dtype float64`, `in_place dx=dy`, `accumulates`) and

    seen project#issue    where the mistake was found in public
    verdict inconclusive  where that, and not "refuted", is the right verdict
    effort thorough       where less effort cannot show the mistake
    timeout SECONDS       a shorter limit for what hangs
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLAGS = ("autodiff", "not_reentrant", "accumulates")
NUMBERS = ("align", "over_read", "timeout")
LISTS = ("assume", "in_place")
TEXTS = ("dtype", "nonfinite", "array")


@dataclass(frozen=True)
class Specimen:
    """A function the oracle is tried on.

    name:      the symbol, unique among all specimens.
    source:    the file it stands in.
    op:        what it claims to compute.
    text:      what it does, from its comment.
    prototype: of a C function; None for Python.
    options:   further options of `softjac.verify`, by name.
    """

    name: str
    source: Path
    op: str
    text: str
    prototype: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The language: "c", "cpp" or "py"."""
        return self.source.suffix.removeprefix(".")

    @property
    def dtype(self) -> str:
        """The storage dtype, from the options or the prototype."""
        double = "double *" in (self.prototype or "")
        return str(self.options.get("dtype", "float64" if double else "float32"))

    def target(self, libraries: dict[Path, Path] | None = None) -> str:
        """What `softjac.verify` takes: the source file, or the library built from it."""
        return f"{(libraries or {}).get(self.source, self.source)}:{self.name}"

    def allows(self, n: int, rows: int) -> bool:
        """Whether its preconditions hold."""
        known = {"n": n, "rows": rows}
        known |= {f"ld{role}": n for role in ("x", "y", "dy", "dx")}  # rows lie side by side
        return all(eval(condition, known) for condition in self.options.get("assume", ()))

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `softjac.verify`."""
        prototype = {"prototype": self.prototype} if self.prototype else {}
        return {"op": self.op, **prototype, **self.options}


@dataclass(frozen=True)
class Mutant(Specimen):
    """A specimen that is wrong on purpose.

    checks:    those that must fail, the principal one first.
    diagnoses: names that are right, the best first.
    both:      it has two faults, and both must be named.
    """

    checks: tuple[str, ...] = ()
    diagnoses: tuple[str, ...] = ()
    both: bool = False
    seen_in: tuple[str, ...] = ()
    verdict: str = "refuted"
    effort: str = "quick"


@dataclass(frozen=True)
class Honest(Specimen):
    """A specimen that is right, and must be verified."""


def mutants(folder: Path) -> list[Mutant]:
    """The mutants of a folder, in the order of files and lines."""
    found = []
    for fields, tags in _specimens(folder):
        checks, diagnoses, *rest = tags
        options, seen, verdict, effort = _options(rest)
        found.append(
            Mutant(
                **fields,
                options=options,
                checks=tuple(re.split(r",\s*", checks)),
                diagnoses=tuple(re.split(" or | and ", diagnoses)),
                both=" and " in diagnoses,
                seen_in=seen,
                verdict=verdict,
                effort=effort,
            )
        )
    return found


def honest(folder: Path) -> list[Honest]:
    """The right implementations of a folder, in the order of files and lines."""
    return [Honest(**fields, options=_options(tags)[0]) for fields, tags in _specimens(folder)]


def build(folder: Path, into: Path) -> dict[Path, Path]:
    """Compiles every C and C++ file of a folder, two at a time; returns the library of each."""

    def compiled(source: Path) -> Path:
        library = into / f"{folder.name}_{source.stem}.so"
        compiler = "c++" if source.suffix == ".cpp" else "cc"
        flags = ["-O2", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler, *flags, source, "-o", library, "-lm"], check=True)
        return library

    sources = sorted([*folder.glob("*.c"), *folder.glob("*.cpp")])
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(sources, pool.map(compiled, sources), strict=True))


def _specimens(folder: Path) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The fields and tags of each specimen of a folder."""
    for source in sorted([*folder.glob("*.c"), *folder.glob("*.cpp"), *folder.glob("*.py")]):
        read = _python_functions if source.suffix == ".py" else _c_functions
        for name, comment, prototype in read(source.read_text()):
            text, _, tags = comment.rpartition("@")
            op, *rest = [tag.strip() for tag in tags.split("|")]
            fields = {"name": name, "source": source, "op": op, "prototype": prototype}
            yield {**fields, "text": " ".join(text.split())}, rest


def _c_functions(code: str) -> Iterator[tuple[str, str, str]]:
    """Name, comment and prototype of each tagged function of a C file."""
    pattern = re.compile(r"((?:^//[^\n]*\n)+)^([a-z][^;{}]*?\b(\w+)\([^;{}]*\)) \{", re.MULTILINE)
    for comment, prototype, name in pattern.findall(code):
        if "\n// @" in comment:
            text = re.sub(r"^// ?", "", comment, flags=re.MULTILINE)
            yield name, text, " ".join(prototype.replace("std::", "").split())


def _python_functions(code: str) -> Iterator[tuple[str, str, None]]:
    """Name and docstring of each tagged function of a Python file."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef):
            comment = ast.get_docstring(node) or ""
            if "\n@" in comment:
                yield node.name, comment, None


def _options(tags: list[str]) -> tuple[dict[str, Any], tuple[str, ...], str, str]:
    """Options of `verify`, public places, verdict and effort."""
    options: dict[str, Any] = {}
    seen: list[str] = []
    other = {"verdict": "refuted", "effort": "quick"}
    for tag in tags:
        key, _, value = tag.partition(" ")
        if key in FLAGS:
            options[key] = True
        elif key in NUMBERS:
            options[key] = int(value)
        elif key in LISTS:
            options[key] = (*options.get(key, ()), value)
        elif key in TEXTS:
            options[key] = value
        elif key == "roles":
            options[key] = dict(pair.split("=") for pair in value.split(", "))
        elif key == "seen":
            seen.append(value)
        else:
            other[key] = value
    assert other.keys() == {"verdict", "effort"}, f"unknown tag among {tags}"
    return options, tuple(seen), other["verdict"], other["effort"]
