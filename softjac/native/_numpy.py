"""The kernels on NumPy arrays: checks at the boundary, then one call without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from softjac._errors import ArgumentError
from softjac.native import _library

__all__ = ["Elementwise", "cross_entropy", "jacobian"]

Array = np.ndarray[Any, np.dtype[Any]]

# Takes an op, its operands' names, the operands, scale and out; NotImplemented where it cannot.
Elsewhere = Callable[[str, tuple[str, ...], tuple[Any, ...], Any, Any], Any]

_SUFFIXES = {"float32": "f32", "float64": "f64", "bfloat16": "bf16", "float16": "f16"}
_C_TYPES = {"f32": "float", "f64": "double", "bf16": "uint16_t", "f16": "uint16_t"}


def _check(name: str, value: Any) -> None:
    """Refuse what is not an array of a supported dtype with a class axis."""
    if not isinstance(value, np.ndarray):
        raise ArgumentError(
            f"{name}: expected a NumPy or JAX array, got {type(value).__name__}; "
            "convert it with numpy.asarray"
        )
    if value.dtype.name not in _SUFFIXES or not value.dtype.isnative:
        raise ArgumentError(
            f"{name}: expected dtype float32, float64, bfloat16 or float16 in native byte order, "
            f"got {value.dtype}; convert it with .astype"
        )
    if value.ndim == 0:
        raise ArgumentError(f"{name}: expected shape (..., n), got a scalar")


def _number(scale: Any) -> float:
    """The scale; one that is being traced is none yet."""
    try:
        return float(scale)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"scale: expected a number known while tracing, got {type(scale).__name__}"
        ) from error


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
        what = f"{out.shape} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ArgumentError(f"out: expected an array of shape {shape} {dtype}, got {what}")
    if not out.flags.writeable:
        raise ArgumentError("out: expected a writable array, got a read-only one")
    return out


def _lines(value: Array) -> tuple[Array, int] | None:
    """The array as lines of its last axis and the stride between them; None where it has none."""
    n, item = value.shape[-1], value.itemsize
    if value.flags.c_contiguous:
        return value, n
    if (n > 1 and value.strides[-1] != item) or not value.flags.aligned:
        return None
    # One stride serves all leading axes where each is the next one's times its length.
    stride, length = None, 1
    for axis in range(value.ndim - 2, -1, -1):
        if value.shape[axis] == 1:
            continue
        if stride is None:
            stride = value.strides[axis]
        elif value.strides[axis] != stride * length:
            return None
        length *= value.shape[axis]
    stride = n * item if stride is None else stride
    return (value, stride // item) if stride % item == 0 else None


def _pointer(value: Array) -> Any:
    """The first element's address, as the C functions take it."""
    ffi, _ = _library.load()
    c_type = "int64_t" if value.dtype == np.int64 else _C_TYPES[_SUFFIXES[value.dtype.name]]
    return ffi.cast(f"{c_type} *", value.__array_interface__["data"][0])


def _input(value: Array, result: Array) -> tuple[Array, int]:
    """Lines to read: the array's own, or a copy where they are irregular or lie on the result."""
    lines = _lines(value)
    if lines is None or (
        np.may_share_memory(value, result)
        and not (
            value.__array_interface__["data"] == result.__array_interface__["data"]
            and value.shape == result.shape
            and value.strides == result.strides
        )
    ):
        return np.array(value, order="C", copy=True), value.shape[-1]
    return lines


def _strided(op: str, inputs: tuple[Array, ...], result: Array, scale: float) -> None:
    """Run the kernel on arrays of any layout; an irregular result goes through a dense one."""
    lines = _lines(result)
    if lines is None or (result.size and 0 in result.strides):
        dense = np.empty(result.shape, result.dtype)
        _strided(op, inputs, dense, scale)
        result[...] = dense
        return
    n = result.shape[-1]
    arguments: list[Any] = []
    views = [_input(value, result) for value in inputs]
    for view, stride in views:
        arguments += [_pointer(view), stride]
    arguments += [_pointer(result), lines[1], inputs[0].size // n, n, scale]
    _, lib = _library.load()
    suffix = _SUFFIXES[result.dtype.name]
    _library.check(getattr(lib, f"softjac_{op}_strided_{suffix}")(*arguments))


# What the short way of a call meets where it does not fit: a scalar, no classes, an array that is
# not dense or not writable.
_NOT_DENSE = (IndexError, ZeroDivisionError, BufferError, ValueError)


class Elementwise:
    """An op whose result has the shape of its inputs.

    A call is as short as it can be for dense float32 and float64 arrays of the right shape: what
    costs a fraction of a microsecond here is most of a call's time at n = 8.
    """

    __slots__ = ("_dense", "_elsewhere", "_names", "_op", "_view")

    def __init__(self, op: str, *names: str, elsewhere: Elsewhere) -> None:
        self._op = op
        self._elsewhere = elsewhere
        self._names = names
        self._dense: dict[Any, tuple[Any, Any]] = {}
        self._view: Any = None

    def _load(self) -> None:
        """Look up the functions for dense arrays, at the first call."""
        ffi, lib = _library.load()
        self._view = ffi.from_buffer
        for name in ("float32", "float64"):
            function = getattr(lib, f"softjac_{self._op}_{_SUFFIXES[name]}")
            array_type = ffi.typeof(f"{_C_TYPES[_SUFFIXES[name]]}[]")
            self._dense[np.dtype(name)] = function, array_type

    def one(self, x: Any, scale: float, out: Any) -> Any:
        """Apply a one-input op."""
        if type(x) is ndarray and type(scale) is float and scale == 1.0:
            dtype, shape = x.dtype, x.shape
            result = np.empty(shape, dtype) if out is None else out
            kernel = self._dense.get(dtype)
            if (
                kernel
                and type(result) is ndarray
                and result.dtype is dtype
                and result.shape == shape
            ):
                function, array_type = kernel
                view = self._view
                try:
                    n = shape[-1]
                    rows = x.size // n
                    source, target = view(array_type, x), view(array_type, result, True)
                except _NOT_DENSE:
                    pass
                else:
                    if not function(source, target, rows, n):
                        return result
        return self._general((x,), scale, out)

    def two(self, y: Any, dy: Any, scale: float, out: Any) -> Any:
        """Apply a two-input op."""
        arrays = type(y) is ndarray and type(dy) is ndarray
        if arrays and type(scale) is float and scale == 1.0:
            dtype, shape = y.dtype, y.shape
            result = np.empty(shape, dtype) if out is None else out
            kernel = self._dense.get(dtype)
            if (
                kernel
                and type(result) is ndarray
                and result.dtype is dtype
                and dy.dtype is dtype
                and dy.shape == shape
                and result.shape == shape
            ):
                function, array_type = kernel
                view = self._view
                try:
                    n = shape[-1]
                    rows = y.size // n
                    first, second = view(array_type, y), view(array_type, dy)
                    target = view(array_type, result, True)
                except _NOT_DENSE:
                    pass
                else:
                    if not function(first, second, target, rows, n):
                        return result
        return self._general((y, dy), scale, out)

    def _general(self, inputs: tuple[Any, ...], scale: float, out: Any) -> Any:
        """Any dtype, layout and scale, and the errors."""
        if not all(isinstance(value, np.ndarray) for value in inputs):
            result = self._elsewhere(self._op, self._names, inputs, scale, out)
            if result is not NotImplemented:
                return result
        scale = _number(scale)
        if not self._dense:
            self._load()
        first = inputs[0]
        for name, value in zip(self._names, inputs, strict=True):
            _check(name, value)
            _check_same(name, value, self._names[0], first)
        result = _output(out, first.shape, first.dtype)
        if result.size:
            _strided(self._op, inputs, result, scale)
        return result


def jacobian(op: str, y: Any, scale: float, out: Any) -> Array:
    """The Jacobians, shape (..., n, n)."""
    _check("y", y)
    scale = _number(scale)
    result = _output(out, (*y.shape, y.shape[-1]), y.dtype)
    if result.size:
        _strided(op, (y,), result, scale)
    return result


def cross_entropy(
    x: Any, target: Any, scale: float, derivative: bool
) -> tuple[Array, Array | None]:
    """The loss of every row, and its derivative where that is wanted."""
    _check("x", x)
    labels = isinstance(target, np.ndarray) and target.dtype.kind in "iu"
    if labels and target.shape != x.shape[:-1]:
        raise ArgumentError(
            f"target: expected integer labels of shape {x.shape[:-1]}, got {target.shape}"
        )
    if not labels:
        _check("target", target)
        _check_same("target", target, "x", x)
    if x.shape[-1] == 0:
        raise ArgumentError("x: expected at least one class, got none")
    scale = _number(scale)
    x = np.ascontiguousarray(x)
    target = np.ascontiguousarray(target, np.int64 if labels else None)
    loss = np.empty(x.shape[:-1], x.dtype)
    dx = np.empty(x.shape, x.dtype) if derivative else None
    ffi, lib = _library.load()
    n = x.shape[-1]
    op = "cross_entropy_labels" if labels else "cross_entropy"
    arguments = [_pointer(x), n, _pointer(target), *(() if labels else (n,)), _pointer(loss)]
    arguments += [ffi.NULL if dx is None else _pointer(dx), n, loss.size, n, scale]
    suffix = _SUFFIXES[x.dtype.name]
    _library.check(getattr(lib, f"softjac_{op}_strided_{suffix}")(*arguments))
    return loss, dx
