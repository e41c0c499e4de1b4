"""The kernels inside jax.jit: one primitive an op, with derivatives of any order.

A primitive calls the library on CPUs. On other platforms, and where the library cannot be used, it
is the pure JAX formula; that is said once. The products with the Jacobian are linear in their
vector and each other's transposes, so that forward and reverse mode, vmap and shard_map all go
through the kernels. Second and higher derivatives take the products from the kernels too; how the
Jacobian itself changes is pure JAX, in textbook sums.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from softjac import _derivatives
from softjac._classes import Classes
from softjac._errors import ArgumentError, LibraryMissingError
from softjac._product import product
from softjac.native import _formulas, _library

__all__ = ["apply", "cross_entropy"]

_DTYPES = ("float32", "float64", "bfloat16", "float16")


@functools.cache
def _registered() -> bool:
    """Make the handlers known to XLA; False, and a warning, where that is not possible.

    The backend is started first: a handler that a starting backend does not accept would take the
    whole backend down, one that a running backend does not accept is only refused.
    """
    try:
        ffi, lib = _library.load()
        pycapsule: Any = jax.ffi.pycapsule
        jax.local_devices(backend="cpu")
        for op in _OPS:
            function = ffi.addressof(lib, f"softjac_xla_{op}")
            capsule = pycapsule(int(ffi.cast("intptr_t", function)))
            jax.ffi.register_ffi_target(f"softjac_{op}", capsule, platform="cpu")
    except (LibraryMissingError, AttributeError, RuntimeError, ValueError) as error:
        warnings.warn(
            f"softjac.native runs as pure JAX, without its kernels: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return False
    return True


@functools.cache
def _warn_of_platform(platform: str) -> None:
    """Say once that a platform has no kernels."""
    warnings.warn(
        f"softjac.native has kernels for CPUs only: it runs as pure JAX on {platform}.",
        RuntimeWarning,
        stacklevel=2,
    )


def _primitive(op: str, formula: Callable[..., Any], *, multiple: bool = False) -> Any:
    """A primitive that is the library's `op` on CPUs and `formula` elsewhere."""
    primitive: Any = Primitive(f"softjac_{op}")
    primitive.multiple_results = multiple
    meaning = _formulas.rounded_once(formula)

    def result_types(*operands: Any, **parameters: Any) -> Any:
        """What the formula would give, sharding and varying axes included."""
        del parameters["alias"]
        types = jax.make_jaxpr(functools.partial(meaning, **parameters))(*operands).out_avals
        return types if multiple else types[0]

    def in_jax(context: Any, *operands: Any, **parameters: Any) -> Any:
        """The formula."""
        del parameters["alias"]
        return mlir.lower_fun(meaning, multiple_results=multiple)(context, *operands, **parameters)

    def on_cpu(context: Any, *operands: Any, alias: int | None, scale: float, **rest: Any) -> Any:
        """The call of the library."""
        if not _registered():
            return in_jax(context, *operands, alias=alias, scale=scale, **rest)
        aliases: dict[str, Any] = {}
        if alias is not None:
            aliases["operand_output_aliases"] = {alias: 0}
        lowering = jax.ffi.ffi_lowering(f"softjac_{op}", **aliases)
        return lowering(context, *operands, scale=np.float64(scale))

    def elsewhere(context: Any, *operands: Any, **parameters: Any) -> Any:
        """The formula, on a platform without kernels."""
        for platform in context.module_context.platforms:
            if platform != "cpu":
                _warn_of_platform(platform)
        return in_jax(context, *operands, **parameters)

    def batched(operands: Any, dimensions: Any, *, alias: int | None, **parameters: Any) -> Any:
        """The batch axis in front of all operands."""
        size = next(
            operand.shape[dimension]
            for operand, dimension in zip(operands, dimensions, strict=True)
            if dimension is not None
        )
        operands = [
            jnp.broadcast_to(operand, (size, *operand.shape))
            if dimension is None
            else jnp.moveaxis(operand, dimension, 0)
            for operand, dimension in zip(operands, dimensions, strict=True)
        ]
        if alias is not None and dimensions[alias] is None:
            alias = None
        results = primitive.bind(*operands, alias=alias, **parameters)
        return results, [0] * len(results) if multiple else 0

    @functools.partial(jax.jit, static_argnames=("alias", "scale", "derivative"))
    def eagerly(*operands: Any, **parameters: Any) -> Any:
        """The primitive by itself, compiled."""
        return primitive.bind(*operands, **parameters)

    primitive.def_impl(eagerly)
    primitive.def_abstract_eval(result_types)
    batching.primitive_batchers[primitive] = batched
    mlir.register_lowering(primitive, elsewhere)
    mlir.register_lowering(primitive, on_cpu, platform="cpu")
    return primitive


_softmax_p = _primitive("softmax", _formulas.softmax)
_log_softmax_p = _primitive("log_softmax", _formulas.log_softmax)
_product_p = _primitive("softmax_product", _formulas.product)
_from_logits_p = _primitive("softmax_vjp_from_logits", _formulas.product_from_logits)
_log_vjp_p = _primitive("log_softmax_vjp", _formulas.log_vjp)
_log_jvp_p = _primitive("log_softmax_jvp", _formulas.log_jvp)
_jacobian_p = _primitive("softmax_jacobian", _formulas.jacobian)
_log_jacobian_p = _primitive("log_softmax_jacobian", _formulas.log_jacobian)
_entropy_p = _primitive("cross_entropy", _formulas.entropy, multiple=True)
_entropy_labels_p = _primitive("cross_entropy_labels", _formulas.entropy, multiple=True)

_OPS = (
    "softmax",
    "log_softmax",
    "softmax_product",
    "softmax_vjp_from_logits",
    "log_softmax_vjp",
    "log_softmax_jvp",
    "softmax_jacobian",
    "log_softmax_jacobian",
    "cross_entropy",
    "cross_entropy_labels",
)


# Derivatives. Results carry no alias: a derivative rule needs its operands again.


def _sum(parts: list[Any], like: Any) -> Any:
    """The sum of the tangents there are."""
    if not parts:
        zero: Any = ad.Zero
        return zero.from_primal_value(like)
    return functools.reduce(jnp.add, parts)


def _softmax_jvp(primals: Any, tangents: Any, *, scale: float, **_alias: Any) -> Any:
    y = _softmax_p.bind(*primals, scale=scale, alias=None)
    return y, _product_p.bind(y, tangents[0], scale=scale, alias=None)


def _log_softmax_jvp(primals: Any, tangents: Any, *, scale: float, **_alias: Any) -> Any:
    y = _log_softmax_p.bind(*primals, scale=scale, alias=None)
    return y, _log_jvp_p.bind(y, tangents[0], scale=scale, alias=None)


def _linear(primitive: Any, transposed: Any, change: Callable[[Any, Any, Any, float], Any]) -> None:
    """Derivatives of a product linear in its second operand; `change` is along the first."""

    def jvp(primals: Any, tangents: Any, *, scale: float, **_alias: Any) -> Any:
        y, t = primals
        y_dot, t_dot = tangents
        result = primitive.bind(y, t, scale=scale, alias=None)
        parts = []
        if type(t_dot) is not ad.Zero:
            parts.append(primitive.bind(y, t_dot, scale=scale, alias=None))
        if type(y_dot) is not ad.Zero:
            parts.append(change(y, t, y_dot, scale))
        return result, _sum(parts, result)

    def transpose(cotangent: Any, y: Any, t: Any, *, scale: float, **_alias: Any) -> Any:
        if type(cotangent) is ad.Zero:
            return [None, ad.Zero(t.aval)]
        return [None, transposed.bind(y, cotangent, scale=scale, alias=None)]

    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transpose


def _product_change(y: Any, t: Any, y_dot: Any, scale: float) -> Any:
    """The change of (diag(y) - y yᵀ) t along y_dot."""

    def formula(y: Any, t: Any, y_dot: Any) -> Any:
        mean_free = product(y, t, kind="log", classes=Classes((y.ndim - 1,)))
        change = jnp.sum(y_dot * t, -1, keepdims=True)
        return _formulas.scaled(y_dot * mean_free - y * change, scale)

    return _derivatives.in_float32(formula, y, t, y_dot)


def _log_vjp_change(y: Any, t: Any, y_dot: Any, scale: float) -> Any:
    """The change of (I - p 1ᵀ) t, p = exp(y), along y_dot."""
    return _formulas.scaled(-jnp.exp(y) * y_dot * jnp.sum(t, -1, keepdims=True), scale)


def _log_jvp_change(y: Any, t: Any, y_dot: Any, scale: float) -> Any:
    """The change of (I - 1 pᵀ) t, p = exp(y), along y_dot."""
    change = jnp.sum(jnp.exp(y) * y_dot * t, -1, keepdims=True)
    return _formulas.scaled(jnp.broadcast_to(-change, t.shape), scale)


def _jacobian_jvp(primals: Any, tangents: Any, *, scale: float, **_alias: Any) -> Any:
    (y,), (y_dot,) = primals, tangents
    outer = y_dot[..., :, None] * y[..., None, :] + y[..., :, None] * y_dot[..., None, :]
    diagonal = y_dot[..., :, None] * jnp.eye(y.shape[-1], dtype=y.dtype)
    return _jacobian_p.bind(y, scale=scale, alias=None), _formulas.scaled(diagonal - outer, scale)


def _log_jacobian_jvp(primals: Any, tangents: Any, *, scale: float, **_alias: Any) -> Any:
    (y,), (y_dot,) = primals, tangents
    result = _log_jacobian_p.bind(y, scale=scale, alias=None)
    change = -(jnp.exp(y) * y_dot)[..., None, :]
    return result, _formulas.scaled(jnp.broadcast_to(change, result.shape), scale)


def _from_logits_jvp(primals: Any, tangents: Any, *, scale: float, **_alias: Any) -> Any:
    def composed(x: Any, t: Any) -> Any:
        y = _softmax_p.bind(x, scale=scale, alias=None)
        return _product_p.bind(y, t, scale=scale, alias=None)

    return jax.jvp(composed, primals, tuple(map(ad.instantiate_zeros, tangents)))


def _entropy_jvp(
    primitive: Any, primals: Any, tangents: Any, *, scale: float, derivative: bool, **_alias: Any
) -> Any:
    """The loss changes by dx·x_dot - log(y)·target_dot; dx as the formula says."""
    x, target = primals
    x_dot, target_dot = tangents
    loss, dx = primitive.bind(x, target, scale=scale, derivative=True, alias=None)
    labels = jnp.issubdtype(target.dtype, jnp.integer)
    loss_parts, dx_parts = [], []
    if type(x_dot) is not ad.Zero:
        loss_parts.append(jnp.sum(dx * x_dot, -1))
        y = _softmax_p.bind(x, scale=scale, alias=None)
        mass = 1 if labels else jnp.sum(target, -1, keepdims=True)
        dx_parts.append(
            _formulas.scaled(mass * _product_p.bind(y, x_dot, scale=scale, alias=None), scale)
        )
    if not labels and type(target_dot) is not ad.Zero:
        log_y = _log_softmax_p.bind(x, scale=scale, alias=None)
        finite = jnp.where(jnp.isneginf(log_y), 0, log_y)  # 0 · -inf: a masked class counts nothing
        loss_parts.append(-jnp.sum(finite * target_dot, -1))
        dx_parts.append(-_log_vjp_p.bind(log_y, target_dot, scale=scale, alias=None))
    results = [loss, dx] if derivative else [loss]
    changes = [_sum(loss_parts, loss), _sum(dx_parts, dx)]
    return results, changes[: len(results)]


ad.primitive_jvps[_softmax_p] = _softmax_jvp
ad.primitive_jvps[_log_softmax_p] = _log_softmax_jvp
ad.primitive_jvps[_jacobian_p] = _jacobian_jvp
ad.primitive_jvps[_log_jacobian_p] = _log_jacobian_jvp
ad.primitive_jvps[_from_logits_p] = _from_logits_jvp
for _p in (_entropy_p, _entropy_labels_p):
    ad.primitive_jvps[_p] = functools.partial(_entropy_jvp, _p)
_linear(_product_p, _product_p, _product_change)
_linear(_log_vjp_p, _log_jvp_p, _log_vjp_change)
_linear(_log_jvp_p, _log_vjp_p, _log_jvp_change)

_PRIMITIVES = {
    "softmax": _softmax_p,
    "log_softmax": _log_softmax_p,
    "softmax_vjp": _product_p,
    "softmax_jvp": _product_p,
    "softmax_vjp_from_logits": _from_logits_p,
    "log_softmax_vjp": _log_vjp_p,
    "log_softmax_jvp": _log_jvp_p,
    "softmax_jacobian": _jacobian_p,
    "log_softmax_jacobian": _log_jacobian_p,
}


# The boundary.


def _check(name: str, value: Any) -> None:
    """Refuse what the kernels do not take."""
    if value.dtype.name not in _DTYPES:
        raise ArgumentError(
            f"{name}: expected dtype {', '.join(_DTYPES)}, got {value.dtype}; convert it first"
        )
    if value.ndim == 0:
        raise ArgumentError(f"{name}: expected shape (..., n), got a scalar")


def _factor(scale: Any) -> float:
    """The scale as a number known while tracing."""
    try:
        return float(scale)
    except (TypeError, jax.errors.ConcretizationTypeError) as error:
        raise ArgumentError(
            "scale: expected a number known while tracing; multiply the logits by a traced one"
        ) from error


def _alias(out: Any, operands: tuple[Any, ...]) -> int | None:
    """The operand whose memory the result takes, or None."""
    if out is None:
        return None
    for position, operand in enumerate(operands):
        if out is operand:
            return position
    raise ArgumentError(
        "out: JAX arrays cannot be written to; pass the input whose memory the result may take "
        "(in place where it is donated or no longer needed), or leave it out"
    )


def apply(op: str, names: tuple[str, ...], operands: tuple[Any, ...], scale: Any, out: Any) -> Any:
    """Apply an op to JAX arrays or tracers."""
    alias = _alias(out, operands)
    operands = tuple(jnp.asarray(operand) for operand in operands)
    for name, operand in zip(names, operands, strict=True):
        _check(name, operand)
        if operand.shape != operands[0].shape or operand.dtype != operands[0].dtype:
            raise ArgumentError(
                f"{name}: expected the shape and dtype of {names[0]}, {operands[0].shape} "
                f"{operands[0].dtype}, got {operand.shape} {operand.dtype}"
            )
    return _PRIMITIVES[op].bind(*operands, scale=_factor(scale), alias=alias)


def cross_entropy(x: Any, target: Any, scale: Any, derivative: bool) -> tuple[Any, Any]:
    """The loss of every row, and its derivative where that is wanted."""
    x, target = jnp.asarray(x), jnp.asarray(target)
    _check("x", x)
    labels = jnp.issubdtype(target.dtype, jnp.integer)
    if labels and target.dtype not in (jnp.int32, jnp.int64):
        target = target.astype(jnp.int32)
    expected = x.shape[:-1] if labels else x.shape
    if target.shape != expected or (not labels and target.dtype != x.dtype):
        raise ArgumentError(
            f"target: expected integer labels of shape {x.shape[:-1]} or an array of shape "
            f"{x.shape} {x.dtype}, got {target.shape} {target.dtype}"
        )
    if x.shape[-1] == 0:
        raise ArgumentError("x: expected at least one class, got none")
    primitive = _entropy_labels_p if labels else _entropy_p
    results = primitive.bind(x, target, scale=_factor(scale), derivative=derivative, alias=None)
    return results[0], results[1] if derivative else None
