"""The exceptions softjac raises: one base, so that a caller can catch them all."""

from __future__ import annotations

__all__ = [
    "ArgumentError",
    "CandidateError",
    "LibraryMissingError",
    "RefutedError",
    "SandboxError",
    "SoftjacError",
]


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
