"""The C prototype of a candidate: its parameter names are the roles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from pycparser import c_ast, c_parser  # type: ignore[import-untyped]  # it ships no types

from softjac._errors import CandidateError, did_you_mean
from softjac.oracle.description.declaration import without_comments
from softjac.oracle.description.roles import ARRAY_ROLES, ROLES, name_roles

__all__ = ["Parameter", "Prototype", "parse"]

# (kind, bytes, signed) of the types with a name; those of keywords are worked out.
_NAMED: Final[dict[str, tuple[str, int, bool]]] = {
    **{f"{u}int{b}_t": ("integer", b // 8, not u) for u in ("", "u") for b in (8, 16, 32, 64)},
    **{
        f"{u}int_{kind}{b}_t": ("integer", 8 if kind == "fast" and b > 8 else b // 8, not u)
        for u in ("", "u") for kind in ("fast", "least") for b in (8, 16, 32, 64)
    },
    **dict.fromkeys(("ptrdiff_t", "ssize_t", "intptr_t", "intmax_t"), ("integer", 8, True)),
    **dict.fromkeys(("Py_ssize_t", "npy_intp"), ("integer", 8, True)),
    **dict.fromkeys(("size_t", "uintptr_t", "uintmax_t"), ("integer", 8, False)),
    "uint": ("integer", 4, False), "bool": ("integer", 1, False),
    **dict.fromkeys(("_Float16", "__fp16", "float16_t", "half", "__half"), ("float16", 2, True)),
    **dict.fromkeys(("__bf16", "bfloat16_t", "bfloat16", "bf16"), ("bfloat16", 2, True)),
    "float32_t": ("float32", 4, True), "float64_t": ("float64", 8, True),
}  # fmt: skip
# What an array can hold whose type does not tell.
_DTYPES: Final = {
    "bits": ("bfloat16", "float16"),
    "void": ("float32", "float64", "bfloat16", "float16"),
}
_PRELUDE: Final = "".join(f"typedef int {name};\n" for name in _NAMED)
_KEYWORDS: Final = (
    "void", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "const",
    "volatile", "restrict", "static", "register", "enum", "struct", "union", "_Bool", "_Complex",
)  # fmt: skip

Kind = Literal["array", "integer", "scale"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    name:    as in the prototype; role: what it stands for.
    element: of an array: "float32", "float64", "bfloat16", "float16", or "bits" (a 16-bit integer)
             or "void", which say nothing about the dtype.
    bytes, signed: of an integer or of `scale`.
    """

    name: str
    role: str
    kind: Kind
    spelling: str
    element: str = ""
    bytes: int = 0
    signed: bool = False

    @property
    def largest(self) -> int:
        """The largest value an integer parameter holds."""
        return int((1 << (8 * self.bytes - self.signed)) - 1)


@dataclass(frozen=True, slots=True)
class Prototype:
    """A function's name, parameters, and the bytes of the integer status it returns (0: void)."""

    symbol: str
    parameters: tuple[Parameter, ...]
    returned: int

    def dtype(self, given: str | None) -> str:
        """The storage dtype, from the pointers and from what `--dtype` says."""
        arrays = {p.element: p for p in self.parameters if p.kind == "array"}
        typed = [p for element, p in arrays.items() if element != "void"]
        if len(typed) > 1:
            raise CandidateError(
                f"{self.symbol}: {typed[0].name} is {typed[0].spelling} and {typed[1].name} is "
                f"{typed[1].spelling}: all arrays must be of one type"
            )
        element = typed[0].element if typed else "void"
        possible = _DTYPES.get(element, (element,))
        if given is None and len(possible) == 1:
            return possible[0]
        if given in possible:
            return given
        spelling = " and ".join(dict.fromkeys(p.spelling for p in arrays.values()))
        raise CandidateError(
            f"{self.symbol}: its {spelling} arrays can be {' or '.join(possible)}; "
            f"--dtype {'must say which' if given is None else f'says {given}'}"
        )


def parse(
    text: str, *, symbol: str | None = None, roles: Mapping[str, str] | None = None
) -> Prototype:
    """A C prototype, such as `void f(const float *y, const float *dy, float *dx, size_t n)`.

    Args:
        text: the declaration, with or without a semicolon.
        symbol: the name the declaration must have, if that is known.
        roles: roles of parameters whose names are others.

    Raises:
        CandidateError: anything that is not such a prototype, in one line.
    """
    declaration = _cleaned(text)
    try:
        tree = c_parser.CParser().parse(_PRELUDE + declaration + ";")
    except Exception as error:
        raise CandidateError(_explain(text, declaration, error)) from None
    found = [
        d for d in tree.ext[len(_NAMED) :] if isinstance(getattr(d, "type", None), c_ast.FuncDecl)
    ]
    if len(found) != 1:
        raise CandidateError(f"expected one C function prototype, got {_short(text)}")
    function = found[0].type
    name = str(found[0].name)
    if symbol is not None and name != symbol:
        raise CandidateError(
            f"the prototype declares {name}, the target names {symbol}: make them agree"
        )
    declared = function.args.params if function.args is not None else []
    if any(isinstance(p, c_ast.EllipsisParam) for p in declared):
        raise CandidateError(f"{name}: variable arguments (...) cannot be called")
    if len(declared) == 1 and _is_void(declared[0].type):
        declared = []
    for place, parameter in enumerate(declared, 1):
        if not getattr(parameter, "name", None):
            raise CandidateError(
                f"{name}: parameter {place} has no name, and the names are the roles: "
                f"{', '.join(ROLES)}"
            )
    named = name_roles([p.name for p in declared], roles, name)
    parameters = tuple(_parameter(p, named[p.name], name) for p in declared)
    return Prototype(name, parameters, _returned(function.type, name))


def _parameter(node: Any, role: str, function: str) -> Parameter:
    """One parameter, checked against what its role needs."""
    name, spelling = str(node.name), _spelling(node)
    where = f"{function}: parameter {name}"
    kind, size, signed, depth = _resolve(node.type, where)
    if depth > 1:
        raise CandidateError(
            f"{where} is {spelling}: arrays are passed as one pointer to their first row"
        )
    if role in ARRAY_ROLES:
        if depth == 0:
            raise CandidateError(
                f"{where} has the role {role}, an array, but its type is {spelling}"
            )
        if kind == "integer":
            if size != 2:
                raise CandidateError(
                    f"{where} is {spelling}: expected float *, double *, or a 16-bit type"
                )
            kind = "bits"
        return Parameter(name, role, "array", spelling, element=kind)
    if depth:
        raise CandidateError(
            f"{where} has the role {role}, which is passed by value, not as {spelling}"
        )
    if role == "scale":
        if kind not in ("float32", "float64"):
            raise CandidateError(f"{where} is {spelling}: expected float or double")
        return Parameter(name, role, "scale", spelling, bytes=size, signed=True)
    if kind != "integer":
        raise CandidateError(f"{where} is {spelling}: {role} is an integer")
    return Parameter(name, role, "integer", spelling, bytes=size, signed=signed)


def _returned(node: Any, function: str) -> int:
    """The bytes of the integer a function returns, 0 for void."""
    if _is_void(node):
        return 0
    kind, size, _, depth = _resolve(node, f"{function}: the result")
    if depth or kind != "integer":
        raise CandidateError(
            f"{function} returns {_spelling(node)}: expected void or an integer status (0: done)"
        )
    return size


def _resolve(node: Any, where: str) -> tuple[str, int, bool, int]:
    """Kind, bytes and sign of a type, and how many pointers or arrays lead to it."""
    depth, arrays = 0, 0
    while isinstance(node, (c_ast.PtrDecl, c_ast.ArrayDecl)):
        arrays += isinstance(node, c_ast.ArrayDecl)
        depth += isinstance(node, c_ast.PtrDecl)
        node = node.type
    depth += arrays > 0  # `float y[rows][n]` is one piece of memory, as `float *y` is
    node = node.type if isinstance(node, c_ast.TypeDecl) else node
    if isinstance(node, c_ast.Enum):
        return "integer", 4, False, depth
    if not isinstance(node, c_ast.IdentifierType):
        raise CandidateError(f"{where}: expected a number or a pointer to numbers")
    names = list(node.names)
    if names[0] in _NAMED:
        return (*_NAMED[names[0]], depth)
    if names == ["void"] and depth:
        return "void", 0, False, depth
    if names == ["float"]:
        return "float32", 4, True, depth
    if names == ["double"]:
        return "float64", 8, True, depth
    if set(names) <= {"char", "short", "int", "long", "signed", "unsigned", "_Bool"}:
        size = (
            1
            if {"char", "_Bool"} & set(names)
            else 2
            if "short" in names
            else 8
            if "long" in names
            else 4
        )
        return "integer", size, "unsigned" not in names and "_Bool" not in names, depth
    raise CandidateError(f"{where} is of the type {' '.join(names)}, which cannot be passed")


def _is_void(node: Any) -> bool:
    """Whether a type is plain void."""
    return (
        isinstance(node, c_ast.TypeDecl)
        and isinstance(node.type, c_ast.IdentifierType)
        and node.type.names == ["void"]
    )


def _spelling(node: Any) -> str:
    """A type as a person writes it, without its qualifiers and name."""
    stars = 0
    node = node.type if isinstance(node, c_ast.Decl) else node
    while isinstance(node, (c_ast.PtrDecl, c_ast.ArrayDecl)):
        stars, node = stars + 1, node.type
    node = node.type if isinstance(node, c_ast.TypeDecl) else node
    names = " ".join(getattr(node, "names", None) or [type(node).__name__.lower()])
    return f"{names} {'*' * stars}".strip()


def _cleaned(text: str) -> str:
    """A declaration in the C that the parser knows."""
    text = without_comments(text)
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bextern\s*\"C(\+\+)?\"\s*", "", text)
    text = re.sub(r"\b__attribute__\s*\(\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)\)", "", text)
    text = re.sub(r"\b(__declspec|__asm__|alignas|_Alignas)\s*\([^()]*\)|\[\[[^\]]*\]\]", "", text)
    text = re.sub(r"\b__restrict(__)?\b", "restrict", text)
    text = re.sub(r"\b__const(__)?\b", "const", text)
    text = re.sub(
        r"\b(extern|static(?!\s+\d)|__?inline(__)?|inline|__extension__|noexcept|register)\b",
        "",
        text,
    )
    text = re.sub(r"\bstd::", "", text)
    return text.strip().rstrip(";{").strip()


def _explain(text: str, declaration: str, error: Exception) -> str:
    """Why a prototype cannot be parsed, in a person's words."""
    inside = declaration[declaration.find("(") + 1 :]
    types = re.findall(r"(?:^|[,(])\s*(?:const\s+|volatile\s+)*(\w+)\s*(?:const\s*)?[*\s]", inside)
    types += re.findall(r"^(?:const\s+)?(\w+)", declaration)
    for word in types:
        if word not in _NAMED and word not in _KEYWORDS:
            hint = did_you_mean(word, [*_NAMED, *_KEYWORDS])
            return (
                f"prototype {_short(text)}: unknown type {word}{hint or '.'} "
                "Write what it stands for"
            )
    if text.count("(") != text.count(")"):
        return f"not a C prototype: {_short(text)}: a parenthesis is missing"
    place = re.sub(r"^.*?: (before: )?", "", str(error).strip())
    return f"not a C prototype: {_short(text)}: cannot be read from {place!r} on"


def _short(text: str) -> str:
    """A text on one line, cut where it is long."""
    line = " ".join(text.split())
    return repr(line if len(line) <= 90 else line[:87] + "...")
