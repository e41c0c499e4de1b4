"""The kernels' face for NumPy arrays: layouts, errors, threads, a missing library."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

import softjac
from softjac import native
from softjac.native import _library

TWO = (
    "softmax_vjp",
    "softmax_jvp",
    "softmax_vjp_from_logits",
    "log_softmax_vjp",
    "log_softmax_jvp",
)


def logits(*shape: int, dtype: Any = np.float32) -> Any:
    """Random logits."""
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


def layouts(x: Any) -> dict[str, Any]:
    """One array lying in memory in many ways."""
    big = np.zeros((x.shape[0], x.shape[1], x.shape[2] * 2 + 3), x.dtype)
    big[..., 1 : 1 + x.shape[2]] = x
    every_other = np.repeat(x, 2, axis=-1)
    odd = np.frombuffer(bytearray(b"\0" + x.tobytes()), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    swapped = np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1)
    return {
        "dense": x,
        "with gaps": big[..., 1 : 1 + x.shape[2]],
        "every other class": every_other[..., ::2],
        "Fortran order": np.asfortranarray(x),
        "classes reversed": np.ascontiguousarray(x[..., ::-1])[..., ::-1],
        "rows reversed": np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
        "leading axes swapped": swapped,
        "not aligned": odd,
        "read-only": np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
def test_layout_does_not_matter(dtype: Any) -> None:
    """Inputs of any layout, and outputs of any writable one, give the bits of dense arrays."""
    x, t = logits(3, 4, 17, dtype=dtype), logits(3, 4, 17, dtype=dtype)[::-1].copy()
    for op in ("softmax", "log_softmax", *TWO, "softmax_jacobian"):
        function = getattr(native, op)
        inputs = (x, t) if op in TWO else (x,)
        want = function(*inputs)
        for name, view in layouts(x).items():
            assert function(view, *inputs[1:]).tobytes() == want.tobytes(), (op, name)
        if op == "softmax_jacobian":
            continue
        for name, out in layouts(np.zeros_like(x)).items():
            if out.flags.writeable:
                assert function(*inputs, out=out) is out
                assert out.tobytes() == want.tobytes(), (op, name)


def test_nothing_is_written_between_rows() -> None:
    """The gaps of an output with gaps stay as they were."""
    big = np.full((4, 30), 7, np.float32)
    native.softmax(logits(4, 17), out=big[:, 5:22])
    assert np.all(big[:, :5] == 7)
    assert np.all(big[:, 22:] == 7)


def test_out_may_be_an_input_or_overlap_one() -> None:
    """In place, and with an output that lies across an input, the result is the same."""
    x = logits(6, 20)
    want = native.softmax(x)
    same = x.copy()
    assert native.softmax(same, out=same) is same
    assert same.tobytes() == want.tobytes()
    memory = np.zeros(6 * 20 + 7, np.float32)
    across_in, across_out = memory[:120].reshape(6, 20), memory[7:].reshape(6, 20)
    across_in[...] = x
    assert native.softmax(across_in, out=across_out).tobytes() == want.tobytes()


@pytest.mark.parametrize("shape", [(0,), (0, 5), (5, 0), (2, 0, 3)])
def test_empty_arrays_give_empty_arrays(shape: tuple[int, ...]) -> None:
    """No rows or no classes is no error."""
    x = np.zeros(shape, np.float32)
    assert native.softmax(x).shape == shape
    assert native.softmax_vjp(x, x).shape == shape
    assert native.softmax_jacobian(x).shape == (*shape, shape[-1])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: native.softmax([1.0, 2.0]), "x: expected a NumPy or JAX array, got list"),
        (lambda x: native.softmax(x.astype(int)), "x: expected dtype float32, .* got int64"),
        (lambda x: native.softmax(x.astype(">f4")), "native byte order, got >f4"),
        (lambda x: native.softmax(x[0, 0]), "x: expected a NumPy or JAX array, got float32"),
        (lambda x: native.softmax(np.array(x[0, 0])), "expected shape .*got a scalar"),
        (
            lambda x: native.softmax(x, out=x[:1]),
            r"out: .* shape \(2, 3\) .* got \(1, 3\)",
        ),
        (lambda x: native.softmax(x, out=x.astype("f8")), "float32, got .* float64"),
        (lambda x: native.softmax(x, out=np.broadcast_to(x, (2, 3))), "out: expected a writable"),
        (lambda x: native.softmax(x, out=1), "out: expected an array .* got int"),
        (lambda x: native.softmax_vjp(x, x[:1]), r"dy: expected the shape .* of y, \(2, 3\)"),
        (lambda x: native.softmax_jvp(x, x.astype("f8")), "x_dot: expected the shape and dtype"),
        (lambda x: native.cross_entropy(x, np.array([1])), r"labels of shape \(2,\), got \(1,\)"),
        (lambda x: native.cross_entropy(x[:, :0], np.array([1, 1])), "at least one class"),
        (lambda x: native.set_threads(0), "count: expected 1 or more threads, got 0"),
    ],
)
def test_wrong_arguments_are_named(call: Any, message: str) -> None:
    """An error says which argument, what was expected, and what came."""
    with pytest.raises(softjac.ArgumentError, match=message):
        call(logits(2, 3))


def test_label_outside_the_classes_is_refused() -> None:
    """A label that is no class is an error, whichever way it is outside."""
    for label in (-1, 3):
        with pytest.raises(softjac.SoftjacError, match="a label is not one of 0 to n - 1"):
            native.cross_entropy(logits(2, 3), np.array([0, label]))


def test_callers_in_many_threads_do_not_disturb_each_other() -> None:
    """Calls that overlap in time, each with threads of its own, give what they give alone."""
    inputs = [logits(1000, 301 + i) for i in range(6)]
    wants = [native.softmax(x).tobytes() for x in inputs]
    gots: list[Any] = [None] * len(inputs)

    def work(i: int) -> None:
        for _ in range(20):
            gots[i] = native.softmax(inputs[i]).tobytes()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert gots == wants


def test_idle_helpers_fall_asleep() -> None:
    """Threads that wait for a next call stop looking out for it: a pause takes no time."""
    native.set_threads(4)
    try:
        native.softmax(logits(3000, 500))
        time.sleep(0.1)
        before = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - before < 0.1
    finally:
        native.set_threads(_library.available_threads())


def _digest(connection: Any) -> None:
    """In a forked child: a call large enough for threads."""
    connection.send(native.softmax(logits(3000, 500)).tobytes())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_threads_survive_a_fork() -> None:
    """A child forked after the parent used threads uses threads of its own, and does not hang."""
    native.set_threads(3)
    try:
        want = native.softmax(logits(3000, 500)).tobytes()
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_digest, args=(sender,))
        child.start()
        assert receiver.poll(60), "the forked child hangs"
        assert receiver.recv() == want
        child.join(10)
        assert child.exitcode == 0
    finally:
        native.set_threads(_library.available_threads())


def test_environment_variable_must_name_an_isa_of_this_processor() -> None:
    """SOFTJAC_FORCE_ISA with another word is an error that says what it may be."""
    code = "from softjac import native; native.isa()"
    environment = {"SOFTJAC_FORCE_ISA": "sse9", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "LibraryMissingError" in done.stderr
    assert "must be portable, avx2 or avx512" in done.stderr


def test_without_the_library_all_else_works(tmp_path: Path) -> None:
    """A copy of the package without the library imports, computes, and says how to build it."""
    source = Path(softjac.__file__).parent
    ignored = shutil.ignore_patterns("libsoftjac*", "_abi.py", "__pycache__")
    shutil.copytree(source, tmp_path / "softjac", ignore=ignored)
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import softjac, jax.numpy as jnp, numpy as np\n"
        "assert softjac.softmax(jnp.zeros(2))[0] == 0.5\n"
        "from softjac import native\n"
        "try: native.softmax(np.zeros(2))\n"
        "except softjac.LibraryMissingError as error: assert 'make lib' in str(error), error\n"
        "else: raise SystemExit('no error')\n"
        "with warnings.catch_warnings(record=True) as found:\n"
        "    warnings.simplefilter('always')\n"
        "    assert native.softmax(jnp.zeros(2))[0] == 0.5\n"
        "    assert native.softmax(jnp.zeros(3))[0] == np.float32(1 / 3)\n"
        "assert [str(w.message)[:35] for w in found] == ['softjac.native runs as pure JAX, wi']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_scale_that_is_traced_is_named() -> None:
    """With NumPy arrays, too, a scale that is not known while tracing is an error that says so."""
    x = np.ones((2, 3), np.float32)
    for function in (
        lambda c: native.softmax(x, scale=c),
        lambda c: native.softmax_vjp(x, x, scale=c),
        lambda c: native.softmax_jacobian(x, scale=c),
        lambda c: native.cross_entropy(x, x, scale=c),
    ):
        with pytest.raises(softjac.ArgumentError, match="scale: expected a number known while"):
            jax.jit(function)(2.0)
