"""One result for one input: the same bits on every path through the library."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from native_isas import (
    DTYPES,
    FORWARD,
    ISAS,
    JACOBIANS,
    OPS,
    PRODUCTS,
    available,
    library,
    operands,
    run,
)

from softjac import native

LARGE = (511, 1000, 1024, 1025, 4097, 8192, 8193, 20000, 70001)


def bits(array: Any) -> bytes:
    """An array's bytes."""
    return np.ascontiguousarray(array).tobytes()


@pytest.mark.parametrize("isa", ISAS[1:])
@pytest.mark.parametrize("suffix", DTYPES)
def test_every_isa_gives_the_portable_bits(isa: str, suffix: str) -> None:
    """Each ISA agrees with plain C in every op, at all small and some large sizes, scaled too.

    Every fifth batch has logits so far apart that most probabilities are subnormal or 0.
    """
    if library(isa) is None:
        pytest.skip(f"this processor has no {isa}; it has {', '.join(available())}")
    for op in OPS:
        sizes = range(1, 70) if op in JACOBIANS else (*range(1, 301), *LARGE)
        for n in sizes:
            scale = 1.0 if n % 3 else 0.37
            spread = 3.0 if n % 5 else 60.0
            inputs = operands(op, 4 if n < 300 else 3, n, suffix, spread=spread)
            got = run(library(isa), op, *inputs, scale=scale)
            want = run(library("portable"), op, *inputs, scale=scale)
            assert bits(got) == bits(want), (op, n)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("suffix", ["f32", "f64"])
@pytest.mark.parametrize(("rows", "n"), [(6000, 100), (1050, 530), (701, 1001), (41, 20003)])
def test_results_beyond_the_caches_have_the_bits_of_rows_alone(
    rows: int, n: int, suffix: str, isa: str
) -> None:
    """Rows of a result that is written past the caches, in any order of passes, in place or not."""
    lib = library(isa)
    if lib is None:
        pytest.skip(f"no {isa} here")
    for op in FORWARD + PRODUCTS:
        inputs = operands(op, rows, n, suffix)
        if op == "softmax":
            inputs[0][rows // 2] = np.nan
        want = run(lib, op, *inputs)
        for r in {0, 1, 2, 3, rows // 3, rows // 2, rows // 2 + 1, rows - 2, rows - 1}:
            alone = [array[r : r + 1].copy() for array in inputs]
            assert bits(run(lib, op, *alone)) == bits(want[r : r + 1]), (op, r)
        if isa != "portable":
            assert bits(run(lib, op, *inputs, out=inputs[-1])) == bits(want), op


@pytest.mark.parametrize("isa", ISAS[1:])
@pytest.mark.parametrize("op", JACOBIANS)
def test_jacobians_beyond_the_caches_have_the_portable_bits(op: str, isa: str) -> None:
    """A matrix that is written past the caches is the one of plain C, at an odd length too."""
    if library(isa) is None:
        pytest.skip(f"no {isa} here")
    for suffix, n in (("f32", 2053), ("f64", 1500)):
        inputs = operands(op, 1, n, suffix)
        want = run(library("portable"), op, *inputs)
        assert bits(run(library(isa), op, *inputs)) == bits(want)


@pytest.mark.parametrize("op", FORWARD + PRODUCTS)
@pytest.mark.parametrize("suffix", DTYPES)
def test_batch_alignment_stride_and_aliasing_do_not_matter(op: str, suffix: str) -> None:
    """A row gives the same bits alone, shifted in memory, between gaps, reversed, and in place."""
    lib = library()
    for n in (1, 2, 7, 8, 9, 10, 31, 64, 65, 128, 300, 1023, 9000):
        inputs = operands(op, 19, n, suffix)
        want = run(lib, op, *inputs)
        for r in range(19):
            assert bits(run(lib, op, *(a[r : r + 1] for a in inputs))) == bits(want[r]), n
        gapped = [np.zeros((19, n + 5), a.dtype) for a in (*inputs, want)]
        for shift in range(4):
            views = [g[:, shift : shift + n] for g in gapped]
            for view, array in zip(views, inputs, strict=False):
                view[...] = array
            assert bits(run(lib, op, *views[:-1], out=views[-1])) == bits(want), (n, shift)
            assert np.all(gapped[-1][:, shift + n :] == 0) or shift, "written beyond the row"
            gapped[-1][...] = 0
        reverse = run(lib, op, *(a[::-1] for a in inputs), out=np.empty_like(want)[::-1])
        assert bits(reverse) == bits(want[::-1]), n
        for place in range(len(inputs)):
            copies = [a.copy() for a in inputs]
            assert bits(run(lib, op, *copies, out=copies[place])) == bits(want), (n, place)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", FORWARD + PRODUCTS)
def test_short_rows_that_are_not_finite_leave_the_others_alone(op: str, isa: str) -> None:
    """Short rows go many at once: NaN and infinities in some change no bit of the others."""
    lib = library(isa)
    if lib is None:
        pytest.skip(f"no {isa} here")
    random = np.random.default_rng(5)
    for suffix in ("f32", "f64"):
        for n in (1, 2, 3, 8, 10, 16):
            inputs = operands(op, 40, n, suffix)
            for array in inputs:
                odd = random.random(array.shape) < 0.02
                array[odd] = random.choice([np.nan, np.inf, -np.inf], odd.sum())
            want = run(lib, op, *inputs)
            for r in range(40):
                assert bits(run(lib, op, *(a[r : r + 1] for a in inputs))) == bits(want[r]), (n, r)


@pytest.mark.parametrize("op", OPS)
def test_threads_do_not_matter(op: str) -> None:
    """Any number of threads gives the bits of one, for many rows and for one long row.

    Results of 157 KB get helpers only where calls follow each other.
    """
    lib = library()
    shapes = [(3, 300)] if op in JACOBIANS else [(130, 301), (999, 301), (5, 60_001), (2, 300_001)]
    try:
        for rows, n in shapes:
            inputs = operands(op, rows, n, "f32")
            lib.softjac_set_threads(1)
            want = run(lib, op, *inputs)
            for threads in (2, 3, 7):
                lib.softjac_set_threads(threads)
                for again in range(3):
                    assert bits(run(lib, op, *inputs)) == bits(want), (rows, n, threads, again)
    finally:
        lib.softjac_set_threads(1)


@pytest.mark.parametrize("suffix", DTYPES)
@pytest.mark.parametrize("op", OPS)
def test_jit_gives_the_bits_of_numpy(op: str, suffix: str) -> None:
    """Inside jit, where XLA flushes subnormals, a kernel gives the bits it gives NumPy."""
    function = getattr(native, op)
    with jax.enable_x64(True):
        jitted = jax.jit(function)
        for n in (1, 10, 129) if op in JACOBIANS else (1, 10, 129, 1000):
            inputs = operands(op, 5, n, suffix, spread=30)
            want = function(*inputs)
            got = jitted(*(jax.numpy.asarray(a) for a in inputs))
            assert bits(got) == bits(want), n
            assert got.dtype == want.dtype


def test_subnormal_results_survive_in_jit() -> None:
    """Probabilities below the smallest normal number come out of jit as they do of NumPy."""
    x = np.array([[0.0, -90.0, -95.0, -103.0]], np.float32)
    got = np.asarray(jax.jit(native.softmax)(x))
    assert got[0, 3] == np.float32(np.exp(-103.0)) > 0
    assert bits(got) == bits(native.softmax(x))


def numbers(count: int, seed: int) -> Any:
    """Dyadic numbers in [-8, 8) from a congruential generator, the same everywhere."""
    state, values = seed, []
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        values.append((state >> 11) / 2**16 - 8)
    return np.array(values)


def golden_result(op: str, suffix: str, n: int) -> Any:
    """What the golden file holds: two rows of an op on `numbers`, through softmax where it must."""
    x, t = numbers(2 * n, n).reshape(2, n), numbers(2 * n, n + 1).reshape(2, n)
    x, t = x.astype(DTYPES[suffix]), t.astype(DTYPES[suffix])
    lib = library()
    first = x
    if op not in (*FORWARD, "softmax_vjp_from_logits"):
        first = run(lib, "log_softmax" if op.startswith("log_") else "softmax", x)
    return run(lib, op, first, t) if op in PRODUCTS else run(lib, op, first)


def golden_record() -> dict[str, Any]:
    """Bits in hexadecimal: all of them for n = 3, a digest beyond."""
    record: dict[str, Any] = {}
    for op in OPS:
        for suffix in DTYPES:
            for n in (3, 10, 100) if op in JACOBIANS else (3, 10, 100, 1000, 20000):
                data = golden_result(op, suffix, n)
                words = np.ascontiguousarray(data).view(f"<u{data.itemsize}").ravel()
                text = [f"{int(word):0{2 * data.itemsize}x}" for word in words]
                digest = hashlib.sha256(words.tobytes()).hexdigest()
                record[f"{op} {suffix} {n}"] = " ".join(text) if n == 3 else digest
    return record


def test_bits_are_those_of_the_golden_file() -> None:
    """The bits are the ones recorded, so that they can serve as golden data elsewhere.

    After an intended change: python tests/native/test_native_bits.py, and a line in the changelog.
    """
    golden = json.loads(Path(__file__).with_name("golden.json").read_text())
    found = golden_record()
    assert {key: found[key] for key in found if found[key] != golden.get(key)} == {}
    assert found.keys() == golden.keys()


if __name__ == "__main__":
    text = json.dumps(golden_record(), indent=1) + "\n"
    Path(__file__).with_name("golden.json").write_text(text)
