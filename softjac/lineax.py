"""The Jacobian of softmax for lineax's solvers (extra `softjac[lineax]`)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

try:
    import lineax
except ImportError as error:
    raise ImportError("softjac.lineax needs lineax: pip install 'softjac[lineax]'") from error

from softjac._errors import ArgumentError
from softjac._operator import JacobianOperator
from softjac._types import Array

__all__ = ["JacobianLinearOperator"]


class JacobianLinearOperator(lineax.AbstractLinearOperator):  # type: ignore[misc]
    """`softjac.JacobianOperator` as an operator of lineax: symmetric, positive semidefinite.

    J = diag(y) - y yᵀ is singular, J 1 = 0: solve with right-hand sides of sum 0, by a solver that
    takes them (`lineax.CG` stays in that space), or add a multiple of the identity.

    Args:
        y: probabilities, a result of softmax, shape `(n,)`; `jax.vmap` for more.

    Returns:
        The operator.

    Raises:
        ArgumentError: y has not one axis.

    Numerics:
        Products and elements as `softjac.JacobianOperator`; a solution as the solver's tolerance.

    Example:
        >>> import jax.numpy as jnp
        >>> import lineax
        >>> J = JacobianLinearOperator(jnp.array([0.25, 0.75]))
        >>> solver = lineax.CG(rtol=1e-6, atol=1e-6)
        >>> print(lineax.linear_solve(J, jnp.array([0.375, -0.375]), solver).value.round(4))
        [ 1. -1.]

    References:
        J. Rader, T. Lyons and P. Kidger, "Lineax: unified linear solves and linear least-squares
        in JAX and Equinox" (2023), for the solvers.
    """

    y: Array

    def __init__(self, y: Array) -> None:
        self.y = jnp.asarray(y)
        if self.y.ndim != 1:
            raise ArgumentError(f"y must have one axis, not shape {self.y.shape}; use jax.vmap")

    def mv(self, vector: Array) -> Array:
        """Multiply."""
        return JacobianOperator(self.y).mv(vector)

    def as_matrix(self) -> Array:
        """The matrix, `(n, n)`."""
        return JacobianOperator(self.y).dense()

    def transpose(self) -> JacobianLinearOperator:
        """The operator itself."""
        return self

    def in_structure(self) -> Any:
        """What it multiplies: arrays like y."""
        return jax.eval_shape(lambda: self.y)

    def out_structure(self) -> Any:
        """What it gives: arrays like y."""
        return self.in_structure()


def _register() -> None:
    """Tell lineax's functions what they may assume."""
    kind = JacobianLinearOperator
    for function in (lineax.linearise, lineax.conj):
        function.register(kind)(lambda operator: operator)
    tags = (lineax.symmetric_tag, lineax.positive_semidefinite_tag)
    lineax.materialise.register(kind)(
        lambda operator: lineax.MatrixLinearOperator(operator.as_matrix(), tags)
    )
    lineax.diagonal.register(kind)(lambda operator: JacobianOperator(operator.y).diagonal())
    lineax.tridiagonal.register(kind)(
        lambda operator: lineax.tridiagonal(lineax.materialise(operator))
    )
    for function in (lineax.is_symmetric, lineax.is_positive_semidefinite):
        function.register(kind)(lambda _operator: True)
    for function in (
        lineax.is_diagonal,
        lineax.is_tridiagonal,
        lineax.is_lower_triangular,
        lineax.is_upper_triangular,
        lineax.is_negative_semidefinite,
        lineax.has_unit_diagonal,
    ):
        function.register(kind)(lambda _operator: False)


_register()
