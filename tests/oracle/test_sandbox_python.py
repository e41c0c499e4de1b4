"""The sandbox for Python: in a child process where importable, in a thread where live."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from python_calls import FILE, JAX_FILE, Array, both, call, module, opened, right

from softjac._errors import CandidateError
from softjac.oracle.calls import python_sandbox
from softjac.oracle.calls.call import Call, Outcome
from softjac.oracle.calls.settings import put_back, settings
from softjac.oracle.candidate import load

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


@pytest.mark.parametrize("target", both("slow_to_compile", JAX_FILE))
def test_a_compiler_has_time_of_its_own(target: Any) -> None:
    """What JAX does for a new shape is no hang, but a loop of the callable's own is one."""
    with opened(target, timeout=0.4, array="jax") as sandbox:
        one, other = call(4), call(6)
        assert [o.status for o in sandbox.run([one, other, one])] == ["ok"] * 3
        begin = time.monotonic()
        endless = sandbox.run([call(5)])[0]
        assert (endless.status, endless.message[:19]) == ("hang", "no end within 0.4 s")
        assert "(jax_callables.py, line " in endless.message
        assert time.monotonic() - begin < 2.4
        begin = time.monotonic()
        late = sandbox.run([call(7)])[0]
        assert late.status == "compiling"
        assert late.message == "tracing or compiling takes more than 2.4 s"
        assert time.monotonic() - begin > 2.4


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


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda: np.seterr(over="raise"), "NumPy's error handling"),
        (gc.disable, "garbage collection"),
        (lambda: os.chdir("/"), "current folder"),
    ],
    ids=["errors", "collection", "folder"],
)
def test_a_setting_of_the_process_is_told_and_put_back(change: Any, what: str) -> None:
    """What a callable changes for everybody is found out, and does not reach the caller."""
    before = settings()

    def changes(y: Any, dy: Any) -> Any:
        change()
        return np.zeros_like(y)

    def changes_and_restores(y: Any, dy: Any) -> Any:
        found = settings()
        change()
        put_back(found)
        return np.zeros_like(y)

    with opened(changes) as sandbox:
        outcomes = sandbox.run([call(4), call(5)])
    assert [o.environment for o in outcomes] == [(what,)] * 2
    with opened(changes_and_restores) as sandbox:
        outcomes = sandbox.run([call(4), call(5)])
    assert [o.environment for o in outcomes] == [()] * 2
    assert settings() == before


@pytest.mark.parametrize(
    ("name", "dtype", "told"),
    [
        ("imports_jax", "float32", ()),
        ("imports_jax", "float64", ()),
        ("imports_jax_and_widens", "float32", ("JAX's 64-bit mode",)),
        ("imports_jax_and_widens", "float64", ()),
    ],
)
def test_importing_jax_in_a_call_is_no_change_of_its_mode(
    name: str, dtype: str, told: tuple[str, ...]
) -> None:
    """JAX starts in the mode that its variable says: 64 bits, in the child, for float64."""
    one = call(4, dtype=np.dtype(dtype))
    with opened(f"{FILE}:{name}", dtype=dtype, array="numpy") as sandbox:
        outcomes = sandbox.run([one, one])
    assert [o.environment for o in outcomes] == [told] * 2
    assert all(o.output is not None and o.output.dtype == dtype for o in outcomes)


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
        "from softjac.oracle.candidate import load\n"
        "from softjac.oracle.calls import python_sandbox\n"
        f"load({FILE + ':right'!r}, op='softmax_vjp')\n"
        "print(next(iter(python_sandbox._spare.values()))._process.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(f"/proc/{int(done.stdout)}").exists()
