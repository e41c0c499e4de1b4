"""The library opened once for each ISA of this machine, called on NumPy arrays without its face."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from softjac.native import _library

Array = np.ndarray[Any, np.dtype[Any]]

ISAS = ("portable", "avx2", "avx512")
DTYPES: dict[str, np.dtype[Any]] = {
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "f16": np.dtype(np.float16),
}
# Each op with the roles it takes; the last two give an n x n matrix a row.
FORWARD = ("softmax", "log_softmax")
PRODUCTS = (
    "softmax_vjp",
    "softmax_jvp",
    "softmax_vjp_from_logits",
    "log_softmax_vjp",
    "log_softmax_jvp",
)
JACOBIANS = ("softmax_jacobian", "log_softmax_jacobian")
OPS = FORWARD + PRODUCTS + JACOBIANS


@functools.cache
def library(isa: str | None = None) -> Any | None:
    """A copy of the library with one ISA forced, so that several serve one process; None: absent.

    A second `dlopen` of one file would give the first one's state, hence the copy.
    """
    _library.load()
    ffi = _ffi()
    if isa is None:
        return _library.load()[1]
    folder = Path(tempfile.mkdtemp(prefix="softjac-isa-"))
    copy = shutil.copy(_library.path(), folder / f"{isa}.so")
    before = os.environ.get("SOFTJAC_FORCE_ISA")
    os.environ["SOFTJAC_FORCE_ISA"] = isa
    try:
        lib = ffi.dlopen(str(copy))
        found = lib.softjac_isa() != ffi.NULL
    finally:
        if before is None:
            del os.environ["SOFTJAC_FORCE_ISA"]
        else:
            os.environ["SOFTJAC_FORCE_ISA"] = before
        shutil.rmtree(folder)
    return lib if found else None


def _ffi() -> Any:
    """The cffi declarations."""
    return _library.load()[0]


def available() -> tuple[str, ...]:
    """The ISAs this machine has."""
    return tuple(isa for isa in ISAS if library(isa) is not None)


def suffix_of(array: Array) -> str:
    """The C suffix of an array's dtype."""
    return next(suffix for suffix, dtype in DTYPES.items() if dtype == array.dtype)


def pointer(array: Array) -> Any:
    """An array's address with the C type of its elements."""
    c_types = {"f32": "float", "f64": "double", "bf16": "uint16_t", "f16": "uint16_t"}
    c_type = "int64_t" if array.dtype == np.int64 else c_types[suffix_of(array)]
    return _ffi().cast(f"{c_type} *", array.__array_interface__["data"][0])


def run(
    lib: Any,
    op: str,
    *inputs: Array,
    out: Array | None = None,
    scale: float = 1.0,
) -> Array:
    """One call on rows (rows, n), strided as the arrays are; unit stride along the classes."""
    rows, n = inputs[0].shape
    item = inputs[0].itemsize
    shape = (rows, n, n) if op in JACOBIANS else (rows, n)
    result = np.full(shape, 7, inputs[0].dtype) if out is None else out
    arguments: list[Any] = []
    for array in (*inputs, result):
        arguments += [pointer(array), array.strides[-2] // item]
    function = getattr(lib, f"softjac_{op}_strided_{suffix_of(inputs[0])}")
    assert function(*arguments, rows, n, scale) == 0
    return result


def operands(op: str, rows: int, n: int, suffix: str, seed: int = 0, spread: float = 3) -> Any:
    """Logits or results, and a vector, as an op takes them; some rows dominated or offset."""
    rng = np.random.default_rng([seed, rows, n])
    x = rng.standard_normal((rows, n)) * spread
    t = rng.standard_normal((rows, n))
    if rows > 1 and n:
        x[1, rng.integers(n)] += 30
        t[1] += 100
    if rows > 2 and n > 2:
        x[2, :: max(2, n // 5)] = -np.inf
        t[2] = 0
        t[2, rng.integers(n)] = 1
    first = x
    if op not in FORWARD and op != "softmax_vjp_from_logits" and n:
        shifted = x - x.max(-1, keepdims=True)
        first = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
        if not op.startswith("log_"):
            first = np.exp(first)
    arrays = [first, t] if op in PRODUCTS else [first]
    return [array.astype(DTYPES[suffix]) for array in arrays]
