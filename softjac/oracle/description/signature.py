"""The roles of a Python callable's parameters."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Collection, Mapping
from typing import Any

from softjac._errors import CandidateError
from softjac.oracle.description.roles import ARRAY_ROLES, HasRoles, input_roles, name_roles

__all__ = ["Arguments", "Description", "callable_of", "describe", "forward_arguments", "match"]

Description = list[tuple[str, str, bool]] | None
"""(name, kind, whether it has a default) of each parameter; None: no signature is to be had."""

Arguments = tuple[tuple[str, str], ...]
"""(parameter, role) of each argument; a parameter of "" is passed by position."""

_SCALE = "scale"


def describe(function: Callable[..., Any]) -> Description:
    """The parameters of a callable, as far as it tells."""
    try:
        signature = inspect.signature(callable_of(function))
    except (TypeError, ValueError):
        return None
    return [
        (p.name, p.kind.name, p.default is not inspect.Parameter.empty)
        for p in signature.parameters.values()
        if p.kind.name not in ("VAR_POSITIONAL", "VAR_KEYWORD")
    ]


def callable_of(function: Any) -> Any:
    """What is called: of a `torch.autograd.Function`, which is a class, its `apply`."""
    if isinstance(function, type) and any(
        base.__module__.startswith("torch.autograd") for base in function.__mro__
    ):
        return getattr(function, "apply", function)
    return function


def match(
    function: str, op: HasRoles, described: Description, roles: Mapping[str, str]
) -> tuple[tuple[str, ...], Arguments]:
    """The input roles of a callable, and its arguments.

    Parameters with a default count where their names are roles of the op. A callable that tells no
    parameters gets the op's inputs by position.
    """
    if not described:
        return op.takes[0], tuple(("", role) for role in op.takes[0])
    wanted = {role for takes in op.takes for role in takes} | {_SCALE, *roles.values()}
    names = [
        name
        for name, _, has_default in described
        if not has_default or roles.get(name, name) in wanted
    ]
    named = name_roles(names, roles, function)
    for name, role in named.items():
        if role == op.output:
            takes = " or ".join(", ".join(takes) for takes in op.takes)
            raise CandidateError(
                f"{function}: {name} is the output of {op.name}, which a callable returns; its "
                f"parameters are {takes}"
            )
        if role.startswith("ld"):
            raise CandidateError(f"{function}: {name} is a row stride, which arrays carry here")
    arrays = [role for role in named.values() if role in ARRAY_ROLES]
    by_position = _by_position(described, named)
    arguments = [("" if name in by_position else name, role) for name, role in named.items()]
    return input_roles(function, op, [*arrays, op.output]), tuple(arguments)


def _by_position(described: list[tuple[str, str, bool]], chosen: Collection[str]) -> set[str]:
    """Those of the chosen parameters that can be passed by position: none before them is left out.

    As people call functions, and since a wrapper may take positional arguments alone under a
    signature with names.
    """
    places = (name for name, kind, _ in described if kind != "KEYWORD_ONLY")
    return set(itertools.takewhile(lambda name: name in chosen, places))


def forward_arguments(
    function: str, op: HasRoles, described: Description, array: str | None
) -> tuple[tuple[str, ...], Arguments]:
    """The same for a forward function whose derivative is to be taken: its logits come first.

    Beside them it may take a scale, by that name.
    """
    if op.output == "y":
        raise CandidateError(f"--autodiff judges a derivative, and {op.name} is none")
    if array == "numpy":
        raise CandidateError("--autodiff is for JAX and PyTorch functions, not for NumPy")
    needed = [name for name, _, has_default in described or [] if not has_default]
    if len(needed) > 1 and needed[1:] != [_SCALE]:
        raise CandidateError(
            f"{function}: --autodiff needs a function of the logits, or of them and scale, not of "
            f"{', '.join(needed)}"
        )
    scaled = any(name == _SCALE for name, _, _ in described or [])
    from_logits = next(takes for takes in op.takes if "x" in takes)
    return from_logits, (("", "x"), *([(_SCALE, _SCALE)] if scaled else []))
