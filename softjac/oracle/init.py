"""What `softjac init` writes: a first softjac.toml from C headers, sources and libraries."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from softjac._errors import ArgumentError, CandidateError
from softjac.oracle.description import roles as known_roles
from softjac.oracle.description.declaration import find
from softjac.oracle.description.prototype import Prototype, parse
from softjac.oracle.description.suffixes import HEADERS, LIBRARIES, SOURCES, is_library, is_source
from softjac.oracle.description.symbols import exported

__all__ = ["draft"]

# The op that a function's output says it computes; a logarithm in its name makes it log_softmax's.
OPS = {"y": "softmax", "dx": "softmax_vjp", "y_dot": "softmax_jvp", "jac": "softmax_jacobian"}
# "log" or "lsm" as a word, or log_softmax; logits and the logarithm of a sum are none.
LOGARITHM = re.compile(r"(^|_)(log(?!it|_?sum)|lsm)|log_?softmax", re.IGNORECASE)
# The dtype that a function's name tells, where its pointers do not.
DTYPES = {
    "bfloat16": re.compile(r"bf(loat)?16", re.IGNORECASE),
    "float16": re.compile(r"(?<!b)f(p|loat)?16|half", re.IGNORECASE),
    "float32": re.compile(r"f(p|loat)?32", re.IGNORECASE),
    "float64": re.compile(r"f(p|loat)?64|double", re.IGNORECASE),
}
# A declaration, or the head of a definition: a type, a name, and parameters in parentheses.
FUNCTION = re.compile(r"[\w*]\s+\**(\w+)\s*\([^()]*\)\s*[;{]")
OPENING = """\
# The candidates that `softjac verify --all` judges. Look over each op, and declare what its
# kernel assumes: assume = "n % 8 == 0", in-place = ["dx=dy"], align = 32, not-reentrant = true.
"""
UNKNOWN_LIBRARY = "path/to/library.so"


@dataclass(frozen=True, slots=True)
class Function:
    """A function that looks like a candidate: declared in `file`.

    dtype: a line on it for the table, where the prototype does not tell the dtype.
    """

    symbol: str
    file: Path
    op: str
    roles: dict[str, str]
    dtype: str = ""


def guessed_roles(declaration: str) -> dict[str, str]:
    """Roles of parameters with other names, where the names are known from elsewhere."""
    inside = declaration[declaration.rindex("(") + 1 : declaration.rindex(")")]
    names = [re.sub(r"\[.*", "", part).split()[-1].lstrip("*") for part in inside.split(",")]
    known = {name: known_roles._ELSEWHERE.get(name.lower(), "") for name in names}
    taken = set(names) & set(known_roles.ROLES)
    guesses = {
        name: role
        for name, role in known.items()
        if name not in known_roles.ROLES and role and role not in taken
    }
    return guesses if len(set(guesses.values())) == len(guesses) else {}


def dtype_line(prototype: Prototype) -> str:
    """The dtype, where its pointers do not tell and its name does; a comment where neither does."""
    try:
        prototype.dtype(None)
    except CandidateError as undecided:
        for dtype, pattern in DTYPES.items():
            with contextlib.suppress(CandidateError):
                if pattern.search(prototype.symbol):
                    return f"dtype = {json.dumps(prototype.dtype(dtype))}"
        return f"# dtype is missing: {undecided}"
    return ""


def declarations(file: Path) -> str:
    """The text of a header or source without its preprocessor lines."""
    text = file.read_text("utf-8", "replace").replace("\\\n", " ")
    return re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)


def functions(file: Path) -> list[Function]:
    """The functions of a header or source whose parameters are roles, or nearly so."""
    text = declarations(file)
    found = []
    for symbol in dict.fromkeys(match.group(1) for match in FUNCTION.finditer(text)):
        try:
            declaration = find(text, symbol)
            roles = guessed_roles(declaration)
            parsed = parse(declaration, roles=roles)
        except (CandidateError, ValueError, IndexError):
            continue
        outputs = [p.role for p in parsed.parameters if p.role in OPS]
        inputs = [p.role for p in parsed.parameters if p.role in ("x", "y", "dy", "x_dot")]
        if not outputs or not inputs:
            continue
        # `y` is an output only where nothing else is.
        output = next((role for role in outputs if role != "y"), "y")
        op = f"{'log_' if LOGARITHM.search(symbol) else ''}{OPS[output]}"
        found.append(Function(symbol, file, op, roles, dtype_line(parsed)))
    return found


def table(function: Function, target: str) -> str:
    """The [[candidate]] of one function."""
    lines = [
        "[[candidate]]",
        f"target = {json.dumps(f'{target}:{function.symbol}')}",
        f"op = {json.dumps(function.op)}",
    ]
    if target != str(function.file):
        lines.append(f"header = {json.dumps(str(function.file))}")
    else:
        found = find(declarations(function.file), function.symbol)
        declaration = " ".join(found.split())
        lines.append(f"prototype = {json.dumps(declaration)}")
    if function.dtype:
        lines.append(function.dtype)
    if function.roles:
        pairs = ", ".join(f"{name} = {json.dumps(role)}" for name, role in function.roles.items())
        lines.append(f"roles = {{{pairs}}}")
    return "\n".join(lines) + "\n"


def draft(files: Sequence[Path]) -> tuple[str, int]:
    """The text of a first configuration.

    Args:
        files: headers, C or C++ sources, and shared libraries. A library alone takes its
            prototypes from the headers in its folder.

    Returns:
        TOML text, and how many candidates are in it.

    Raises:
        ArgumentError: a file that is not there or of no known kind, or no candidate in any.
    """
    for file in files:
        if not file.is_file():
            raise ArgumentError(f"{file}: no such file")
        if file.suffix not in HEADERS and not is_source(file) and not is_library(file):
            kinds = " ".join((*HEADERS, *SOURCES, *LIBRARIES))
            raise ArgumentError(f"{file}: expected a file that ends in one of {kinds}")
    libraries = {file: exported(file) for file in files if is_library(file)}
    headers = [file for file in files if file.suffix in HEADERS]
    sources = [file for file in files if is_source(file)]
    if libraries and not headers:
        folders = dict.fromkeys(file.parent for file in libraries)
        headers = [h for folder in folders for h in sorted(folder.glob("*.h"))]
        if not headers and not sources:
            raise ArgumentError(
                f"{files[0]}: a library does not hold its prototypes; give its header as well"
            )
    tables = []
    for function in (f for file in headers for f in functions(file)):
        holders = [str(name) for name, symbols in libraries.items() if function.symbol in symbols]
        if holders or not libraries:
            tables.append(table(function, (holders or [UNKNOWN_LIBRARY])[0]))
    for function in (f for file in sources for f in functions(file)):
        tables.append(table(function, str(function.file)))
    if not tables:
        names = ", ".join(map(str, files))
        raise ArgumentError(
            f"no candidate in {names}: parameters are named by roles, such as "
            "(const float *y, const float *dy, float *dx, size_t rows, size_t n)"
        )
    return "\n".join([OPENING, *tables]), len(tables)
