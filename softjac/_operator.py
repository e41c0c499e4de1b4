"""The Jacobian of softmax as an operator: diag(y) - y yᵀ, never written out."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from softjac._classes import Classes
from softjac._derivatives import diagonal, in_float32, softmax_jacobian, softmax_jvp
from softjac._errors import ArgumentError
from softjac._types import Array

__all__ = ["JacobianOperator"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class JacobianOperator:
    """The Jacobian of softmax at probabilities y, one operator for each leading index.

    J = diag(y) - y yᵀ is symmetric and positive semidefinite, with J 1 = 0. It takes O(n) memory,
    and O(n) time a product. It is a pytree: it passes through jit, vmap and grad.

    Args:
        y: probabilities, a result of softmax, shape `(..., n)`.

    Returns:
        The operator; `J @ t` and `J.mv(t)` multiply, `J.T` is itself.

    Numerics:
        Products as `softjac.softmax_jvp`, elements as `softjac.softmax_jacobian`: accurate in
        every component, also where one probability is near 1. Sixteen bits are computed in float32
        and rounded once.

    Example:
        >>> import jax.numpy as jnp
        >>> J = JacobianOperator(jnp.array([0.25, 0.75]))
        >>> print(J @ jnp.array([1.0, 0.0]), J.diagonal(), J.trace())
        [ 0.1875 -0.1875] [0.1875 0.1875] 0.375
        >>> print((J @ J.solve(jnp.array([0.5, -0.5]))).round(4))
        [ 0.5 -0.5]

    References:
        S. Amari, "Natural gradient works efficiently in learning", Neural Computation 10 (1998):
        J is the Fisher information of a categorical distribution in its logits.
    """

    y: Array

    @property
    def T(self) -> JacobianOperator:
        """The transpose: J is symmetric."""
        return self

    def mv(self, t: Array) -> Array:
        """Multiply: y (t - Σ y t), shape of y."""
        return softmax_jvp(self.y, t)

    def __matmul__(self, t: Array) -> Array:
        return self.mv(t)

    def diagonal(self) -> Array:
        """y (1 - y), shape of y."""
        return in_float32(_diagonal, self.y)

    def trace(self) -> Array:
        """Σ y (1 - y), shape `(...)`."""
        return in_float32(lambda y: _sum(_diagonal(y))[..., 0], self.y)

    def dense(self) -> Array:
        """The matrix, shape `(..., n, n)`."""
        return softmax_jacobian(self.y)

    def solve(self, b: Array) -> Array:
        """Apply the pseudo-inverse: the v with J v = b and Σ v = 0, shape of y.

        J reaches the vectors of sum 0, the tangent space of the simplex; of another b the part in
        it is taken, b - mean b. Needs y > 0: where y is 0 the result is infinite or NaN.

        Raises:
            ArgumentError: b has another shape than y.
        """
        if b.shape != self.y.shape:
            raise ArgumentError(f"solve: b must have the shape of y, {self.y.shape}, not {b.shape}")
        dtype = jnp.result_type(b, self.y)
        return in_float32(
            lambda b, y: _without_mean(_without_mean(b) / y), b.astype(dtype), self.y.astype(dtype)
        )


def _last(y: Array) -> Classes:
    return Classes((y.ndim - 1,))


def _diagonal(y: Array) -> Array:
    return diagonal(y, _last(y))


def _sum(v: Array) -> Array:
    return _last(v).accurate_sum(lambda v: (v,), v)[0]


def _without_mean(v: Array) -> Array:
    return v - _sum(v) / max(v.shape[-1], 1)
