"""Exceptions, their common base class, and the hints in their messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = [
    "FAULT",
    "ArgumentError",
    "CandidateError",
    "LibraryMissingError",
    "RefutedError",
    "SandboxError",
    "SoftjacError",
    "did_you_mean",
    "first_few",
]

# Follows an exception that nobody raised on purpose.
FAULT = "this is a fault of softjac itself, not a verdict; please report it"


class SoftjacError(Exception):
    """Base of every exception that softjac raises on purpose."""


class ArgumentError(SoftjacError, ValueError):
    """An argument has the wrong shape, dtype or value; the message says what was expected."""


class LibraryMissingError(SoftjacError, ImportError):
    """The compiled kernels are not there; the message says how to build them."""


class CandidateError(SoftjacError):
    """A candidate cannot be loaded: unknown target, bad prototype, import or compile error."""


class SandboxError(SoftjacError):
    """The sandbox cannot run on this platform."""


class RefutedError(SoftjacError, AssertionError):
    """A candidate was not verified; the message is the oracle's report."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint at the nearest known word, if one is near."""
    import difflib  # seldom needed

    near = difflib.get_close_matches(word.lower(), list(known), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def first_few(names: Sequence[str]) -> str:
    """Names for a message: five of them, and dots where there are more."""
    return ", ".join([*names[:5], "..."] if len(names) > 5 else names)
