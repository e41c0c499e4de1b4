"""The sandbox for Python: which arrays a callable is given, and what it does to them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from python_calls import (
    JAX_FILE,
    TORCH_FILE,
    VIEWS,
    Array,
    both,
    call,
    module,
    needs_torch,
    opened,
    right,
)

from softjac.oracle.calls.arrays import Arrays, to_numpy
from softjac.oracle.calls.call import Call, Layout


@pytest.mark.parametrize("target", both("right"))
@pytest.mark.parametrize("view", VIEWS)
def test_views_hold_the_inputs_and_may_be_written(target: Any, view: Any) -> None:
    """Whatever the layout, the callable sees the inputs, and its result comes back."""
    one = call(7, 3, layout=Layout(view=view, offset=3, gap=2))
    same = {role: np.repeat(a[:1], 3, 0) for role, a in one.inputs.items()}
    equal = Call(same, 3, 7, layout=one.layout)
    with opened(target) as sandbox:
        for made, outcome in zip([one, equal], sandbox.run([one, equal]), strict=True):
            assert outcome.status == "ok"
            assert outcome.output is not None
            assert outcome.output.dtype == np.float32
            assert np.allclose(outcome.output, right(made))
            assert outcome.changed == ()


def test_views_lie_in_memory_as_they_are_called() -> None:
    """Strides are those of the view's name, for equal rows also the broadcast one's."""
    seen = []

    def look(x: Array) -> Array:
        assert x.flags.writeable
        seen.append((x.strides, x.ctypes.data % 4096))
        return x.copy()

    x = np.ones((3, 5), np.float32)
    calls = [Call({"x": x}, 3, 5, layout=Layout(view=view)) for view in VIEWS]  # type: ignore[arg-type]
    calls += [Call({"x": x}, 3, 5, layout=Layout(gap=2, offset=o)) for o in (0, 1)]
    with opened(look, op="softmax", array="numpy") as sandbox:
        assert all(o.status == "ok" for o in sandbox.run(calls))
    strides = [s for s, _ in seen]
    assert strides == [(20, 4), (40, 8), (4, 12), (-20, -4), (0, 4), (28, 4), (28, 4)]
    assert (seen[6][1] - seen[5][1]) % 4 == 0


@pytest.mark.parametrize("target", both("writes_input"))
@pytest.mark.parametrize("view", VIEWS)
def test_a_written_input_is_told(target: Any, view: Any) -> None:
    """The bytes are compared after the call, and the inputs are whole again for the next."""
    one = call(5, 1, layout=Layout(view=view))
    with opened(target) as sandbox:
        for outcome in sandbox.run([one, one]):
            assert outcome.changed == ("dy",)
            assert np.allclose(outcome.output, right(one))  # type: ignore[arg-type]


@pytest.mark.parametrize("target", both("reuses_output"))
def test_a_reused_output_is_told(target: Any) -> None:
    """A result that the next call overwrites is a copy here, and the reuse is said."""
    again = "the array returned before was returned again"
    calls = [call(4), call(4, 3), call(6), call(6)]
    with opened(target) as sandbox:
        outcomes = sandbox.run(calls)
    assert [o.reused for o in outcomes] == ["", "", "", again]  # with the same numbers
    with opened(target) as sandbox:
        calls = [call(4, seed=seed) for seed in range(3)]
        outcomes = sandbox.run(calls)
    assert [o.reused for o in outcomes] == ["", *["the array returned before was overwritten"] * 2]
    for one, outcome in zip(calls, outcomes, strict=True):
        assert np.allclose(outcome.output, right(one))  # type: ignore[arg-type]


def test_returning_an_input_is_no_reuse() -> None:
    """An input that comes back as the result is refilled by us, not by the callable."""
    with opened(lambda y, dy: dy) as sandbox:
        outcomes = sandbox.run([call(4, seed=seed) for seed in range(3)])
    assert not any(o.reused for o in outcomes)


def test_an_array_that_nobody_may_write_to_may_be_returned_again() -> None:
    """What a cache gives, read-only, does not depend on who had it before."""
    kept: dict[bytes, Array] = {}

    def caches(y: Array, dy: Array) -> Array:
        key = y.tobytes() + dy.tobytes()
        if key not in kept:
            kept[key] = y * (dy - (y * dy).sum(1, keepdims=True))
            kept[key].flags.writeable = lent
        return kept[key]

    for lent in (False, True):
        kept.clear()
        with opened(caches, array="numpy") as sandbox:
            outcomes = sandbox.run([call(4, seed=seed) for seed in (1, 2, 3, 1)])
        assert [bool(o.reused) for o in outcomes] == [False, False, False, lent]


@pytest.mark.parametrize(
    "change",
    [
        lambda x: setattr(x, "shape", (x.size,)),
        lambda x: x.setflags(write=False),
        lambda x: setattr(x, "dtype", np.int32),
    ],
    ids=["shape", "flags", "dtype"],
)
def test_an_input_that_looks_otherwise_is_changed(change: Any) -> None:
    """An array's form is its owner's, too; the next call gets another one."""

    def changes(x: Array) -> Array:
        y = np.zeros_like(x)
        change(x)
        return y

    one = Call({"x": np.ones((1, 3), np.float32)}, 1, 3)
    with opened(changes, op="softmax", array="numpy") as sandbox:
        outcomes = sandbox.run([one, one])
    assert [(o.status, o.changed) for o in outcomes] == [("ok", ("x",))] * 2


def test_one_shape_and_layout_mean_one_object() -> None:
    """Calls of one shape and layout get the same array again, so caches by identity are met."""
    kept: dict[int, Array] = {}

    def caches(y: Array, dy: Array) -> Array:
        if id(y) not in kept:
            kept[id(y)] = y * (dy - (y * dy).sum(1, keepdims=True))
        return kept[id(y)].copy()

    with opened(caches, array="numpy") as sandbox:
        a, b = sandbox.run([call(4, seed=1), call(4, seed=2)])
    assert np.array_equal(a.output, b.output)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "dtype"),
    [
        ("softjac:reference", "float64"),
        *(("live", dtype) for dtype in ("float32", "float64", "bfloat16", "float16")),
    ],
)
def test_jax_callables_keep_the_dtype(target: str, dtype: str) -> None:
    """JAX sees arrays of the dtype that was asked for, float64 among them."""
    storage = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    row = np.array([[0.25, 0.5, 0.25]] * 2, storage)
    one = Call({"y": row, "dy": row}, 2, 3)
    live: Any = module(JAX_FILE).with_jax
    with opened(live if target == "live" else target, dtype=dtype, array="jax") as sandbox:
        output = sandbox.run([one])[0].output
    assert output is not None
    assert output.dtype == storage
    assert np.allclose(output.astype(float), right(one), atol=1e-3)


def test_an_array_that_was_donated_is_changed_unless_it_is_empty() -> None:
    """The caller's array has no memory any more; one without elements had none before."""
    calls = [Call({"x": np.ones(shape, np.float32)}, *shape) for shape in ((2, 3), (0, 3), (2, 3))]
    with opened(f"{JAX_FILE}:donates", op="softmax", array="jax") as sandbox:
        outcomes = sandbox.run(calls)
    assert [outcome.status for outcome in outcomes] == ["ok"] * 3
    assert [outcome.changed for outcome in outcomes] == [("x",), (), ("x",)]
    assert not any(outcome.reused for outcome in outcomes)


@pytest.mark.parametrize("target", both("needs_jax", JAX_FILE))
def test_the_kind_of_array_is_found_out(target: Any) -> None:
    """A callable that takes JAX arrays alone is given JAX arrays."""
    with opened(target, op="softmax") as sandbox:
        outcome = sandbox.run([Call({"x": np.zeros((2, 4), np.float32)}, 2, 4)])[0]
    assert outcome.status == "ok"
    assert (outcome.output == 0.25).all()  # type: ignore[union-attr]


@needs_torch
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_torch_callables_get_tensors_on_the_same_layouts(dtype: str) -> None:
    """A callable that takes tensors alone is given tensors, of every dtype and view."""
    storage = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    with opened(module(TORCH_FILE).with_torch, dtype=dtype) as sandbox:
        for view in VIEWS:
            one = call(6, dtype=storage, layout=Layout(view=view))  # type: ignore[arg-type]
            first, second = sandbox.run([one, one])
            assert first.status == "ok"
            assert first.output is not None
            assert first.output.dtype == storage
            assert np.allclose(first.output.astype(float), right(one), atol=0.05)
            assert np.array_equal(first.output, second.output)  # type: ignore[arg-type]
            assert (first.changed, second.changed, second.reused) == ((), (), "")


def test_what_is_no_array_is_told() -> None:
    """Numbers of NumPy count as arrays; lists, tuples and None do not."""
    assert to_numpy(np.float32(2))[0] == 2
    for value, name in [([1], "list"), ((1,), "tuple"), (None, "NoneType"), (1.5, "float")]:
        assert to_numpy(value) == (None, f"returned {name}, expected an array")


def test_memory_around_a_view_is_watched() -> None:
    """A write beside the elements of a strided view is a change of that input."""
    arrays = Arrays()
    values = np.ones((2, 3), np.float32)
    layout = Layout(view="strided")
    given = arrays.give("numpy", "x", values, layout)
    assert not arrays.is_changed("numpy", "x", values, layout)
    given = arrays.give("numpy", "x", values, layout)
    np.lib.stride_tricks.as_strided(given, (2, 6), (24, 4))[0, 1] = 5
    assert arrays.is_changed("numpy", "x", values, layout)


def test_what_is_kept_of_earlier_calls_ends_with_their_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The oldest arrays make room, never those of the call that is being made."""
    monkeypatch.setattr("softjac.oracle.calls.arrays._KEPT_BYTES", 1100)
    arrays, layout = Arrays(), Layout()
    old, values = np.ones((2, 100), np.float32), np.ones((1, 60), np.float32)
    first = arrays.give("numpy", "y", old, layout)
    for role in ("y", "dy"):
        arrays.give("numpy", role, values, layout)
    for role in ("y", "dy"):
        assert not arrays.is_changed("numpy", role, values, layout)
    again = [arrays.give("numpy", "dy", values, layout) for _ in range(2)]
    assert again[0] is again[1]
    assert arrays.give("numpy", "y", old, layout) is not first
