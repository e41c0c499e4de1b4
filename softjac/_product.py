"""The Jacobians' products with a vector, accurate, as one JAX primitive.

The Jacobian of softmax is J = diag(y) - y yᵀ, that of log_softmax I - 1 yᵀ. Their textbook
products cancel where one probability is near 1 or where the vector has a large common offset.
J·1 = 0, so a constant may be taken off first: here the number nearest to the mean Σ y t. The result
is then accurate in every component.

The primitive is linear in the vector and transposed into itself or its sibling, so that forward,
reverse and higher derivatives all go through the accurate formulas.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from softjac._classes import Classes
from softjac._types import Array

__all__ = ["dominant", "product"]

Kind = Literal["softmax", "log", "log_transposed"]

_TRANSPOSED: dict[Kind, Kind] = {
    "softmax": "softmax",
    "log": "log_transposed",
    "log_transposed": "log",
}


def product(y: Array, t: Array, *, kind: Kind, classes: Classes) -> Array:
    """Multiply t by a Jacobian at probabilities y, with accurate derivatives of any order.

    "softmax": diag(y) - y yᵀ; "log": I - 1 yᵀ; "log_transposed": I - y 1ᵀ.
    """
    result: Array = _product_p.bind(y, t, kind=kind, classes=classes)
    return result


def _product(y: Array, t: Array, *, kind: Kind, classes: Classes) -> Array:
    """The formulas."""
    if kind == "softmax":
        return y * _centred(y, t, classes)
    if kind == "log":
        return _centred(y, t, classes)
    (total,) = classes.sum_in_pairs(lambda t: (t,), t)
    (others,) = classes.sum_in_pairs(_beside_the_dominant, y, t, total)
    return jnp.where(dominant(y), -others, t - y * total)


def _beside_the_dominant(y: Array, t: Array, total: Array) -> tuple[Array]:
    """The result's terms over all classes but the dominant one, whose own is their negated sum."""
    return (jnp.where(dominant(y), 0, t - y * total),)


def dominant(y: Array) -> Array:
    """Where a class has so much of the probability that 1 - y loses bits.

    More than half, by enough that rounding cannot lift two classes there: log(1/2), rounded to
    sixteen bits, gives each of two equal classes 0.501.
    """
    return y > 0.51


def _centred(y: Array, t: Array, classes: Classes) -> Array:
    """Give t - Σ y t without cancellation (any constant may be taken off first, as Σ y = 1).

    That constant is the number nearest to the mean: no entry is nearer to it, so that nothing
    subtracted is larger than the spread of t; and where most of the probability lies on equal
    entries, as in a dominant class, it is that entry, and they become exactly 0. One sum gives
    the mean but for rounding, and a second, of what is left of it, the number nearest to it.
    """
    (centre,) = classes.sum_in_pairs(lambda y, t: (y * t,), y, t)
    (rest,) = classes.sum_in_pairs(_moment, y, t, centre)
    centre = centre + rest
    (rest,) = classes.sum_in_pairs(_moment, y, t, centre)
    return (t - centre) - rest


def _moment(y: Array, t: Array, centre: Array) -> tuple[Array]:
    return (y * (t - centre),)


_product_p: Any = Primitive("softmax_product")


def _type(y: Any, t: Any, **_parameters: Any) -> Any:
    """The type of the result: that of y + t, sharding included."""
    return jax.make_jaxpr(jnp.add)(y, t).out_avals[0]


def _jvp(primals: Any, tangents: Any, *, kind: Kind, classes: Classes) -> tuple[Array, Array]:
    """The product's differential: J t_dot, plus the change of J along y_dot times t."""
    (y, t), (y_dot, t_dot) = primals, tangents
    bind = partial(_product_p.bind, classes=classes)
    parts = []
    if type(t_dot) is not ad.Zero:
        parts.append(bind(y, t_dot, kind=kind))
    if type(y_dot) is not ad.Zero:
        (total,) = classes.sum(t if kind == "log_transposed" else y_dot * t)
        if kind == "softmax":
            parts.append(y_dot * bind(y, t, kind="log") - y * total)
        elif kind == "log":
            shape = jnp.broadcast_shapes(y_dot.shape, t.shape)
            parts.append(jnp.broadcast_to(-classes.spread(total), shape))
        else:
            parts.append(-y_dot * total)
    return bind(y, t, kind=kind), sum(parts[1:], parts[0])


def _transpose(cotangent: Any, y: Any, t: Any, *, kind: Kind, classes: Classes) -> list[Any]:
    """The transposed map, summed where t was broadcast against y."""
    if type(cotangent) is ad.Zero:
        return [None, ad.Zero(t.aval)]
    result = product(y, cotangent, kind=_TRANSPOSED[kind], classes=classes)
    shape = t.aval.shape
    stretched = tuple(i for i in range(len(shape)) if shape[i] == 1 and result.shape[i] != 1)
    if stretched:
        result = jnp.sum(result, stretched, keepdims=True)
    return [None, result]


def _batch(operands: Any, dimensions: Any, *, kind: Kind, classes: Classes) -> tuple[Array, int]:
    """The batch axis in front; of length 1 in an operand that has none, so nothing is copied."""
    y, t = (
        jnp.expand_dims(operand, 0) if dimension is None else jnp.moveaxis(operand, dimension, 0)
        for operand, dimension in zip(operands, dimensions, strict=True)
    )
    return product(y, t, kind=kind, classes=classes.behind(1)), 0


_product_p.def_impl(jax.jit(_product, static_argnames=("kind", "classes")))
_product_p.def_abstract_eval(_type)
ad.primitive_jvps[_product_p] = _jvp
ad.primitive_transposes[_product_p] = _transpose
batching.primitive_batchers[_product_p] = _batch
mlir.register_lowering(_product_p, mlir.lower_fun(_product, multiple_results=False))
