"""softjac: the oracle for softmax and its derivatives, with the reference and the kernels.

Names are resolved on first use (PEP 562): `import softjac` loads neither JAX nor NumPy, so the
command starts at once and the sandbox's child stays free of JAX.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softjac import layers, native, oracle, sharded
    from softjac._derivatives import (
        log_softmax_jacobian,
        log_softmax_jvp,
        log_softmax_vjp,
        softmax_jacobian,
        softmax_jvp,
        softmax_vjp,
    )
    from softjac._errors import (
        ArgumentError,
        CandidateError,
        LibraryMissingError,
        RefutedError,
        SandboxError,
        SoftjacError,
    )
    from softjac._operator import JacobianOperator
    from softjac._softmax import log_softmax, softmax
    from softjac.oracle.candidate import CFunction
    from softjac.oracle.verdict import assert_verified, verify

__all__ = [
    "ArgumentError",
    "CFunction",
    "CandidateError",
    "JacobianOperator",
    "LibraryMissingError",
    "RefutedError",
    "SandboxError",
    "SoftjacError",
    "assert_verified",
    "layers",
    "log_softmax",
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "native",
    "oracle",
    "sharded",
    "softmax",
    "softmax_jacobian",
    "softmax_jvp",
    "softmax_vjp",
    "verify",
]

__version__ = "0.1.0"

_SUBMODULES = ("layers", "native", "oracle", "sharded")

_HOMES = {
    "_derivatives": (
        "log_softmax_jacobian",
        "log_softmax_jvp",
        "log_softmax_vjp",
        "softmax_jacobian",
        "softmax_jvp",
        "softmax_vjp",
    ),
    "_errors": (
        "ArgumentError",
        "CandidateError",
        "LibraryMissingError",
        "RefutedError",
        "SandboxError",
        "SoftjacError",
    ),
    "_operator": ("JacobianOperator",),
    "_softmax": ("log_softmax", "softmax"),
    "oracle.candidate": ("CFunction",),
    "oracle.verdict": ("assert_verified", "verify"),
}


def __getattr__(name: str) -> Any:
    """Import the module that holds a public name when the name is first used."""
    if name in _SUBMODULES:
        return importlib.import_module(f"softjac.{name}")
    for module, names in _HOMES.items():
        if name in names:
            value = getattr(importlib.import_module(f"softjac.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module 'softjac' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Every public name, loaded or not."""
    return sorted({*globals(), *__all__})
