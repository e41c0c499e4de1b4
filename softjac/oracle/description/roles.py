"""The roles of a candidate's parameters, and which of them an op has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol, runtime_checkable

from softjac._errors import CandidateError, did_you_mean

__all__ = ["ARRAY_ROLES", "ROLES", "HasRoles", "input_roles", "name_roles"]

ARRAY_ROLES: Final = ("x", "y", "dy", "dx", "x_dot", "y_dot", "jac")
ROLES: Final = (*ARRAY_ROLES, "n", "rows", "scale", *(f"ld{role}" for role in ARRAY_ROLES))

# What people call the roles elsewhere: used in hints alone, never guessed.
_ELSEWHERE: Final = {
    "logits": "x", "input": "x", "in": "x", "src": "x", "probs": "y", "p": "y", "s": "y",
    "softmax": "y", "grad_output": "dy", "dout": "dy", "grad": "dy", "g": "dy", "gy": "dy",
    "delta": "dy", "cotangent": "dy", "grad_input": "dx", "din": "dx", "gx": "dx",
    "tangent": "x_dot", "v": "x_dot", "jacobian": "jac", "j": "jac", "len": "n", "length": "n",
    "size": "n", "cols": "n", "classes": "n", "num_classes": "n", "dim": "n", "batch": "rows",
    "batch_size": "rows", "b": "rows", "m": "rows", "nrows": "rows", "beta": "scale",
    "alpha": "scale",
}  # fmt: skip


_DIVISORS: Final = ("temperature", "temp", "tau")


@runtime_checkable
class HasRoles(Protocol):
    """What of an op says which arrays it takes and gives."""

    @property
    def name(self) -> str:
        """As on the command line."""

    @property
    def output(self) -> str:
        """The role of what it computes."""

    @property
    def takes(self) -> tuple[tuple[str, ...], ...]:
        """The input roles a candidate may name, one tuple an alternative."""


def input_roles(function: str, op: HasRoles, arrays: Sequence[str]) -> tuple[str, ...]:
    """The input roles among all array roles of a function, in the order of its parameters."""
    for takes in op.takes:
        if set(arrays) == {*takes, op.output}:
            return tuple(role for role in arrays if role in takes)
    wanted = " or ".join(" and ".join((*takes, op.output)) for takes in op.takes)
    forward = "; --autodiff judges the derivative of a JAX or PyTorch function of x"
    raise CandidateError(
        f"{function}: {op.name} has the arrays {wanted}; the parameters name "
        f"{', '.join(arrays) or 'none'}{forward if set(arrays) == {'x', op.output} else ''}"
    )


def name_roles(
    names: Iterable[str], roles: Mapping[str, str] | None, function: str
) -> dict[str, str]:
    """The role of each parameter, by its name or as `roles` says; each role at most once."""
    names, roles = list(names), dict(roles or {})
    for name, role in roles.items():
        if name not in names:
            hint = did_you_mean(name, names)
            raise CandidateError(
                f"--roles names {name}, which is no parameter of {function}"
                f"({', '.join(names)}){hint}"
            )
        if role not in ROLES:
            raise CandidateError(
                f"--roles {name}={role}: there is no role {role}{did_you_mean(role, ROLES)}; "
                f"the roles are {', '.join(ROLES)}"
            )
    result: dict[str, str] = {}
    for name in names:
        role = roles.get(name, name)
        if role not in ROLES:
            if name.lower() in _DIVISORS:
                raise CandidateError(
                    f"{function}: parameter {name} is no role: a temperature divides the logits, "
                    "the role scale multiplies them. Judge a function that takes scale and divides "
                    f"by {name} = 1 / scale"
                )
            elsewhere = _ELSEWHERE.get(name.lower(), "")
            hint = f"; did you mean {elsewhere}?" if elsewhere else did_you_mean(name, ROLES)
            raise CandidateError(
                f"{function}: parameter {name} is no role{hint or '.'} Rename it, or say "
                f"--roles {name}={elsewhere or 'ROLE'}; the roles are {', '.join(ROLES)}"
            )
        if role in result.values():
            other = next(key for key, value in result.items() if value == role)
            raise CandidateError(f"{function}: {other} and {name} both have the role {role}")
        result[name] = role
    return result
