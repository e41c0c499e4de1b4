"""A candidate from a library symbol, C source, or a Python callable."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from softjac._errors import CandidateError, did_you_mean
from softjac.oracle.calls import python_sandbox
from softjac.oracle.calls.guard import ITEM_BYTES, NativePlan
from softjac.oracle.calls.python_call import PythonPlan
from softjac.oracle.description import assume as assumptions
from softjac.oracle.description import prototype as prototypes
from softjac.oracle.description import signature, targets
from softjac.oracle.description.assume import Assumption
from softjac.oracle.description.claims import Claims, claims
from softjac.oracle.description.roles import ARRAY_ROLES, input_roles
from softjac.oracle.op import Op
from softjac.oracle.ops import OPS
from softjac.oracle.sandbox import open_sandbox

__all__ = ["CFunction", "Candidate", "load", "open_sandbox"]


@dataclass(frozen=True, slots=True)
class CFunction:
    """A C candidate: a library or source file, a symbol, and its prototype.

    Example:
        >>> CFunction("mine.c", "f", "void f(const float *x, float *y, size_t n)").symbol
        'f'
    """

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

    @property
    def limits_rows(self) -> bool:
        """Whether a precondition speaks of the number of rows."""
        return self.takes_rows and any("rows" in condition.names for condition in self.conditions)

    @property
    def limits_strides(self) -> bool:
        """Whether a precondition speaks of a row stride."""
        named = {f"ld{role}" for role in self.strides}
        return any(named & condition.names for condition in self.conditions)

    def allows(self, n: int, rows: int, strides: Mapping[str, int] | None = None) -> bool:
        """Whether its preconditions hold; strides such as ldx in elements, n where not given."""
        values = {"n": n, "rows": rows}
        values |= {f"ld{role}": n for role in self.strides} | dict(strides or {})
        return all(condition.holds(values) for condition in self.conditions)


def load(
    target: str | CFunction | Callable[..., Any],
    *,
    op: str = "",
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
        op: the operation it computes; there is no default.
        prototype: the C prototype; the parameter names are the roles.
        header: a file that declares the function, instead of a prototype.
        roles: the roles of parameters with other names, a mapping or `name=role,...`.
        autodiff: the target is a differentiable forward function; its derivative is judged.
        dtype: the storage dtype; by default the prototype's, or float32.
        assume: preconditions such as `n % 8 == 0`.
        not_reentrant: it must not be called from several threads at once.
        align: bytes to which it wants its arrays aligned.
        in_place: (output, input) pairs, or `output=input`, that may share an array.
        accumulates: it adds to its output by contract.
        nonfinite: whether NaN, +inf and rows of -inf must follow JAX, or are reported.
        over_read: bytes it may read past an input.
        cflags: compiler flags for a source.
        array: which arrays a Python callable takes; by default what it accepts.

    Raises:
        CandidateError: it cannot be found, or a claim makes no sense; the message is one line.
    """
    if not op:
        raise CandidateError(f"op is missing: say what is computed (one of {', '.join(OPS)})")
    if op not in OPS:
        hint = did_you_mean(op, OPS)
        raise CandidateError(f"unknown op {op}{hint} (known: {', '.join(OPS)})")
    if isinstance(target, CFunction):
        prototype = prototype or target.prototype
        target = f"{target.library}:{target.symbol}"
    claimed = claims(
        prototype=prototype, header=header, roles=roles, autodiff=autodiff, dtype=dtype,
        assume=assume, not_reentrant=not_reentrant, align=align, in_place=in_place,
        accumulates=accumulates, nonfinite=nonfinite, over_read=over_read, cflags=cflags,
        array=array,
    )  # fmt: skip
    if not isinstance(target, str):
        return _python(targets.name_of(target), target, OPS[op], claimed)
    if target == "softjac:native":
        file, symbol, own = targets.own_kernel(OPS[op], dtype := dtype or "float32")
        aliases = () if OPS[op].output == "jac" else OPS[op].takes[0]
        in_place = claimed.in_place or tuple((OPS[op].output, role) for role in aliases)
        own_claims = replace(claimed, prototype=own, dtype=dtype, in_place=in_place)
        return _native(target, file, symbol, OPS[op], own_claims)
    file, name = targets.split(target)
    if targets.is_native(file):
        return _native(target, file, name, OPS[op], claimed)
    return _python(target, targets.python_source(file, name, op), OPS[op], claimed)


def _native(target: str, file: str, symbol: str, op: Op, claimed: Claims) -> Candidate:
    """A candidate in C."""
    if claimed.autodiff or claimed.array:
        raise CandidateError(f"{target}: --autodiff and --array are for Python callables")
    declared = claimed.prototype
    if declared is None:
        if claimed.header is None:
            raise CandidateError(
                f"{target}: a C candidate needs --prototype "
                f"'{targets.declaration_like(file, symbol)}' or --header FILE"
            )
        declared = targets.declaration_in(claimed.header, symbol, claimed.cflags)
    parsed = prototypes.parse(declared, symbol=symbol, roles=claimed.roles)
    by_role = {p.role: p for p in parsed.parameters}
    inputs = input_roles(symbol, op, [role for role in by_role if role in ARRAY_ROLES])
    strides = frozenset(role.removeprefix("ld") for role in by_role if role.startswith("ld"))
    if "n" not in by_role:
        raise CandidateError(f"{symbol}: the prototype has no n, the number of classes")
    for role in strides - {*inputs, op.output}:
        raise CandidateError(f"{symbol}: ld{role} is the row stride of {role}, which is no array")
    names = ["n", "rows", *(f"ld{role}" for role in strides)]
    # what a narrow integer type cannot hold, nobody can pass
    narrow = [
        assumptions.parse(f"{p.role} <= {p.largest}", [p.role])
        for p in parsed.parameters
        if p.kind == "integer" and p.bytes < 4
    ]
    dtype = parsed.dtype(claimed.dtype)
    plan = NativePlan(
        library=str(targets.library_of(file, claimed.cflags)),
        file=file,
        symbol=symbol,
        dtype=dtype,
        arrays=(*inputs, op.output),
        arguments=tuple(p.role for p in parsed.parameters if p.kind != "scale"),
        returned=parsed.returned,
        scale=by_role["scale"].bytes if "scale" in by_role else 0,
        align=max(claimed.align, ITEM_BYTES[dtype]),
        over_read=claimed.over_read,
        accumulates=claimed.accumulates,
    )
    return _candidate(
        target, op, claimed, plan, inputs,
        kind="c",
        takes_rows="rows" in by_role,
        strides=strides,
        takes_scale=plan.scale > 0,
        assumptions=(*claimed.assume, *(limit.text for limit in narrow)),
        conditions=(*(assumptions.parse(a, names) for a in claimed.assume), *narrow),
        align=plan.align,
    )  # fmt: skip


def _python(
    target: str, source: tuple[str, str] | Callable[..., Any], op: Op, claimed: Claims
) -> Candidate:
    """A candidate in Python."""
    if not isinstance(source, tuple) and not callable(source):
        raise CandidateError(f"{source!r} is no callable, CFunction or target")
    for option in ("prototype", "header", "over_read", "cflags"):
        if getattr(claimed, option):
            flag = option.replace("_", "-")
            raise CandidateError(f"{target} is a Python callable; --{flag} is for C candidates")
    dtype = claimed.dtype or "float32"
    described = (
        python_sandbox.describe(source, dtype)
        if isinstance(source, tuple)
        else signature.describe(source)
    )
    if claimed.autodiff:
        inputs, arguments = signature.forward_arguments(target, op, described, claimed.array)
    else:
        inputs, arguments = signature.match(target, op, described, claimed.roles)
    plan = PythonPlan(
        source, op.name, dtype, inputs, op.output, arguments, claimed.autodiff, claimed.array
    )
    return _candidate(
        target, op, claimed, plan, inputs,
        kind="python",
        takes_rows=True,
        strides=frozenset(),
        takes_scale=any(role == "scale" for _, role in arguments),
        assumptions=claimed.assume,
        conditions=tuple(assumptions.parse(text, ["n", "rows"]) for text in claimed.assume),
        align=claimed.align,
    )  # fmt: skip


def _candidate(
    target: str, op: Op, claimed: Claims, plan: NativePlan | PythonPlan, inputs: tuple[str, ...],
    **found: Any,
) -> Candidate:  # fmt: skip
    """The record of a candidate, its claims about aliasing checked."""
    for output, source in claimed.in_place:
        if output != op.output or source not in inputs or output == "jac":
            raise CandidateError(
                f"--in-place {output}={source}: expected {op.output}=INPUT with an input of "
                f"{', '.join(inputs)}"
                if op.output != "jac"
                else f"--in-place {output}={source}: a Jacobian shares no input's array"
            )
    return Candidate(
        target=target,
        op=op.name,
        dtype=plan.dtype,
        inputs=inputs,
        output=op.output,
        in_place=claimed.in_place,
        accumulates=claimed.accumulates,
        reentrant=claimed.reentrant,
        nonfinite=claimed.nonfinite,
        over_read=claimed.over_read,
        plan=plan,
        **found,
    )
