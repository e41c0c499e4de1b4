"""The sandbox for Python: derivatives that JAX and PyTorch take of a forward function."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from python_calls import JAX_FILE, TORCH_FILE, both, module, needs_torch, opened

from softjac.oracle.calls.call import Call
from softjac.oracle.candidate import load, open_sandbox

JACOBIAN = np.array([[[0.1875, -0.1875], [-0.1875, 0.1875]]])


@pytest.mark.parametrize(
    ("live", "op", "rows"),
    [
        (True, "softmax_vjp", 1),
        (True, "softmax_vjp", 3),
        (True, "softmax_jvp", 3),
        (True, "softmax_jacobian", 1),
        (True, "softmax_jacobian", 3),
        (False, "softmax_jacobian", 3),
    ],
)
def test_derivatives_are_taken_by_jax(live: bool, op: str, rows: int) -> None:
    """The VJP, JVP and Jacobian of a forward function, each row by itself."""
    check_derivative(both("jax_softmax", JAX_FILE)[live], op, rows)


@pytest.mark.parametrize("op", ["softmax_vjp", "softmax_jacobian"])
def test_a_rule_of_its_own_is_what_is_judged(op: str) -> None:
    """Of a `jax.custom_vjp` function the rule is called; a JVP it has not raises."""
    function = module(JAX_FILE).jax_function
    check_derivative(function, op, 2)
    row = np.zeros((1, 3), np.float32)
    with opened(function, op="softmax_jvp", autodiff=True) as sandbox:
        outcome = sandbox.run([Call({"x": row, "x_dot": row}, 1, 3)])[0]
    assert outcome.status == "raised"
    assert "TypeError" in outcome.message


@needs_torch
@pytest.mark.parametrize(
    ("live", "name", "op"),
    [
        *itertools.product(
            [True],
            ["torch_softmax", "TorchFunction"],
            ["softmax_vjp", "softmax_jvp", "softmax_jacobian"],
        ),
        (False, "TorchFunction", "softmax_jvp"),
    ],
)
def test_derivatives_are_taken_by_torch(live: bool, name: str, op: str) -> None:
    """The same for PyTorch functions and autograd.Function classes."""
    check_derivative(both(name, TORCH_FILE)[live], op, 3)


def check_derivative(target: Any, op: str, rows: int) -> None:
    """Compares a derivative at two logits with what is known of it."""
    logits = np.repeat(np.log(np.array([[0.25, 0.75]], np.float32)), rows, 0)
    vector = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2) + 1
    candidate = load(target, op=op, autodiff=True)
    inputs = {"x": logits, "dy": vector, "x_dot": vector}
    one = Call({role: inputs[role] for role in candidate.inputs}, rows, 2)
    with open_sandbox(candidate, timeout=60) as sandbox:
        outcome = sandbox.run([one])[0]
    assert outcome.status == "ok"
    jacobian = np.repeat(JACOBIAN, rows, 0)
    expected = jacobian if op.endswith("jacobian") else np.einsum("rij,rj->ri", jacobian, vector)
    assert outcome.output is not None
    assert outcome.output.shape == expected.shape
    assert np.allclose(outcome.output, expected, atol=1e-6)
