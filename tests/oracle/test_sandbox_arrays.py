"""The sandbox for C: where arrays lie, and what is written in and around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hostile import HERE, blamed, call, opened

from softjac._errors import ArgumentError
from softjac.oracle.calls import guard
from softjac.oracle.calls.call import Call, Fault, Layout
from softjac.oracle.candidate import load, open_sandbox
from softjac.oracle.sandbox import Sandbox


@pytest.mark.parametrize(
    ("name", "role"), [("writes_input", "y"), ("writes_and_restores_input", "dy")]
)
def test_a_written_input_is_told_and_the_call_goes_on(name: str, role: str) -> None:
    """Inputs lie on read-only pages: a write is noted even where it is undone, then let through."""
    outcome = blamed(name)
    assert outcome.status == "ok"
    assert outcome.changed == (role,)
    assert outcome.output is not None


@pytest.mark.parametrize(
    ("name", "offset"), [("writes_far_before", -100_000), ("writes_narrow_index", -(1 << 33))]
)
def test_a_far_write_is_caught(name: str, offset: int) -> None:
    """Even an index that overflows 32 bits hits a guard page, and is named."""
    assert blamed(name).fault == Fault("SIGSEGV", "write", "dx", offset)


POKE = "void poke(const float *y, const float *dy, float *dx, size_t rows, size_t n, double scale)"


def poked(offset: int, *, array: int, from_end: bool, layout: Layout, write: bool = True) -> Any:
    """The outcome of one access of four bytes by poke.c."""
    candidate = load(f"{HERE / 'poke.c'}:poke", op="softmax_vjp", prototype=POKE)
    code = (((offset + 4096) * 128 + 4) * 4 + array) * 4 + from_end * 2 + write
    with open_sandbox(candidate) as sandbox:
        return sandbox.run([call(6, 1, layout=layout, scale=float(code))])[0]


def test_a_write_that_meets_no_guard_page_is_found_by_its_canaries() -> None:
    """Between array and guard page, what is written is found afterwards, byte by byte."""
    for role, array in [("y", 0), ("dy", 1), ("dx", 2)]:
        far = Layout("start", offset=8)
        assert poked(7, array=array, from_end=True, layout=far).outside == ((role, 7),)
        assert poked(-9, array=array, from_end=False, layout=far).outside == ((role, -9),)
    outcome = poked(4, array=0, from_end=True, layout=Layout("start"), write=False)
    assert (outcome.status, outcome.outside, outcome.changed) == ("ok", (), ())


STRIDED = (
    "void f(const float *y, int ldy, const float *dy, long lddy, float *dx, size_t lddx, "
    "short rows, unsigned n)"
)
STRIDED_SOURCE = """
#include <stddef.h>
void f(const float *y, int ldy, const float *dy, long lddy, float *dx, size_t lddx,
       short rows, unsigned n) {
    for (short r = 0; r < rows; r++)
        for (unsigned i = 0; i < n; i++)
            dx[r * lddx + i] = y[r * ldy + i] + 2 * dy[r * lddy + i];
    if (n == 5)
        dx[lddx - 2] = 1; /* in the gap behind the first row */
}
"""


def test_row_strides_and_what_lies_between_rows(tmp_path: Path) -> None:
    """Rows lie `n + gap` apart, and what is written between them is told from the row's end."""
    source = tmp_path / "strided.c"
    source.write_text(STRIDED_SOURCE)
    candidate = load(f"{source}:f", op="softmax_vjp", prototype=STRIDED)
    assert candidate.strides == {"y", "dy", "dx"}
    calls = [call(n, 3, layout=Layout(side, gap=4)) for n in (6, 5) for side in ("end", "start")]
    with open_sandbox(candidate) as sandbox:
        outcomes = sandbox.run(calls)
    for one, outcome in zip(calls, outcomes, strict=True):
        assert np.array_equal(outcome.output, one.inputs["y"] + 2 * one.inputs["dy"])
        assert outcome.outside == ((("dx", 8),) if one.n == 5 else ())


def test_alignment_and_over_reading_are_as_claimed(tmp_path: Path) -> None:
    """Arrays are aligned as demanded, and an input may be read as far as allowed, no farther."""
    source = tmp_path / "far.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\nvolatile float sink;\n"
        "void f(const float *x, float *y, size_t n, double scale) {\n"
        "    uintptr_t at[2] = {(uintptr_t)x, (uintptr_t)y};\n"
        "    memcpy(y, at, sizeof at);\n"
        "    sink = ((const char *)(x + n))[(int)scale];\n}\n"
    )
    prototype = "void f(const float *x, float *y, size_t n, double scale)"
    x = np.zeros((1, 8), np.float32)
    read = [Call({"x": x}, 1, 8, scale=far) for far in (0, 15, 16, 31, 32)]
    at = [Call({"x": x}, 1, 8, layout=Layout(s, o)) for s in ("end", "start") for o in (0, 1, 9)]
    apart = Call({"x": x}, 1, 8, layout=Layout("start", 16, apart="y"))
    allowed = load(f"{source}:f", op="softmax", prototype=prototype, over_read=32)
    aligned = load(f"{source}:f", op="softmax", prototype=prototype, align=64, over_read=64)
    with open_sandbox(allowed) as sandbox:
        outcomes = sandbox.run(read)
        lying = sandbox.run([apart])[0].output.view(np.uint64)[0, :2]  # type: ignore
    assert [o.status for o in outcomes] == ["ok"] * 4 + ["fault"]
    assert [address % 64 for address in lying] == [0, 4]
    assert outcomes[-1].fault == Fault("SIGSEGV", "read", "x", 32)
    with open_sandbox(aligned) as sandbox:
        found = [o.output.view(np.uint64)[0, :2] for o in sandbox.run([*at, apart])]  # type: ignore
    assert all((pair % 64 == 0).all() for pair in found)


WIDE = """
#include <stddef.h>
void f(const float *x, float *y, size_t rows, size_t n) {
    for (size_t i = 0; i < rows * n; i += 64 * n) {
        y[i] = x[i] + 1;
        y[i + n - 1] = x[i + n - 1] + 1;
    }
    if (n == 3072)
        y[(int)(rows * n)] = 1; /* 2^31 and some, in 32 bits: far before the array */
    if (n == 4096)
        y[rows * n] = 1;
    if (n == 5120)
        ((float *)x)[rows * n - 1] = 1;
}
"""


@pytest.mark.parametrize("side", ["end", "start"])
def test_blocks_of_memory_make_arrays_of_many_gigabytes(side: Any, tmp_path: Path) -> None:
    """More than 2^31 elements cost one block of memory, and accesses outside are caught."""
    source = tmp_path / "wide.c"
    source.write_text(WIDE)
    prototype = "void f(const float *x, float *y, size_t rows, size_t n)"
    candidate = load(f"{source}:f", op="softmax", prototype=prototype)

    def wide(n: int) -> Call:
        x = np.arange(256 * n, dtype=np.float32).reshape(256, n)
        blocks = 2**31 // x.size + 2
        return Call({"x": x}, 256, n, layout=Layout(side, blocks=blocks))

    small = Call({"x": np.ones((1, 5), np.float32)}, 1, 5)
    with open_sandbox(candidate) as sandbox:
        plain, narrow, behind, written, after = sandbox.run(
            [wide(6144), wide(3072), wide(4096), wide(5120), small]
        )
        used = shared_bytes(sandbox)
        with pytest.raises(ArgumentError, match="expected arrays of whole pages"):
            sandbox.run([Call(small.inputs, 1, 5, layout=Layout(blocks=2))])
    assert plain.status == "ok"
    assert plain.output is not None
    assert (plain.output[::64, ::6143] == wide(6144).inputs["x"][::64, ::6143] + 1).all()
    assert narrow.fault is not None
    assert (narrow.status, narrow.fault.role) == ("fault", "y")
    assert narrow.fault.offset == -(2**33) + 4 * 256 * 3072 * 2 - (2**31 % (256 * 3072)) * 4
    assert behind.fault == Fault("SIGSEGV", "write", "y", 0)
    assert (written.status, written.changed) == ("ok", ("x",))
    assert after.status == "ok"
    assert used < 1 << 28


def shared_bytes(sandbox: Sandbox) -> int:
    """The memory behind the arrays of a sandbox's child."""
    child = sandbox._child  # type: ignore[attr-defined]
    files = Path(f"/proc/{child._process.pid}/fd").iterdir()
    memory = {f.stat().st_ino: f.stat() for f in files if "memfd:softjac" in str(f.readlink())}
    assert len(memory) == 2
    return sum(status.st_blocks * 512 for status in memory.values())


def addresses(sandbox: Sandbox, calls: list[Call]) -> list[list[int]]:
    """Where the arrays of the calls lay."""
    outcomes = sandbox.run(calls)
    outputs = [o.output for o in outcomes if o.output is not None]
    return [output.reshape(-1)[:6].view(np.uint64).tolist() for output in outputs]


def test_one_shape_and_layout_mean_one_address() -> None:
    """Calls of one shape and layout get the same addresses, another layout others."""
    layouts = [Layout(side, offset) for side in ("end", "start") for offset in (0, 1, 2)]
    with opened("tells_addresses") as sandbox:
        first, between, again = (
            addresses(sandbox, [call(n, layout=layout) for layout in layouts]) for n in (9, 900, 9)
        )
    assert first == again
    assert len({tuple(a) for a in first}) == len(layouts)
    assert between != first


def test_what_the_stack_held_before_depends_on_the_poison() -> None:
    """A result read from stack memory never written differs between the two poisons."""
    calls = [call(6, poison=poison) for poison in ("nan", "finite")]
    with opened("reads_fresh_stack") as sandbox:
        nan, finite = (o.output[0, 0] for o in sandbox.run(calls))  # type: ignore[index]
    assert np.isnan(nan)
    assert finite > 1e30


@pytest.mark.parametrize("layout", [Layout(apart="x"), Layout(alias=("dx", "x"))])
def test_a_layout_that_names_no_array_is_an_error(layout: Layout) -> None:
    """As in a replay string that belongs to another candidate."""
    with opened("honest") as sandbox, pytest.raises(ArgumentError, match="no array 'x'; it has y"):
        sandbox.run([call(4, layout=layout)])


def test_outputs_are_poisoned() -> None:
    """What a candidate does not write keeps the poison's bit pattern."""
    with opened("refuses") as sandbox:
        for kind in ("nan", "finite"):
            output = sandbox.run([call(5, poison=kind)])[0].output
            assert output is not None
            assert (output.view(np.uint32) == guard.POISON["float32"][kind]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_poison_is_a_nan_and_a_finite_number(dtype: str) -> None:
    """In every dtype one pattern is a NaN and the other a finite number far from any result."""
    number = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    words = {k: np.array(v, f"u{number.itemsize}") for k, v in guard.POISON[dtype].items()}
    assert np.isnan(words["nan"].view(number).astype(float))
    assert -1700 < words["finite"].view(number).astype(float) < -1600


def test_sixteen_bit_numbers_go_both_ways(tmp_path: Path) -> None:
    """bfloat16 and float16 arrays are passed as the bits they are."""
    source = tmp_path / "copy.c"
    source.write_text(
        "#include <stddef.h>\n#include <stdint.h>\nvoid f(const uint16_t *x, uint16_t *y, int n)"
        "{ for (int i = 0; i < n; i++) y[i] = x[n - 1 - i]; }\n"
    )
    prototype = "void f(const uint16_t *x, uint16_t *y, int n)"
    for dtype in (np.dtype(ml_dtypes.bfloat16), np.dtype(np.float16)):
        candidate = load(f"{source}:f", op="softmax", prototype=prototype, dtype=dtype.name)
        x = np.linspace(-3, 9, 21).astype(dtype)[None]
        with open_sandbox(candidate) as sandbox:
            output = sandbox.run([Call({"x": x}, 1, 21)])[0].output
        assert output is not None
        assert output.dtype == dtype
        assert (output == x[:, ::-1]).all()


def test_an_output_may_share_an_input_s_array() -> None:
    """With an alias the output is the input's array, and its change is no offence."""
    calls = [call(9, layout=Layout(side, alias=("dx", role)))
             for side in ("end", "start") for role in ("y", "dy")]  # fmt: skip
    with opened("tells_addresses") as sandbox:
        for one, (y, dy, dx) in zip(calls, addresses(sandbox, calls), strict=True):
            assert dx == {"y": y, "dy": dy}[one.layout.alias[1]]  # type: ignore[index]
        assert all(o.changed == o.outside == () for o in sandbox.run(calls))
