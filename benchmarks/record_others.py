"""Right implementations that nobody here wrote: jax.nn, PyTorch, SciPy, scikit-learn and others.

Each is a candidate like anybody's; `OTHERS` lists them with what they claim.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["OTHERS", "SPECIAL", "Other", "special"]

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Other:
    """A function below, the library it comes from, and what it claims."""

    function: str
    library: str
    shown: str
    op: str
    array: str = "numpy"
    autodiff: bool = False

    @property
    def target(self) -> str:
        """What `softjac.verify` takes."""
        return f"{Path(__file__)}:{self.function}"

    def arguments(self, dtype: str) -> dict[str, Any]:
        """The keyword arguments of `softjac.verify`."""
        return {"op": self.op, "dtype": dtype, "array": self.array, "autodiff": self.autodiff}


def jax_softmax(x: Any) -> Any:
    """`jax.nn.softmax`."""
    import jax

    return jax.nn.softmax(x, axis=-1)


def jax_log_softmax(x: Any) -> Any:
    """`jax.nn.log_softmax`."""
    import jax

    return jax.nn.log_softmax(x, axis=-1)


def torch_softmax(x: Any) -> Any:
    """`torch.softmax`."""
    import torch

    return torch.softmax(x, dim=-1)


def torch_log_softmax(x: Any) -> Any:
    """`torch.log_softmax`."""
    import torch

    return torch.log_softmax(x, dim=-1)


def torch_softmax_backward(y: Any, dy: Any) -> Any:
    """The operation behind torch.softmax's backward."""
    import torch

    return torch._softmax_backward_data(dy, y, -1, y.dtype)


def torch_log_softmax_backward(y: Any, dy: Any) -> Any:
    """The operation behind torch.log_softmax's backward."""
    import torch

    return torch._log_softmax_backward_data(dy, y, -1, y.dtype)


def scipy_softmax(x: Array) -> Array:
    """`scipy.special.softmax`."""
    from scipy.special import softmax

    return softmax(x, axis=-1)


def scipy_log_softmax(x: Array) -> Array:
    """`scipy.special.log_softmax`."""
    from scipy.special import log_softmax

    return log_softmax(x, axis=-1)


def scikit_learn_softmax(x: Array) -> Array:
    """`sklearn.utils.extmath.softmax`."""
    from sklearn.utils.extmath import softmax

    return softmax(x)


def onnxruntime_softmax(x: Array) -> Array:
    """ONNX Runtime's Softmax on the CPU."""
    return _session("Softmax", x.dtype.itemsize).run(None, {"x": np.ascontiguousarray(x)})[0]


def onnxruntime_log_softmax(x: Array) -> Array:
    """ONNX Runtime's LogSoftmax on the CPU."""
    return _session("LogSoftmax", x.dtype.itemsize).run(None, {"x": np.ascontiguousarray(x)})[0]


def autograd_softmax_vjp(x: Array, dy: Array) -> Array:
    """The VJP that autograd derives for softmax written in its NumPy."""
    import autograd
    import autograd.numpy as anp

    def softmax(x: Any) -> Any:
        e = anp.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    return autograd.make_vjp(softmax)(x)[0](dy).astype(x.dtype)  # autograd widens to float64


def autograd_log_softmax_vjp(x: Array, dy: Array) -> Array:
    """The VJP that autograd derives for log_softmax written in its NumPy."""
    import autograd
    import autograd.numpy as anp

    def log_softmax(x: Any) -> Any:
        t = x - x.max(axis=-1, keepdims=True)
        return t - anp.log(anp.exp(t).sum(axis=-1, keepdims=True))

    return autograd.make_vjp(log_softmax)(x)[0](dy).astype(x.dtype)


def autograd_softmax_vjp_held(x: Array, dy: Array) -> Array:
    """The same with the maximum held constant."""
    import autograd
    import autograd.numpy as anp
    from autograd.tracer import getval

    def softmax(x: Any) -> Any:
        e = anp.exp(x - getval(x).max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    return autograd.make_vjp(softmax)(x)[0](dy).astype(x.dtype)


def autograd_log_softmax_vjp_held(x: Array, dy: Array) -> Array:
    """The same with the maximum held constant."""
    import autograd
    import autograd.numpy as anp
    from autograd.tracer import getval

    def log_softmax(x: Any) -> Any:
        t = x - getval(x).max(axis=-1, keepdims=True)
        return t - anp.log(anp.exp(t).sum(axis=-1, keepdims=True))

    return autograd.make_vjp(log_softmax)(x)[0](dy).astype(x.dtype)


OTHERS = [
    Other("jax_softmax", "jax", "jax.nn.softmax", "softmax", "jax"),
    Other("jax_log_softmax", "jax", "jax.nn.log_softmax", "log_softmax", "jax"),
    Other("jax_softmax", "jax", "jax.vjp of jax.nn.softmax", "softmax_vjp", "jax", True),
    Other("jax_softmax", "jax", "jax.jvp of jax.nn.softmax", "softmax_jvp", "jax", True),
    Other("jax_softmax", "jax", "Jacobian of jax.nn.softmax", "softmax_jacobian", "jax", True),
    Other(
        "jax_log_softmax", "jax", "jax.vjp of jax.nn.log_softmax", "log_softmax_vjp", "jax", True
    ),
    Other(
        "jax_log_softmax", "jax", "jax.jvp of jax.nn.log_softmax", "log_softmax_jvp", "jax", True
    ),
    Other(
        "jax_log_softmax",
        "jax",
        "Jacobian of jax.nn.log_softmax",
        "log_softmax_jacobian",
        "jax",
        True,
    ),
    Other("torch_softmax", "torch", "torch.softmax", "softmax", "torch"),
    Other("torch_log_softmax", "torch", "torch.log_softmax", "log_softmax", "torch"),
    Other("torch_softmax_backward", "torch", "_softmax_backward_data", "softmax_vjp", "torch"),
    Other(
        "torch_log_softmax_backward",
        "torch",
        "_log_softmax_backward_data",
        "log_softmax_vjp",
        "torch",
    ),
    Other("torch_softmax", "torch", "backward of torch.softmax", "softmax_vjp", "torch", True),
    Other(
        "torch_log_softmax",
        "torch",
        "backward of torch.log_softmax",
        "log_softmax_vjp",
        "torch",
        True,
    ),
    Other("scipy_softmax", "scipy", "scipy.special.softmax", "softmax"),
    Other("scipy_log_softmax", "scipy", "scipy.special.log_softmax", "log_softmax"),
    Other("scikit_learn_softmax", "sklearn", "sklearn.utils.extmath.softmax", "softmax"),
    Other("onnxruntime_softmax", "onnxruntime", "ONNX Runtime Softmax", "softmax"),
    Other("onnxruntime_log_softmax", "onnxruntime", "ONNX Runtime LogSoftmax", "log_softmax"),
    Other(
        "autograd_softmax_vjp",
        "autograd",
        "autograd: VJP of softmax",
        "softmax_vjp",
    ),
    Other(
        "autograd_log_softmax_vjp",
        "autograd",
        "autograd: VJP of log_softmax",
        "log_softmax_vjp",
    ),
    Other(
        "autograd_softmax_vjp_held",
        "autograd",
        "autograd: VJP of softmax, maximum held",
        "softmax_vjp",
    ),
    Other(
        "autograd_log_softmax_vjp_held",
        "autograd",
        "autograd: VJP of log_softmax, maximum held",
        "log_softmax_vjp",
    ),
]


SPECIAL: dict[str, Array] = {
    "[nan, 0]": np.array([[np.nan, 0]], np.float32),
    "[inf, 0]": np.array([[np.inf, 0]], np.float32),
    "[inf, inf]": np.array([[np.inf, np.inf]], np.float32),
    "[-inf, 0]": np.array([[-np.inf, 0]], np.float32),
    "[-inf, -inf]": np.array([[-np.inf, -np.inf]], np.float32),
    "(1, 0)": np.zeros((1, 0), np.float32),
    "(0, 2)": np.zeros((0, 2), np.float32),
}


def special() -> Iterator[tuple[str, list[str]]]:
    """Each forward function and what it gives for `SPECIAL`; those that are not installed not."""
    for other in OTHERS:
        if other.autodiff or other.op not in ("softmax", "log_softmax"):
            continue
        with contextlib.suppress(ImportError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with np.errstate(all="ignore"):
                yield other.shown, [_answer(other, row) for row in SPECIAL.values()]


def _answer(other: Other, row: Array) -> str:
    """What a function gives for one row, in a few letters."""
    array: Any = row
    if other.array == "torch":
        import torch

        array = torch.from_numpy(row)
    elif other.array == "jax":
        import jax.numpy as jnp

        array = jnp.asarray(row)
    try:
        got = np.asarray(globals()[other.function](array))
    except ImportError:
        raise
    except Exception as error:
        return f"raises {type(error).__name__}"
    if not got.size:
        return f"empty {got.shape}"
    return "[" + ", ".join(f"{number:.4g}" for number in got[0].tolist()) + "]"


@cache
def _session(operator: str, itemsize: int) -> Any:
    """An inference session for a model of one operator along the last axis."""
    import onnxruntime

    return onnxruntime.InferenceSession(
        _model(operator, 1 if itemsize == 4 else 11), providers=["CPUExecutionProvider"]
    )


def _model(operator: str, element: int) -> bytes:
    """The ONNX model y = operator(x), as protocol buffers; field numbers from onnx.proto.

    Written by hand: the onnx package would be a dependency for thirty bytes.
    """

    def varint(value: int) -> bytes:
        low, rest = value & 127, value >> 7
        return bytes([low | 128]) + varint(rest) if rest else bytes([low])

    def number(field: int, value: int) -> bytes:
        return varint(field << 3) + varint(value)

    def block(field: int, content: bytes | str) -> bytes:
        content = content.encode() if isinstance(content, str) else content
        return varint(field << 3 | 2) + varint(len(content)) + content

    def tensor(name: str) -> bytes:
        shape = block(1, block(2, "rows")) + block(1, block(2, "n"))
        kind = block(1, number(1, element) + block(2, shape))
        return block(1, name) + block(2, kind)

    axis = block(1, "axis") + number(3, 1) + number(20, 2)  # an attribute of type INT
    node = block(1, "x") + block(2, "y") + block(4, operator) + block(5, axis)
    graph = block(1, node) + block(2, "graph") + block(11, tensor("x")) + block(12, tensor("y"))
    return number(1, 8) + block(7, graph) + block(8, number(2, 13))
