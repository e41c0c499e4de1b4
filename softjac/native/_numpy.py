"""The kernels on NumPy arrays: checks at the boundary, then one call."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac._errors import ArgumentError
from softjac.native import _library

__all__ = ["jacobian", "one_input", "two_inputs"]

Array = np.ndarray[Any, np.dtype[Any]]

_SUFFIX = {"float32": "f32", "float64": "f64"}
_POINTER = {"float32": "float *", "float64": "double *"}


def _check_input(name: str, value: Any) -> None:
    """Refuse what is not an array of a supported dtype with a class axis."""
    if not isinstance(value, np.ndarray):
        raise ArgumentError(
            f"{name}: expected a NumPy or JAX array, got {type(value).__name__}; "
            "convert it with numpy.asarray"
        )
    if value.dtype.name not in _SUFFIX or not value.dtype.isnative:
        raise ArgumentError(
            f"{name}: expected dtype {' or '.join(_SUFFIX)}, got {value.dtype}; "
            "convert it with .astype"
        )
    if value.ndim == 0:
        raise ArgumentError(f"{name}: expected shape (..., n), got a scalar")


def _check_same(name: str, value: Array, other_name: str, other: Array) -> None:
    """Refuse two inputs of different shape or dtype."""
    if value.shape != other.shape or value.dtype != other.dtype:
        raise ArgumentError(
            f"{name}: expected the shape and dtype of {other_name}, {other.shape} {other.dtype}, "
            f"got {value.shape} {value.dtype}"
        )


def _output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The array to write to: `out` where it fits, else a fresh one."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or out.shape != shape or out.dtype != dtype:
        what = (
            f"{out.shape} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        )
        raise ArgumentError(f"out: expected an array of shape {shape} {dtype}, got {what}")
    if not out.flags.writeable:
        raise ArgumentError("out: expected a writable array, got a read-only one")
    return out


def _rows(value: Array) -> tuple[Array, int]:
    """A view as (rows, n) with unit stride along the classes, copied where there is none."""
    n = value.shape[-1]
    item = value.dtype.itemsize
    flat = value.reshape(-1, n) if value.size else value
    if value.size and (n == 1 or flat.strides[1] == item) and flat.strides[0] % item == 0:
        return flat, flat.strides[0] // item if flat.shape[0] > 1 else n
    return np.ascontiguousarray(flat), n


def _address(value: Array) -> int:
    """The address of the first element."""
    address: int = value.__array_interface__["data"][0]
    return address


def _call(op: str, inputs: tuple[Array, ...], result: Array, scale: float) -> Array:
    """Run the kernel, through a dense copy of the result where its rows are not dense."""
    if result.size == 0:
        return result
    ffi, lib = _library.load()
    dtype = result.dtype.name
    pointer = _POINTER[dtype]
    n = inputs[0].shape[-1]
    rows = inputs[0].size // n
    arguments: list[Any] = []
    views = [_rows(value) for value in inputs]
    for view, stride in views:
        arguments += [ffi.cast(pointer, _address(view)), stride]
    dense = result if result.flags.c_contiguous else np.empty(result.shape, result.dtype)
    if any(np.may_share_memory(dense, view) and _address(view) != _address(dense)
           for view, _ in views):
        dense = np.empty(result.shape, result.dtype)
    arguments += [ffi.cast(pointer, _address(dense)), n, rows, n, scale]
    _library.check(getattr(lib, f"softjac_{op}_strided_{_SUFFIX[dtype]}")(*arguments))
    if dense is not result:
        result[...] = dense
    return result


def one_input(op: str, name: str, x: Any, *, scale: float, out: Any) -> Array:
    """softmax and log_softmax."""
    _check_input(name, x)
    return _call(op, (x,), _output(out, x.shape, x.dtype), scale)


def two_inputs(op: str, names: tuple[str, str], y: Any, other: Any, *, scale: float, out: Any
               ) -> Array:
    """The VJPs and JVPs."""
    _check_input(names[0], y)
    _check_input(names[1], other)
    _check_same(names[1], other, names[0], y)
    return _call(op, (y, other), _output(out, y.shape, y.dtype), scale)


def jacobian(op: str, y: Any, *, scale: float, out: Any) -> Array:
    """The Jacobians, shape (..., n, n)."""
    _check_input("y", y)
    return _call(op, (y,), _output(out, (*y.shape, y.shape[-1]), y.dtype), scale)
