"""The arrays a Python callable is given, and the array it gives back."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping
from typing import Any, Literal

import ml_dtypes
import numpy as np

from softjac.oracle.calls.call import Layout

__all__ = [
    "EXAMPLES",
    "ArrayKind",
    "Arrays",
    "memory_of",
    "sample_of",
    "shares_memory",
    "to_numpy",
    "wide_floats",
]

Array = np.ndarray[Any, np.dtype[Any]]
ArrayKind = Literal["numpy", "jax", "torch"]

# How much is kept of earlier calls; the inputs of one call are at most so many, and stay.
_KEPT_BYTES = 256 << 20
_MOST_INPUTS = 2

# Of a returned array so many elements are looked at again; a larger one is not held for that.
_SAMPLED = 1 << 14
_REMEMBERED_BYTES = 16 << 20

_AROUND = 0x7B  # of each byte beside a view: a huge number in every dtype


class Arrays:
    """Arrays by role, shape and layout; where these agree, the same object comes again.

    A callable that remembers its arrays by address or identity then meets them refilled.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], tuple[Array, Array, Any]] = {}
        self._immutable: dict[str, Any] = {}
        self._bytes = 0

    def give(self, kind: ArrayKind, role: str, values: Array, layout: Layout) -> Any:
        """An array of a kind that holds the values and lies as the layout says."""
        if kind == "jax":  # immutable, and never a view
            self._immutable[role] = importlib.import_module("jax.numpy").array(values, copy=True)
            return self._immutable[role]
        _, view, given = self._find(kind, role, values, layout)
        view[...] = values
        return given

    def is_changed(self, kind: ArrayKind, role: str, values: Array, layout: Layout) -> bool:
        """Whether an array given before, or the memory around it, is not as it was.

        Its bytes count, and its shape, strides and whether it may be written.
        """
        if not self.holds(kind, role, values, layout):
            return True
        if kind == "jax":
            return False
        base, view, given = self._find(kind, role, values, layout)
        if _form(given) != _form(view if kind == "numpy" else _tensor(view)):
            self._kept.popitem()  # the latest; another one is given the next time
            self._bytes -= base.nbytes
            return True
        view.view(f"u{view.dtype.itemsize}")[...] = _filling(view)
        return bool((np.frombuffer(base, np.uint8) != _AROUND).any())

    def holds(self, kind: ArrayKind, role: str, values: Array, layout: Layout) -> bool:
        """Whether an array given before has these values now; one that was donated has none."""
        if kind == "jax":
            given = self._immutable.get(role)
            if given is None or not values.size:
                return True
            return not _is_deleted(given) and np.asarray(given).tobytes() == values.tobytes()
        return bool(self._find(kind, role, values, layout)[1].tobytes() == values.tobytes())

    def _find(
        self, kind: ArrayKind, role: str, values: Array, layout: Layout
    ) -> tuple[Array, Array, Any]:
        """The memory, the view of it, and what is given to the callable."""
        name: str = layout.view
        if name == "broadcast" and not _rows_agree(values):
            name = "contiguous"
        if name == "reversed" and kind == "torch":
            name = "contiguous"  # PyTorch has no negative strides
        key = (kind, role, values.shape, values.dtype, name, layout.offset, layout.gap)
        found = self._kept.pop(key, None)
        if found is None:
            base, view = _lay_out(values.shape, values.dtype, name, layout)
            found = base, view, _tensor(view) if kind == "torch" else view[...]
            self._bytes += base.nbytes
        self._kept[key] = found  # the latest is the last
        while self._bytes > _KEPT_BYTES and len(self._kept) > _MOST_INPUTS:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._bytes -= oldest[0].nbytes
        return found


def to_numpy(result: Any) -> tuple[Array | None, str]:
    """A copy of the array a callable returned, or None and the reason why it is none."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(result, torch.Tensor):
        tensor = result.detach().cpu().contiguous()
        if tensor.dtype == torch.bfloat16:
            return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16).copy(), ""
        return tensor.numpy().copy(), ""
    if isinstance(result, (np.ndarray, np.generic)) or hasattr(result, "__array__"):
        return np.array(result, copy=True), ""
    return None, f"returned {type(result).__name__}, expected an array"


def sample_of(result: Any) -> bytes | None:
    """The elements of an array a callable returned, some of a large one; None where it is none."""
    memory = memory_of(result)
    if memory is None or memory.nbytes > _REMEMBERED_BYTES:
        return None
    return memory.reshape(-1)[:: max(1, -(-memory.size // _SAMPLED))].tobytes()


def _is_deleted(given: Any) -> bool:
    """Whether the memory of a JAX array was given to another one."""
    return bool(getattr(given, "is_deleted", bool)())


def shares_memory(one: Any, other: Any) -> bool:
    """Whether two arrays of whatever kind lie in the same memory."""
    first, second = memory_of(one), memory_of(other)
    return first is not None and second is not None and np.may_share_memory(first, second)


def memory_of(array: Any) -> Array | None:
    """A NumPy array of an array of whatever kind, on its memory where that can be seen."""
    if _is_deleted(array):
        return None
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        tensor = array.detach().cpu()
        return np.asarray(tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor)
    return np.asarray(array) if hasattr(array, "__array__") else None


@contextlib.contextmanager
def wide_floats(dtype: str) -> Any:
    """JAX keeps float64 inside, where the candidate is of that dtype and JAX is loaded."""
    jax = sys.modules.get("jax")
    if dtype != "float64" or jax is None:
        yield
        return
    switch = getattr(jax, "enable_x64", None)
    if switch is None:
        switch = importlib.import_module("jax.experimental").enable_x64
    with switch(True):
        yield


def _lay_out(
    shape: tuple[int, ...], dtype: np.dtype[Any], view: str, layout: Layout
) -> tuple[Array, Array]:
    """Bytes, and a writable `(rows, n)` view of them."""
    rows, n = shape
    item = dtype.itemsize

    def elements(count: int) -> tuple[Array, Array]:
        base = np.full(count * item, _AROUND, np.uint8)
        return base, base.view(dtype)

    if view == "strided":
        base, flat = elements(rows * 2 * n)
        return base, flat.reshape(rows, 2 * n)[:, ::2]
    if view == "transposed":
        base, flat = elements(rows * n)
        return base, flat.reshape(n, rows).T
    if view == "reversed":
        base, flat = elements(rows * n)
        return base, flat.reshape(rows, n)[::-1, ::-1]
    if view == "broadcast":
        base, flat = elements(n)
        return base, np.lib.stride_tricks.as_strided(flat, (rows, n), (0, item), writeable=True)
    base, flat = elements(layout.offset + rows * (n + layout.gap))
    return base, flat[layout.offset :].reshape(rows, n + layout.gap)[:, :n]


def _rows_agree(values: Array) -> bool:
    """Whether all rows have the same bytes, and there is one."""
    return len(values) > 0 and all(row.tobytes() == values[0].tobytes() for row in values[1:])


def _tensor(view: Array) -> Any:
    """A tensor on the same memory."""
    torch = importlib.import_module("torch")
    if view.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(view.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(view)


def _form(array: Any) -> tuple[object, ...]:
    """What an array or tensor looks like from outside, but for its values."""
    if isinstance(array, np.ndarray):
        return array.shape, array.strides, array.dtype, array.flags.writeable
    return array.shape, array.stride(), array.dtype


def _filling(view: Array) -> int:
    """An element's bits when nothing was written."""
    return int.from_bytes(bytes([_AROUND]) * view.dtype.itemsize, "little")


EXAMPLES: Mapping[str, tuple[float, float, float]] = {
    "x": (0.5, -1.0, 2.0),
    "y": (0.25, 0.5, 0.25),
    "dy": (1.0, -0.5, 0.25),
    "x_dot": (1.0, -0.5, 0.25),
}
"""Rows a callable is tried on, to see which kind of array it takes."""
