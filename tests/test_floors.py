"""The floors of the architecture: imports point down only, and never in a circle."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import softjac

PACKAGE = Path(softjac.__file__).parent
# A file or folder and its floor; of two that fit, the longer one counts.
FLOORS = {
    "_types": 0, "_errors": 0, "_summation": 0, "_derivatives": 1, "_softmax": 2, "_operator": 2, "layers": 3,
    "sharded": 3, "native": 3, "native/_library": 0, "native/_numpy": 1, "native/_xla": 3,
    "oracle": 0, "oracle/call": 0, "oracle/findings": 0, "oracle/catalogue": 0,
    "oracle/prototype": 1, "oracle/assume": 1, "oracle/enclosure": 1, "oracle/sandbox": 1,
    "oracle/worker": 1, "oracle/bounds": 3, "oracle/reference": 3, "oracle/ops": 4,
    "oracle/inputs": 4, "oracle/candidate": 5, "oracle/checks": 6, "oracle/diagnosis": 7,
    "oracle/verdict": 8, "oracle/config": 9, "oracle/reports": 9, "strategies": 9, "oracle/run": 9, "oracle/init": 9, "cli": 10, "__main__": 10,
}  # fmt: skip


def name_of(file: Path) -> str:
    """The dotted name of a module's file."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(file): file for file in PACKAGE.rglob("*.py")}


def floor(module: str) -> int:
    """The floor of a module: that of the longest entry that names it or a folder above it."""
    path = module.removeprefix("softjac.").replace(".", "/")
    return FLOORS[max((e for e in FLOORS if f"{path}/".startswith(f"{e}/")), key=len)]


def imports(module: str) -> set[str]:
    """The modules of the package that a module's source imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else str(node.module) for name in names}
    return (found & MODULES.keys()) - {"softjac", module}


GRAPH = {module: imports(module) for module in MODULES if module != "softjac"}


def test_imports_point_down() -> None:
    """No module imports one of a higher floor."""
    upwards = [(m, i) for m, found in GRAPH.items() for i in found if floor(i) > floor(m)]
    assert not upwards


def test_no_circles() -> None:
    """The modules can be put in an order in which each comes after those it imports."""
    order = list(graphlib.TopologicalSorter(GRAPH).static_order())
    assert set(order) == GRAPH.keys()
