"""A candidate from a library symbol, C source, or a Python callable."""

from __future__ import annotations

import difflib
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from softjac._errors import CandidateError
from softjac.native import _library
from softjac.oracle import assume as assumptions
from softjac.oracle import prototype as prototypes
from softjac.oracle.assume import Assumption
from softjac.oracle.compiler import SOURCE_SUFFIXES, compile_library, preprocess
from softjac.oracle.guard import ITEM_BYTES, NativePlan
from softjac.oracle.native_sandbox import SymbolMissingError
from softjac.oracle.op import Op
from softjac.oracle.ops import OPS
from softjac.oracle.prototype import Parameter, Prototype
from softjac.oracle.python_call import Description, PythonPlan, parameters
from softjac.oracle.python_sandbox import describe
from softjac.oracle.sandbox import open_sandbox

__all__ = ["CFunction", "Candidate", "load", "open_sandbox"]

_LIBRARY_SUFFIXES = (".so", ".dylib")
_SUFFIX_OF = {"float32": "f32", "float64": "f64", "bfloat16": "bf16", "float16": "f16"}


@dataclass(frozen=True, slots=True)
class CFunction:
    """A C candidate: a library or source file, a symbol, and its prototype."""

    library: str
    symbol: str
    prototype: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is judged, and what it claims.

    inputs:      the roles it takes, in order; output: the role it gives.
    strides:     the roles whose row stride is a parameter.
    assumptions: preconditions as given, and those its integer types imply.
    in_place:    (output, input) pairs that it claims may share an array.
    plan:        how the sandbox runs it.
    """

    target: str
    op: str
    dtype: str
    kind: Literal["c", "python"]
    inputs: tuple[str, ...]
    output: str
    takes_rows: bool
    strides: frozenset[str]
    takes_scale: bool
    assumptions: tuple[str, ...]
    align: int
    in_place: tuple[tuple[str, str], ...]
    accumulates: bool
    reentrant: bool
    nonfinite: Literal["strict", "report"]
    over_read: int
    plan: NativePlan | PythonPlan
    conditions: tuple[Assumption, ...] = field(default=(), repr=False)

    def allows(self, n: int, rows: int, strides: Mapping[str, int] | None = None) -> bool:
        """Whether its preconditions hold; strides by role in elements, n where none is given."""
        values = {"n": n, "rows": rows}
        values |= {f"ld{role}": (strides or {}).get(role, n) for role in self.strides}
        return all(condition.holds(values) for condition in self.conditions)


def load(
    target: str | CFunction | Callable[..., Any],
    *,
    op: str,
    prototype: str | None = None,
    header: str | None = None,
    roles: Mapping[str, str] | str | None = None,
    autodiff: bool = False,
    dtype: str | None = None,
    assume: Iterable[str] | str = (),
    not_reentrant: bool = False,
    align: int | None = None,
    in_place: Iterable[str | tuple[str, str]] | str = (),
    accumulates: bool = False,
    nonfinite: Literal["strict", "report"] = "report",
    over_read: int = 0,
    cflags: Iterable[str] | str = (),
    array: Literal["numpy", "jax", "torch"] | None = None,
) -> Candidate:
    """Finds a candidate, compiles it where it is a source, and checks every claim about it.

    Args:
        target: `lib.so:symbol`, `file.c:symbol`, `package.module:function`, `file.py:function`,
            `softjac:native`, `softjac:reference`, a CFunction or a Python callable.
        op: what it claims to compute; the other arguments are the command line's options.

    Raises:
        CandidateError: it cannot be loaded, or a claim makes no sense; the message is one line.
    """
    known = _op(op)
    if isinstance(target, CFunction):
        prototype = prototype or target.prototype
        target = f"{target.library}:{target.symbol}"
    if dtype not in (None, *ITEM_BYTES):
        raise CandidateError(f"unknown dtype {dtype}; expected {', '.join(ITEM_BYTES)}")
    if nonfinite not in ("strict", "report"):
        raise CandidateError(f"--nonfinite {nonfinite}: expected strict or report")
    if over_read < 0:
        raise CandidateError(f"--over-read {over_read}: expected 0 or more bytes")
    if isinstance(target, str):
        file, symbol = _split(target)
        if target == "softjac:native":
            dtype = dtype or "float32"
            file, symbol, prototype = _own_kernel(op, dtype)
            in_place = in_place or _own_aliases(known)
    else:
        file, symbol = "", ""
    claims: dict[str, Any] = {
        "op": op,
        "in_place": _pairs(in_place),
        "accumulates": accumulates,
        "reentrant": not not_reentrant,
        "nonfinite": nonfinite,
    }
    if isinstance(target, str) and Path(file).suffix != ".py" and _is_native(file):
        if autodiff or array:
            raise CandidateError(f"{target} is C: --autodiff and --array are for Python callables")
        parsed = _prototype(target, symbol, prototype, header, _mapping(roles), _words(cflags))
        return _native(
            target, file, parsed, known, dtype, claims, _listed(assume), align, over_read,
            _words(cflags),
        )  # fmt: skip
    refused = {"prototype": prototype, "header": header, "align": align, "over_read": over_read}
    for option, value in refused.items():
        if value:
            raise CandidateError(f"{target} is a Python callable: --{option} is for C candidates")
    source = _source(file, symbol, op) if isinstance(target, str) else target
    return _python(
        target if isinstance(target, str) else _name_of(target), source, known, dtype or "float32",
        claims, _listed(assume), _mapping(roles), autodiff, array,
    )  # fmt: skip


def _native(
    target: str,
    file: str,
    parsed: Prototype,
    op: Op,
    dtype: str | None,
    claims: Mapping[str, Any],
    assume: Sequence[str],
    align: int | None,
    over_read: int,
    cflags: Sequence[str],
) -> Candidate:
    """A candidate in C."""
    by_role = {p.role: p for p in parsed.parameters}
    inputs = _inputs(parsed.symbol, op, [r for r in by_role if r in prototypes.ARRAY_ROLES])
    strides = frozenset(r.removeprefix("ld") for r in by_role if r.startswith("ld"))
    if "n" not in by_role:
        raise CandidateError(f"{parsed.symbol}: the prototype has no n, the number of classes")
    for role in strides - {*inputs, op.output}:
        raise CandidateError(
            f"{parsed.symbol}: ld{role} is the row stride of {role}, which is no array"
        )
    chosen = parsed.dtype(dtype)
    conditions = [assumptions.parse(a, ["n", "rows", *(f"ld{r}" for r in strides)]) for a in assume]
    implied = [_implied(p) for p in parsed.parameters if p.kind == "integer"]
    shown = [
        a.text
        for p, a in zip([p for p in parsed.parameters if p.kind == "integer"], implied, strict=True)
        if p.bytes < 4
    ]
    plan = NativePlan(
        library=str(_library_of(file, cflags)),
        symbol=parsed.symbol,
        dtype=chosen,
        arrays=(*inputs, op.output),
        arguments=tuple(p.role for p in parsed.parameters if p.kind != "scale"),
        returned=parsed.returned,
        scale=by_role["scale"].bytes if "scale" in by_role else 0,
        align=_alignment(align, ITEM_BYTES[chosen]),
        over_read=over_read,
    )
    candidate = Candidate(
        target=target,
        dtype=chosen,
        kind="c",
        inputs=inputs,
        output=op.output,
        takes_rows="rows" in by_role,
        strides=strides,
        takes_scale="scale" in by_role,
        assumptions=(*assume, *shown),
        align=plan.align,
        over_read=over_read,
        plan=plan,
        conditions=(*conditions, *implied),
        **claims,
    )
    _check_pairs(candidate)
    _check_loads(candidate, file)
    return candidate


def _python(
    target: str,
    source: tuple[str, str] | Callable[..., Any],
    op: Op,
    dtype: str,
    claims: Mapping[str, Any],
    assume: Sequence[str],
    roles: Mapping[str, str],
    autodiff: bool,
    array: Literal["numpy", "jax", "torch"] | None,
) -> Candidate:
    """A candidate in Python."""
    if not isinstance(source, tuple) and not callable(source):
        raise CandidateError(f"{source!r} is no callable, CFunction or target")
    described = describe(source, dtype) if isinstance(source, tuple) else parameters(source)
    if autodiff:
        inputs, arguments = _forward_arguments(target, op, described, array)
    else:
        inputs, arguments = _arguments(target, op, described, roles)
    plan = PythonPlan(
        source, op.name, dtype, inputs, op.output, arguments, autodiff=autodiff, array=array
    )
    candidate = Candidate(
        target=target,
        dtype=dtype,
        kind="python",
        inputs=inputs,
        output=op.output,
        takes_rows=True,
        strides=frozenset(),
        takes_scale=any(role == "scale" for _, role in arguments),
        assumptions=tuple(assume),
        align=1,
        over_read=0,
        plan=plan,
        conditions=tuple(assumptions.parse(text, ["n", "rows"]) for text in assume),
        **claims,
    )
    _check_pairs(candidate)
    return candidate


def _arguments(
    name: str, op: Op, described: Description, roles: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Input roles, and (parameter, role) of each argument of a Python callable."""
    taken = [p for p in described or [] if p[1] not in ("VAR_POSITIONAL", "VAR_KEYWORD")]
    if not taken:  # it does not tell: the op's roles, by position
        inputs = op.takes[0]
        return inputs, tuple(("", role) for role in inputs)
    needed = [p[0] for p in taken if not p[2]]
    wanted = {role for takes in op.takes for role in takes} | {"scale"}
    optional = [p[0] for p in taken if p[2] and roles.get(p[0], p[0]) in wanted]
    named = prototypes.name_roles([*needed, *optional], roles, name)
    if op.output in named.values():
        raise CandidateError(f"{name} takes {op.output}: a Python callable returns its output")
    arrays = [role for role in named.values() if role in prototypes.ARRAY_ROLES]
    inputs = _inputs(name, op, [*arrays, op.output])
    strange = [role for role in named.values() if role.startswith("ld")]
    if strange:
        raise CandidateError(f"{name} takes {strange[0]}: arrays carry their strides in Python")
    by_position = {p[0] for p in taken if p[1] == "POSITIONAL_ONLY"}
    arguments = [("" if key in by_position else key, role) for key, role in named.items()]
    return inputs, tuple(sorted(arguments, key=lambda argument: argument[0] != ""))


def _forward_arguments(
    name: str, op: Op, described: Description, array: str | None
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The same for a forward function whose derivative is taken."""
    if op.output == "y":
        raise CandidateError(f"--autodiff judges a derivative, and {op.name} is none")
    if array == "numpy":
        raise CandidateError("--autodiff is for JAX and PyTorch functions, not for NumPy")
    needed = [p[0] for p in described or [] if not p[2] and p[1] != "VAR_POSITIONAL"]
    if len(needed) > 1:
        raise CandidateError(
            f"{name}: --autodiff needs a function of the logits alone, this one takes "
            f"{', '.join(needed)}"
        )
    arguments = [("", "x")]
    if any(p[0] == "scale" for p in described or []):
        arguments.append(("scale", "scale"))
    return op.takes[1], tuple(arguments)


def _source(file: str, name: str, op: str) -> tuple[str, str]:
    """Where a child process imports a callable from."""
    if (file, name) == ("softjac", "reference"):
        return "softjac", op
    if file.endswith(".py"):
        path = Path(file)
        if not path.is_file():
            raise CandidateError(f"{file}: there is no such file")
        return str(path.resolve()), name
    if "/" in file or not all(part.isidentifier() for part in file.split(".")):
        raise CandidateError(
            f"{file}: expected a module, or a file ending in .py, .so, .c, .cc or .cpp"
        )
    return file, name


def _name_of(function: Any) -> str:
    """A callable's name, for reports."""
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None)
    return f"{module}:{name}" if module else str(name)


def _check_loads(candidate: Candidate, file: str) -> None:
    """Loads the library in a child process once, so that a wrong symbol is known at once."""
    try:
        with open_sandbox(candidate):
            pass
    except SymbolMissingError as error:
        raise CandidateError(f"{error}{_symbol_hint(candidate.plan, file)}") from None


def _symbol_hint(plan: Any, file: str) -> str:
    """What the library has instead of a missing symbol."""
    tool = shutil.which("nm")
    if tool is None:
        return ""
    listing = subprocess.run(
        [tool, "-D", "--defined-only", plan.library], capture_output=True, text=True, check=False
    )
    names = [line.split()[-1] for line in listing.stdout.splitlines() if " T " in line]
    mangled = [name for name in names if name.startswith("_Z") and plan.symbol in name]
    if mangled:
        return f'; it has {mangled[0]}: declare the function extern "C"'
    near = difflib.get_close_matches(plan.symbol, names, 1, 0.6)
    return f"; did you mean {near[0]}?" if near else f"; it has {', '.join(names[:5]) or 'none'}"


def _op(name: str) -> Op:
    """An op by its name."""
    if name not in OPS:
        near = difflib.get_close_matches(name, OPS, 1, 0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise CandidateError(f"unknown op {name}{hint} (known: {', '.join(OPS)})")
    return OPS[name]


def _inputs(name: str, op: Op, arrays: Sequence[str]) -> tuple[str, ...]:
    """The input roles, from all array roles in the order of the parameters."""
    for takes in op.takes:
        if set(arrays) == {*takes, op.output}:
            return tuple(role for role in arrays if role in takes)
    wanted = " or ".join(" and ".join((*takes, op.output)) for takes in op.takes)
    came = ", ".join(arrays) or "none"
    raise CandidateError(f"{name}: {op.name} has the arrays {wanted}; the parameters name {came}")


def _implied(parameter: Parameter) -> Assumption:
    """What an integer type cannot hold, nobody can pass."""
    names = [parameter.role]
    return assumptions.parse(f"{parameter.role} <= {parameter.largest}", names)


def _alignment(align: int | None, item: int) -> int:
    """The alignment of the arrays in bytes."""
    if align is None:
        return item
    if align < 1 or align & (align - 1) or align > 4096:
        raise CandidateError(f"--align {align}: expected a power of two, at most 4096")
    return max(align, item)


def _pairs(in_place: Iterable[str | tuple[str, str]] | str) -> tuple[tuple[str, str], ...]:
    """Claims such as `dx=dy`, as pairs."""
    pairs = []
    for claim in [in_place] if isinstance(in_place, str) else in_place:
        output, _, source = (
            claim.partition("=") if isinstance(claim, str) else (*claim[:1], "", *claim[1:])
        )
        pairs.append((output.strip(), source.strip()))
    return tuple(pairs)


def _check_pairs(candidate: Candidate) -> None:
    """Refuses a claim about arrays the candidate has not."""
    for output, source in candidate.in_place:
        if output != candidate.output or source not in candidate.inputs or output == "jac":
            raise CandidateError(
                f"--in-place {output}={source}: expected OUTPUT=INPUT, with "
                f"{candidate.output} and one of {', '.join(candidate.inputs)}"
            )


def _prototype(
    target: str,
    symbol: str,
    prototype: str | None,
    header: str | None,
    roles: Mapping[str, str],
    cflags: Sequence[str],
) -> Prototype:
    """The prototype, from the option or a header."""
    if prototype is None and header is None:
        raise CandidateError(
            f"{target}: a C candidate needs --prototype 'void {symbol}(const float *y, ...)' or "
            "--header FILE"
        )
    if prototype is None:
        file = Path(str(header))
        if not file.is_file():
            raise CandidateError(f"--header {file}: there is no such file")
        prototype = prototypes.find(preprocess(file, cflags), symbol)
    return prototypes.parse(prototype, symbol=symbol, roles=roles)


def _library_of(file: str, cflags: Sequence[str]) -> Path:
    """The shared library, compiled if the file is a source."""
    path = Path(file)
    if not path.is_file():
        raise CandidateError(f"{file}: there is no such file")
    return compile_library(path, cflags) if path.suffix in SOURCE_SUFFIXES else path.resolve()


def _is_native(file: str) -> bool:
    """Whether a file's name says library or C source."""
    suffixes = Path(file).suffixes
    return bool(suffixes) and (
        suffixes[-1] in (*SOURCE_SUFFIXES, *_LIBRARY_SUFFIXES) or ".so" in suffixes
    )


def _split(target: str) -> tuple[str, str]:
    """A target's file or module, and the name in it."""
    file, _, name = target.rpartition(":")
    if not file or not name:
        raise CandidateError(
            f"target {target!r}: expected FILE:SYMBOL or MODULE:FUNCTION, such as libmine.so:f, "
            "kernel.c:f, package.module:f or file.py:f"
        )
    return file, name


def _own_kernel(op: str, dtype: str) -> tuple[str, str, str]:
    """File, symbol and prototype of the project's own kernel, row strides and scale included."""
    known = _op(op)
    number = {"float32": "float", "float64": "double"}.get(dtype, "uint16_t")
    scale = "double" if dtype == "float64" else "float"
    arrays = [*known.takes[0], known.output]
    declared = [f"{number} *{role}, ptrdiff_t ld{role}" for role in arrays]
    symbol = f"softjac_{op}_strided_{_SUFFIX_OF[dtype]}"
    listed = ", ".join([*declared, "size_t rows", "size_t n", f"{scale} scale"])
    return str(_library.path()), symbol, f"int {symbol}({listed})"


def _own_aliases(op: Op) -> tuple[str, ...]:
    """The aliasing the project's own kernels claim."""
    if op.output == "jac":
        return ()
    return tuple(f"{op.output}={role}" for role in op.takes[0])


def _mapping(roles: Mapping[str, str] | str | None) -> dict[str, str]:
    """Roles by parameter name, from `name=role,...` or a mapping."""
    if not isinstance(roles, str):
        return dict(roles or {})
    pairs = [pair.partition("=") for pair in roles.split(",") if pair.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise CandidateError(f"--roles {roles!r}: expected name=role,...")
    return {name.strip(): role.strip() for name, _, role in pairs}


def _listed(values: Iterable[str] | str) -> list[str]:
    """One value or several, as a list."""
    return [values] if isinstance(values, str) else list(values)


def _words(cflags: Iterable[str] | str) -> list[str]:
    """Compiler flags, split as a shell does."""
    return [word for flags in _listed(cflags) for word in shlex.split(flags)]
