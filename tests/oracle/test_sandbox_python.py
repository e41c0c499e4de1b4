"""The sandbox for Python: in a child process where importable, in a thread where live."""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from softjac._errors import CandidateError
from softjac.oracle import python_sandbox
from softjac.oracle.arrays import Arrays, to_numpy
from softjac.oracle.call import Call, Layout, Outcome
from softjac.oracle.candidate import load, open_sandbox
from softjac.oracle.sandbox import Sandbox

Array = np.ndarray[Any, np.dtype[Any]]

HERE = Path(__file__).parent
FILE = str(HERE / "hostile_callables.py")
JAX_FILE = str(HERE / "jax_callables.py")
TORCH_FILE = str(HERE / "torch_callables.py")
VIEWS = ("contiguous", "strided", "transposed", "reversed", "broadcast")
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)


def module(file: str = FILE) -> Any:
    """A file of callables, as a module here."""
    specification = importlib.util.spec_from_file_location(Path(file).stem, file)
    assert specification is not None
    assert specification.loader is not None
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    return loaded


@contextmanager
def opened(
    target: str | Callable[..., Any], op: str = "softmax_vjp", timeout: float = 20.0, **options: Any
) -> Iterator[Sandbox]:
    """A sandbox with a callable in it."""
    with open_sandbox(load(target, op=op, **options), timeout=timeout) as sandbox:
        yield sandbox


def both(name: str, file: str = FILE) -> list[str | Callable[..., Any]]:
    """A callable by its file, for a child process, and live."""
    return [f"{file}:{name}", getattr(module(file), name)]


def call(n: int, rows: int = 2, seed: int = 0, dtype: Any = np.float32, **options: Any) -> Call:
    """A call with inputs that follow from its size and seed."""
    random = np.random.default_rng([n, rows, seed])
    y, dy = random.random((2, rows, n)).astype(dtype)
    return Call({"y": y, "dy": dy}, rows, n, **options)


def right(one: Call) -> Array:
    """What the callable should give."""
    y, dy = (one.inputs[role].astype(np.float64) for role in ("y", "dy"))
    return np.asarray(y * (dy - (y * dy).sum(1, keepdims=True)))


HOSTILE = [
    (5, "raised", "ValueError: no fives"),
    (6, "exit", "SystemExit: 3"),
    (7, "raised", "KeyboardInterrupt"),
    (8, "hang", "no end within"),
    (10, "ok", "returned list, expected an array"),
    (11, "ok", "returned NoneType, expected an array"),
]
ENDING = [(12, "exit", "exit status 4"), (13, "fault", "SIGSEGV"), (14, "hang", "no end within")]


@pytest.mark.parametrize("where", ["child", "live"])
def test_each_call_has_its_own_outcome(where: str) -> None:
    """Exceptions, exits, hangs and results of a wrong type cost one call, blamed on it alone."""
    hostile = HOSTILE + (ENDING if where == "child" else [])
    calls = [call(n) for m, *_ in hostile for n in (m, 4)]
    target = both("hostile")[where == "live"]
    with opened(target, timeout=0.7) as sandbox:
        outcomes = sandbox.run(calls)
    assert len(outcomes) == len(calls)
    for (_, status, message), bad, good in zip(hostile, outcomes[::2], outcomes[1::2], strict=True):
        assert bad.status == status
        assert message in bad.message
        assert bad.output is None
        assert good.status == "ok"
        assert np.allclose(good.output, right(call(4)))  # type: ignore[arg-type]


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
    calls = [call(4), call(4, 3), call(6), call(6)]
    with opened(target) as sandbox:
        outcomes = sandbox.run(calls)
    assert [o.reused for o in outcomes] == [False, False, False, False]
    with opened(target) as sandbox:
        calls = [call(4, seed=seed) for seed in range(3)]
        outcomes = sandbox.run(calls)
    assert [o.reused for o in outcomes] == [False, True, True]
    for one, outcome in zip(calls, outcomes, strict=True):
        assert np.allclose(outcome.output, right(one))  # type: ignore[arg-type]


def test_returning_an_input_is_no_reuse() -> None:
    """An input that comes back as the result is refilled by us, not by the callable."""
    with opened(lambda y, dy: dy) as sandbox:
        outcomes = sandbox.run([call(4, seed=seed) for seed in range(3)])
    assert not any(o.reused for o in outcomes)


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


def test_empty_arrays_may_be_refused() -> None:
    """Raising on an empty array is a refusal, not a failure."""

    def strict(x: Array) -> Array:
        if x.size == 0:
            raise ValueError("empty")
        return x

    calls = [Call({"x": np.ones(s, np.float32)}, *s) for s in ((0, 3), (2, 0), (0, 0), (1, 1))]
    with opened(strict, op="softmax") as sandbox:
        outcomes = sandbox.run(calls)
    assert [o.status for o in outcomes] == ["refused"] * 3 + ["ok"]
    assert outcomes[0].message == "ValueError: empty"


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


@pytest.mark.parametrize("target", both("needs_jax", JAX_FILE))
def test_the_kind_of_array_is_found_out(target: Any) -> None:
    """A callable that takes JAX arrays alone is given JAX arrays."""
    with opened(target, op="softmax") as sandbox:
        outcome = sandbox.run([Call({"x": np.zeros((2, 4), np.float32)}, 2, 4)])[0]
    assert outcome.status == "ok"
    assert (outcome.output == 0.25).all()  # type: ignore[union-attr]


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
            assert (first.changed, second.changed, second.reused) == ((), (), False)


@pytest.mark.parametrize("target", both("shares_buffer"))
def test_threads_start_together(target: Any) -> None:
    """Each thread has arrays of its own, and a buffer shared by callers shows."""
    calls = [call(1000, 1, seed) for seed in range(3)]

    def are_right(calls: list[Call], outcomes: list[Outcome]) -> list[bool]:
        assert {o.status for o in outcomes} == {"ok"}
        outputs: list[Any] = [o.output for o in outcomes]
        return [
            np.allclose(output, right(one), atol=1e-4)
            for one, output in zip(calls, outputs, strict=True)
        ]

    with opened(target) as sandbox:
        together = sandbox.run_threads(calls, rounds=3)
        assert all(are_right(calls, sandbox.run(calls)))
    assert len(together) == 9
    assert not all(are_right(calls * 3, together))


@pytest.mark.parametrize("target", both("hostile"))
def test_a_hang_of_threads_is_survived(target: Any) -> None:
    """Where threads do not end, all their calls are told to hang, and others can be made."""
    with opened(target, timeout=0.7) as sandbox:
        assert [o.status for o in sandbox.run_threads([call(4), call(8)])] == ["hang"] * 2
        assert sandbox.run([call(4)])[0].status == "ok"


@pytest.mark.parametrize("target", both("leaves_things"))
def test_growth_is_measured(target: Any) -> None:
    """Threads, descriptors and memory left behind are counted."""
    with opened(target) as sandbox:
        growth = sandbox.soak(call(4), 40)
    for event, descriptor, _ in getattr(target, "__globals__", {}).get("kept", []):
        event.set()
        os.close(descriptor)
    assert growth.calls == 40
    assert growth.threads == 40
    assert growth.descriptors == 40
    assert growth.memory_bytes > 40 * 50_000


def test_growth_of_a_callable_that_hangs_counts_its_calls() -> None:
    """Where the calls do not come back, none are counted."""
    for target in both("hostile"):
        with opened(target, timeout=0.5) as sandbox:
            assert sandbox.soak(call(8), 20).calls == 0


def test_an_endless_loop_is_left_and_does_not_go_on() -> None:
    """A live callable that loops is interrupted: no thread of it stays busy."""
    before = set(threading.enumerate())
    with opened(module().hostile, timeout=0.4) as sandbox:
        assert [o.status for o in sandbox.run([call(8), call(4), call(8)])] == [
            "hang", "ok", "hang",
        ]  # fmt: skip
        assert {o.status for o in sandbox.run_threads([call(4), call(8), call(8)])} == {"hang"}
    deadline = time.monotonic() + 30
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left


def test_flush_to_zero_is_told() -> None:
    """A callable that changes the floating-point environment is found out."""
    with opened(f"{FILE}:flushes") as sandbox:
        outcomes = sandbox.run([call(4), call(5), call(4)])
    assert [o.environment for o in outcomes] == [(), ("flush to zero",), ()]


def test_progress_is_told() -> None:
    """The callback hears of all calls in the end, in a child and live."""
    for target in both("right"):
        heard: list[int] = []
        with opened(target) as sandbox:
            sandbox.run([call(3)] * 700, progress=heard.append)
        assert heard == sorted(heard)
        assert heard[-1] == 700


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError"),
        ("def f(:", "SyntaxError"),
        ("raise RuntimeError('not today')", "RuntimeError: not today"),
        ("import sys; sys.exit(1)", "importing it exits"),
        ("import os; os._exit(5)", "exit status 5"),
        ("while True: pass", "takes more than"),
        ("f = 3", "is of type int, not a callable"),
        ("def ff(y, dy): return dy", "there is no f; did you mean ff?"),
    ],
)
def test_a_module_that_cannot_be_imported_is_an_error(
    text: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a module does when imported happens to the child, and is said in one line."""
    monkeypatch.setattr(python_sandbox, "_IMPORT_SECONDS", 2.0)
    file = tmp_path / "module.py"
    file.write_text(text)
    with pytest.raises(CandidateError) as error:
        load(f"{file}:f", op="softmax_vjp")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_modules_are_found_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dotted module is imported from where the command runs, methods and siblings included."""
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sibling.py").write_text("def twice(a): return a + a\n")
    (package / "kernels.py").write_text(
        "from mine.sibling import twice\n"
        "class Kernels:\n    @staticmethod\n    def f(y, dy): return twice(dy)\n"
    )
    monkeypatch.chdir(tmp_path)
    with opened("mine.kernels:Kernels.f") as sandbox:
        output = sandbox.run([call(4)])[0].output
    assert np.array_equal(output, call(4).inputs["dy"] * 2)  # type: ignore[arg-type]


def test_a_child_nobody_takes_over_ends_with_the_process() -> None:
    """After loading alone, no process stays behind."""
    code = (
        "from softjac.oracle.candidate import load; from softjac.oracle import python_sandbox\n"
        f"load({FILE + ':right'!r}, op='softmax_vjp')\n"
        "print(next(iter(python_sandbox._spare.values()))._process.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(f"/proc/{int(done.stdout)}").exists()


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
