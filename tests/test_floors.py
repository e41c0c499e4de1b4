"""The floors of the architecture: imports point down only, and never in a circle."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import softjac

PACKAGE = Path(softjac.__file__).parent
# Each floor's modules and folders; of those that fit, the longest counts.
FLOORS = {
    0: "_types _errors _classes _exponential native/_library native/_abi oracle oracle/findings "
       "oracle/precision oracle/catalogue oracle/calls/call oracle/calls/channel "
       "oracle/calls/guard oracle/description/suffixes oracle/judging/allocation",
    1: "_product _derivatives native/_numpy oracle/enclosure oracle/cache oracle/storage "
       "oracle/description oracle/calls/arrays oracle/calls/derivatives oracle/calls/process "
       "oracle/calls/returned oracle/calls/settings oracle/judging/sample oracle/planning/pace "
       "oracle/reports/numbers oracle/reports/text",
    2: "_softmax _operator oracle/calls oracle/sandbox oracle/description/prototype "
       "oracle/description/targets oracle/judging/programs",
    3: "layers lineax sharded native oracle/op oracle/reference oracle/judging",
    4: "oracle/ops oracle/inputs oracle/mistakes oracle/planning/plan "
       "oracle/judging/library_derivative",
    5: "oracle/candidate oracle/failure",
    6: "oracle/incidents oracle/judging/awaited oracle/judging/judge_process "
       "oracle/judging/kept oracle/judging/rows oracle/planning/shapes oracle/planning/series",
    7: "oracle/trial oracle/checks oracle/accuracy oracle/counterexample oracle/pictures "
       "oracle/conclusion oracle/planning",
    8: "oracle/diagnosis oracle/explaining oracle/patterns",
    9: "oracle/verdict",
    10: "oracle/reports oracle/config oracle/init oracle/run strategies",
    11: "cli __main__",
}  # fmt: skip
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names.split()}


def name_of(file: Path) -> str:
    """The dotted name of a module's file."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(file): file for file in PACKAGE.rglob("*.py")}


def floor(module: str) -> int:
    """The floor of a module."""
    path = module.removeprefix("softjac.").replace(".", "/")
    fitting = [name for name in FLOOR_OF if f"{path}/".startswith(f"{name}/")]
    found = max(fitting, key=len, default="")
    known = found and (found != "oracle" or path == "oracle")  # that folder's files have their own
    assert known, f"{module} has no floor yet: enter it in FLOORS"
    return FLOOR_OF[found]


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
