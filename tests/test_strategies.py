"""The Hypothesis strategies: shapes, dtypes, and the inputs that reveal bugs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from softjac import ArgumentError
from softjac.oracle.ops import OPS
from softjac.strategies import arguments, cotangents, logits

quick = settings(max_examples=30, deadline=None)


@pytest.mark.parametrize("op", list(OPS))
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_arguments_have_the_roles_of_the_op(op: str, dtype: str) -> None:
    """Each role of the op is an array (rows, n) of the dtype, within the sizes asked for."""

    @settings(max_examples=5, deadline=None)
    @given(arguments(op, dtype, rows=(2, 3), n=(1, 9)), st.booleans())
    def hold(found: dict[str, Any], _: bool) -> None:
        assert tuple(found) == OPS[op].takes[0]
        shapes = {array.shape for array in found.values()}
        ((rows, n),) = shapes
        assert 2 <= rows <= 3
        assert 1 <= n <= 9
        assert {str(array.dtype) for array in found.values()} == {dtype}

    hold()


@quick
@given(arguments("softmax_vjp", from_logits=True))
def test_arguments_from_logits(found: dict[str, Any]) -> None:
    """A derivative op can be given the logits instead of its result."""
    assert set(found) == {"x", "dy"}


@quick
@given(logits())
def test_logits_have_a_finite_entry_in_each_row(x: Any) -> None:
    """Entries may be masked, rows never are, and nothing is NaN or +inf."""
    assert np.isfinite(x).any(axis=1).all()
    assert not np.isnan(x).any()
    assert not np.isposinf(x).any()


@pytest.mark.parametrize(
    "reveals",
    [
        lambda x: np.isneginf(x).any(),
        lambda x: (x.min() >= -1e7) & (x.max() <= -1000),
        lambda x: len(x) > 1 and (np.ptp(x.max(axis=1)) > 200),
        lambda x: x.shape[1] > 2 and len(np.unique(x)) == 1,
    ],
    ids=["masked", "far below zero", "rows far apart", "all equal"],
)
def test_logits_include_what_reveals_bugs(reveals: Any) -> None:
    """The strategy soon yields rows of each adversarial kind."""
    assert reveals(find(logits(), reveals, settings=settings(max_examples=2000, deadline=None)))


@quick
@given(st.tuples(st.integers(1, 3), st.integers(1, 20)).flatmap(cotangents))
def test_cotangents_are_finite(dy: Any) -> None:
    """Cotangents have the shape asked for and are finite."""
    assert dy.ndim == 2
    assert np.isfinite(dy).all()


def test_a_forgotten_dot_is_found_and_shrunk() -> None:
    """A derivative that is only the diagonal fails at once, at two classes."""

    def wrong(found: dict[str, Any]) -> bool:
        y, dy = (found[role].astype(np.float64) for role in ("y", "dy"))
        exact = y * (dy - (y * dy).sum(-1, keepdims=True))
        return bool((abs(y * (1 - y) * dy - exact) > 1e-3).any())

    shrunk = find(arguments("softmax_vjp"), wrong, settings=settings(max_examples=500))
    assert shrunk["y"].shape[1] <= 3


@pytest.mark.parametrize("op, dtype", [("softmaxx", "float32"), ("softmax", "int8")])
def test_unknown_names_are_refused(op: str, dtype: str) -> None:
    """An unknown op or dtype is an error that lists the known ones."""
    with pytest.raises(ArgumentError, match="must be one of"):
        arguments(op, dtype)
