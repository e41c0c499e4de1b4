"""Calls specimens directly, without the oracle, and the plain formulas they are compared with."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tests.mutants.specimen import Specimen

__all__ = ["CTYPES", "OUTPUTS", "callable_of", "formula", "inputs_of", "roles_of", "storage"]

OUTPUTS = {
    "softmax": "y", "log_softmax": "y", "softmax_vjp": "dx", "log_softmax_vjp": "dx",
    "softmax_jvp": "y_dot", "log_softmax_jvp": "y_dot", "softmax_jacobian": "jac",
    "log_softmax_jacobian": "jac",
}  # fmt: skip
CTYPES = {
    "float": ctypes.c_float, "double": ctypes.c_double, "int": ctypes.c_int,
    "unsigned": ctypes.c_uint, "long": ctypes.c_long, "size_t": ctypes.c_size_t,
    "int64_t": ctypes.c_int64,
}  # fmt: skip


def storage(dtype: str) -> np.dtype[Any]:
    """The NumPy dtype that stores a specimen's numbers."""
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


def roles_of(specimen: Specimen) -> list[tuple[str, str]]:
    """(type, role) of each parameter of a C prototype; pointers have the type "*"."""
    assert specimen.prototype
    names = specimen.options.get("roles", {})
    found = []
    for parameter in re.findall(r"\((.*)\)", specimen.prototype)[0].split(","):
        *kind, name = re.findall(r"\w+", parameter)
        found.append(("*" if "*" in parameter else kind[-1], names.get(name, name)))
    return found


def inputs_of(specimen: Specimen) -> list[str]:
    """The roles of arrays that a specimen reads."""
    if specimen.prototype:
        roles = [role for kind, role in roles_of(specimen) if kind == "*"]
    else:
        code = re.search(rf"def {specimen.name}\(([^)]*)\)", specimen.source.read_text())
        assert code
        names = specimen.options.get("roles", {})
        parameters = [p.split("=")[0].strip() for p in code[1].split(",")]
        roles = [names.get(p, p) for p in parameters if p not in ("scale", "kept")]
        if specimen.options.get("autodiff"):
            roles += {"vjp": ["dy"], "jvp": ["x_dot"]}.get(specimen.op.split("_")[-1], [])
    return [role for role in roles if role != OUTPUTS[specimen.op]]


def takes_scale(specimen: Specimen) -> bool:
    """Whether a specimen has a factor on the logits."""
    return "scale" in (
        specimen.prototype or specimen.source.read_text().split(specimen.name)[1][:60]
    )


def callable_of(specimen: Specimen, libraries: dict[Path, Path]) -> Callable[..., np.ndarray]:
    """A function of the input arrays (rows, n) by role, and scale, that returns the output."""
    if specimen.prototype:
        return _c_function(specimen, libraries[specimen.source])
    return _python_function(specimen)


def _c_function(specimen: Specimen, library: Path) -> Callable[..., np.ndarray]:
    """A symbol of a shared library; rows one by one where it has no rows parameter."""
    symbol = getattr(ctypes.CDLL(str(library)), specimen.name)
    symbol.restype = ctypes.c_int
    parameters = roles_of(specimen)
    many = any(role == "rows" for _, role in parameters)
    output = OUTPUTS[specimen.op]

    def call(scale: float = 1.0, **inputs: np.ndarray) -> np.ndarray:
        rows, n = next(iter(inputs.values())).shape
        if not many and rows != 1:
            parts = [
                call(scale, **{k: v[r : r + 1] for k, v in inputs.items()}) for r in range(rows)
            ]
            return np.concatenate(parts) if parts else np.empty((0, n))
        shape = (rows, n, n) if output == "jac" else (rows, n)
        arrays = {role: _roomy(a.shape, a.dtype, a) for role, a in inputs.items()}
        arrays[output] = _roomy(shape, storage(specimen.dtype), 0)
        strides = dict.fromkeys((f"ld{role}" for role in arrays), n) | {"ldjac": n * n}
        numbers = {"rows": rows, "n": n, "scale": scale, **strides}
        symbol(
            *(
                ctypes.c_void_p(arrays[role].ctypes.data)
                if kind == "*"
                else CTYPES[kind](numbers[role])
                for kind, role in parameters
            )
        )
        return arrays[output]

    return call


def _roomy(shape: tuple[int, ...], dtype: np.dtype[Any], value: Any) -> np.ndarray:
    """An array at a multiple of 64 bytes with 64 bytes of room behind it."""
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.zeros(size + 128, np.uint8)
    start = -buffer.ctypes.data % 64
    array = buffer[start : start + size].view(dtype).reshape(shape)
    array[...] = value
    return array


def _python_function(specimen: Specimen) -> Callable[..., np.ndarray]:
    """A Python function, on arrays of the library it is written for."""
    spec = importlib.util.spec_from_file_location(specimen.name, specimen.source)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, specimen.name)
    names = {role: name for name, role in specimen.options.get("roles", {}).items()}
    kind = specimen.options.get("array", "numpy")

    def call(scale: float = 1.0, **inputs: np.ndarray) -> np.ndarray:
        keywords = {"scale": scale} if takes_scale(specimen) else {}
        arrays = {names.get(role, role): _array(kind, a) for role, a in inputs.items()}
        if specimen.options.get("autodiff"):
            forward = partial(function, **keywords)
            return np.asarray(_derivative(kind, specimen.op, forward, *arrays.values()))
        return np.asarray(function(**arrays, **keywords))

    return call


def _array(kind: str, array: np.ndarray) -> Any:
    """An array of NumPy, JAX or PyTorch."""
    if kind == "jax":
        import jax.numpy as jnp

        return jnp.asarray(array)
    if kind == "torch":
        import torch

        return torch.from_numpy(array.copy())
    return array.copy()


def _derivative(kind: str, op: str, function: Callable[..., Any], x: Any, *t: Any) -> Any:
    """The derivative that JAX or PyTorch takes of a forward function."""
    if kind == "torch":
        x.requires_grad_(True)
        function(x).backward(t[0])
        return x.grad
    import jax

    if op.endswith("vjp"):
        return jax.vjp(function, x)[1](t[0])[0]
    if op.endswith("jvp"):
        return jax.jvp(function, (x,), t)[1]
    return jax.vmap(jax.jacrev(lambda row: function(row[None])[0]))(x)


def formula(op: str, scale: float = 1.0, **inputs: np.ndarray) -> np.ndarray:
    """The textbook formula in float64: good to a few units of float64, tails apart."""
    log = op.startswith("log")
    wide = {role: a.astype(np.float64) for role, a in inputs.items()}
    if "x" in wide:
        shifted = scale * (wide["x"] - wide["x"].max(axis=1, keepdims=True))
        log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        y = np.exp(log_y)
    else:
        log_y, y = wide["y"], np.exp(wide["y"]) if log else wide["y"]
    if op in ("softmax", "log_softmax"):
        return log_y if log else y
    if op.endswith("jacobian"):
        eye = np.eye(y.shape[1])
        return scale * ((1 if log else y[:, :, None]) * (eye - y[:, None, :]))
    t = wide["dy"] if "dy" in wide else wide["x_dot"]
    if op == "log_softmax_vjp":
        return scale * (t - y * t.sum(axis=1, keepdims=True))
    centred = t - (y * t).sum(axis=1, keepdims=True)
    return scale * (centred if log else y * centred)
