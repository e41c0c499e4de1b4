"""What is said of a candidate beside its target: the options, checked and in one shape each."""

from __future__ import annotations

import importlib.util
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from softjac._errors import CandidateError
from softjac.oracle.calls.guard import ITEM_BYTES

__all__ = ["Claims", "claims"]


@dataclass(frozen=True, slots=True)
class Claims:
    """The options of `softjac.oracle.candidate.load`, which documents them."""

    prototype: str | None
    header: str | None
    roles: Mapping[str, str]
    autodiff: bool
    dtype: str | None
    assume: tuple[str, ...]
    reentrant: bool
    align: int
    in_place: tuple[tuple[str, str], ...]
    accumulates: bool
    nonfinite: Literal["strict", "report"]
    over_read: int
    cflags: tuple[str, ...]
    array: Literal["numpy", "jax", "torch"] | None


def claims(
    *, roles: Any, assume: Any, not_reentrant: bool, align: int | None, in_place: Any, cflags: Any,
    **others: Any,
) -> Claims:  # fmt: skip
    """The options as given, in one shape each; raises CandidateError for nonsense."""
    for option, known in (
        ("dtype", (None, *ITEM_BYTES)),
        ("nonfinite", ("strict", "report")),
        ("array", (None, "numpy", "jax", "torch")),
    ):
        if others[option] not in known:
            expected = ", ".join(value for value in known if value)
            raise CandidateError(f"--{option} {others[option]}: expected one of {expected}")
    array = others["array"]
    if array is not None and importlib.util.find_spec(array) is None:
        raise CandidateError(f"--array {array}: {array} is not installed beside softjac")
    if others["over_read"] < 0:
        raise CandidateError(f"--over-read {others['over_read']}: expected 0 or more bytes")
    if align is not None and (align < 1 or align & (align - 1) or align > 4096):
        raise CandidateError(f"--align {align}: expected a power of two, at most 4096")
    return Claims(
        roles=_mapping(roles),
        assume=_listed(assume),
        reentrant=not not_reentrant,
        align=align or 1,
        in_place=_pairs(in_place),
        cflags=tuple(word for flags in _listed(cflags) for word in shlex.split(flags)),
        **others,
    )


def _mapping(roles: Mapping[str, str] | str | None) -> dict[str, str]:
    """Roles by parameter name, from `name=role,...` or a mapping."""
    if not isinstance(roles, str):
        return dict(roles or {})
    return dict(_pair(text, "--roles", "NAME=ROLE") for text in roles.split(",") if text.strip())


def _pairs(in_place: Iterable[str | tuple[str, str]] | str) -> tuple[tuple[str, str], ...]:
    """Claims such as `dx=dy`, as pairs."""
    return tuple(
        _pair(claim, "--in-place", "OUTPUT=INPUT") if isinstance(claim, str) else claim
        for claim in ([in_place] if isinstance(in_place, str) else in_place)
    )


def _pair(text: str, option: str, expected: str) -> tuple[str, str]:
    """The two sides of an equals sign."""
    left, equals, right = (part.strip() for part in text.partition("="))
    if not (left and equals and right):
        raise CandidateError(f"{option} {text!r}: expected {expected}")
    return left, right


def _listed(values: Iterable[str] | str) -> tuple[str, ...]:
    """One value or several."""
    return (values,) if isinstance(values, str) else tuple(values)
