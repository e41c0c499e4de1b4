"""The derivative of a forward function, taken by the library it is written for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

__all__ = ["take"]


@runtime_checkable
class _Plan(Protocol):
    """What of a plan is needed here."""

    @property
    def inputs(self) -> tuple[str, ...]: ...
    @property
    def output(self) -> str: ...


def take(
    kind: str,
    plan: _Plan,
    function: Callable[..., Any],
    keywords: Mapping[str, Any],
    given: Mapping[str, Any],
) -> Any:
    """The VJP, JVP or Jacobian of `function` at `x`, each row by itself.

    Args:
        kind: "jax" or "torch".
        plan: its output role says which derivative: `dx`, `y_dot` or `jac`.
        function: of logits `(rows, n)`.
        keywords: arguments beside the logits.
        given: the arrays by role.
    """
    x = given["x"]
    vector = given.get("dy", given.get("x_dot"))

    def forward(logits: Any) -> Any:
        return function(logits, **keywords)

    if kind == "torch":
        return _take_torch(plan.output, forward, x, vector)
    return _take_jax(plan.output, forward, x, vector)


def _take_jax(output: str, forward: Callable[[Any], Any], x: Any, vector: Any) -> Any:
    """With `jax.vjp` and `jax.jvp`."""
    jax = importlib.import_module("jax")
    if output == "y_dot":
        return jax.jvp(forward, (x,), (vector,))[1]
    y, pull = jax.vjp(forward, x)
    if output == "dx":
        return pull(vector)[0]
    # e_i is pulled back in every row at once: row i of every Jacobian
    one_hots = jax.numpy.eye(x.shape[1], dtype=y.dtype)
    pulled = jax.vmap(lambda e: pull(jax.numpy.broadcast_to(e, y.shape))[0])(one_hots)
    return jax.numpy.swapaxes(pulled, 0, 1)


def _take_torch(output: str, forward: Callable[[Any], Any], x: Any, vector: Any) -> Any:
    """With `torch.autograd`, forward mode where the function has it."""
    torch = importlib.import_module("torch")
    if output == "y_dot":
        try:
            return torch.func.jvp(forward, (x,), (vector,))[1]
        except (RuntimeError, NotImplementedError):  # no forward mode: differentiate twice
            return torch.autograd.functional.jvp(forward, x, vector)[1]
    with torch.enable_grad():
        primal = x.detach().requires_grad_(True)
        y = forward(primal)
        if output == "dx":
            return torch.autograd.grad(y, primal, vector)[0]
        rows = []
        for i in range(x.shape[1]):
            one_hot = torch.zeros_like(y)
            one_hot[:, i] = 1
            rows.append(torch.autograd.grad(y, primal, one_hot, retain_graph=True)[0])
        return torch.stack(rows, dim=1) if rows else torch.empty(len(x), 0, 0, dtype=y.dtype)
