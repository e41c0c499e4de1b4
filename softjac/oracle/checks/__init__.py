"""What must hold: one property, one file.

Each makes its calls, keeps its failures on the trial, and returns what gives its result once the
rows that it asked about have been judged.
"""

from __future__ import annotations

from collections.abc import Callable

from softjac.oracle.checks import (
    aliasing,
    empty,
    environment,
    invariants,
    memory,
    nonfinite,
    output,
    resources,
    state,
    threads,
    values,
)
from softjac.oracle.conclusion import Result
from softjac.oracle.trial import Trial

__all__ = ["CHECKS"]

CHECKS: dict[str, Callable[[Trial], Result]] = {
    "values": values.check,
    "invariants": invariants.check,
    "empty": empty.check,
    "memory": memory.check,
    "output": output.check,
    "state": state.check,
    "threads": threads.check,
    "resources": resources.check,
    "aliasing": aliasing.check,
    "nonfinite": nonfinite.check,
    "environment": environment.check,
}
