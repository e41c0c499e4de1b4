"""Reports as JSON, schema 1: the keys are a contract."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import softjac
from softjac.oracle.findings import Counterexample, Report

__all__ = ["as_dict", "document"]

SCHEMA = 1
# Arrays beyond this many elements are left out: the replay string rebuilds them.
LARGEST = 1 << 16


def plain(value: float | None) -> float | str | None:
    """A number as JSON has it; infinities and NaN as strings."""
    if value is None:
        return None
    value = float(value)
    return value if math.isfinite(value) else str(value)


def nested(array: Any, write: Any) -> Any:
    """An array as nested lists, each element through `write`."""
    if array is None or array.size > LARGEST:
        return None
    wide = np.asarray(array, dtype=np.float64)

    def lists(part: Any) -> Any:
        return [lists(p) for p in part] if isinstance(part, list) else write(part)

    return lists(wide.tolist())


def hexadecimal(value: float) -> str:
    """A number with all its bits, as C's %a writes it."""
    return float(value).hex()


def counterexample(found: Counterexample) -> dict[str, Any]:
    """One counterexample: decimal, and the same numbers in hexadecimal."""
    return {
        "check": found.check,
        "n": found.n,
        "rows": found.rows,
        "scale": plain(found.scale),
        "index": None if found.index is None else [int(i) for i in found.index],
        "detail": found.detail,
        "replay": found.replay,
        "inputs": {role: nested(array, plain) for role, array in found.inputs.items()},
        "inputs_hex": {role: nested(array, hexadecimal) for role, array in found.inputs.items()},
        "got": nested(found.got, plain),
        "got_hex": nested(found.got, hexadecimal),
        "expected": nested(found.expected, plain),
        "expected_hex": nested(found.expected, hexadecimal),
    }


def as_dict(report: Report) -> dict[str, Any]:
    """The report as a dictionary that `json.dumps` writes.

    Args:
        report: what a run gave.

    Returns:
        The keys of schema 1. Numbers are exact: a float32 is written as the float64 equal to it.
        Non-finite numbers are the strings "inf", "-inf" and "nan". Arrays of more than 65,536
        elements are null; their replay string rebuilds them.
    """
    accuracy = report.accuracy
    keys: dict[str, Any] = {
        "schema": SCHEMA,
        "softjac": softjac.__version__,
        "target": report.target,
        "op": report.op,
        "dtype": report.dtype,
        "assumptions": list(report.assumptions),
        "verdict": report.verdict,
        "limits": list(report.limits),
        "seconds": round(report.seconds, 3),
        "calls": report.calls,
        "rows": report.rows,
        "checks": [
            {
                "name": check.name,
                "status": check.status,
                "calls": check.calls,
                "worst_ratio": plain(check.worst_ratio),
                "detail": check.detail,
            }
            for check in report.checks
        ],
        "diagnoses": [
            {
                "id": diagnosis.id,
                "title": diagnosis.title,
                "explains": plain(diagnosis.explains),
                "evidence": diagnosis.evidence,
                "fix": diagnosis.fix,
            }
            for diagnosis in report.diagnoses
        ],
        "accuracy": None
        if accuracy is None
        else {
            "class": accuracy.kind,
            "worst_ulp": plain(accuracy.worst_ulp),
            "worst_ratio": plain(accuracy.worst_ratio),
            "componentwise_tails": accuracy.componentwise_tails,
        },
        "counterexamples": [counterexample(found) for found in report.counterexamples],
        "tried": list(report.tried),
    }
    if report.verdict == "error":
        keys["error"] = report.error
    return keys


def document(reports: Sequence[Report], *, several: bool = False) -> str:
    """The text of a JSON file.

    Args:
        reports: what the runs gave.
        several: whether the file lists reports (`--all`), or holds a single one as it is.

    Returns:
        JSON text that ends in a newline.
    """
    if several:
        content: dict[str, Any] = {"schema": SCHEMA, "reports": [as_dict(r) for r in reports]}
    else:
        (report,) = reports
        content = as_dict(report)
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
