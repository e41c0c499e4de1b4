"""The sandbox for C: whatever a candidate does, the parent survives and says what it was."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from softjac._errors import ArgumentError, CandidateError, SandboxError
from softjac.oracle import guard, native_sandbox
from softjac.oracle import sandbox as sandboxes
from softjac.oracle.call import Call, Fault, Layout, Outcome
from softjac.oracle.candidate import Candidate, load, open_sandbox
from softjac.oracle.sandbox import Sandbox

Array = np.ndarray[Any, np.dtype[Any]]

HERE = Path(__file__).parent
ON_X86 = platform.machine() == "x86_64"
only_x86 = pytest.mark.skipif(not ON_X86, reason="what only x86-64 has")


@functools.cache
def hostile(name: str) -> Candidate:
    """A function of hostile.c, which misbehaves at n = 5 alone."""
    prototype = f"int {name}(const float *y, const float *dy, float *dx, size_t rows, size_t n)"
    return load(f"{HERE / 'hostile.c'}:{name}", op="softmax_vjp", prototype=prototype)


@contextmanager
def opened(name: str, timeout: float = 10.0) -> Iterator[Sandbox]:
    """A sandbox with that function in it."""
    with open_sandbox(hostile(name), timeout=timeout) as sandbox:
        yield sandbox


def call(n: int, rows: int = 2, seed: int = 0, **options: Any) -> Call:
    """A call with inputs that follow from its size and seed."""
    random = np.random.default_rng([n, rows, seed])
    y, dy = random.random((2, rows, n)).astype(np.float32)
    return Call({"y": y, "dy": dy}, rows, n, **options)


def right(one: Call) -> Array:
    """What the candidate should give."""
    y, dy = (one.inputs[role].astype(np.float64) for role in ("y", "dy"))
    return (y * (dy - (y * dy).sum(1, keepdims=True))).astype(np.float32)


def is_right(one: Call, output: Array | None) -> bool:
    """Whether an output is that."""
    return output is not None and np.allclose(output, right(one), rtol=1e-5, atol=1e-6)


def is_clean(outcome: Outcome) -> bool:
    """Whether the call left everything else as it was."""
    return outcome.changed == outcome.outside == outcome.environment == ()


def test_an_honest_candidate_is_right_at_every_size_and_layout() -> None:
    """Outputs come back as computed, whatever the side, offset and poison."""
    calls = [
        call(n, rows, layout=Layout(side, offset), poison=poison)
        for n, rows in [(0, 0), (0, 2), (3, 0), (1, 1), (7, 3), (64, 2), (1025, 5), (70000, 3)]
        for side in ("end", "start")
        for offset in (0, 1, 17)
        for poison in ("nan", "finite")
    ]  # fmt: skip
    with opened("honest") as sandbox:
        outcomes = sandbox.run(calls)
    for one, outcome in zip(calls, outcomes, strict=True):
        assert outcome.status == "ok"
        assert is_right(one, outcome.output)
        assert is_clean(outcome)
        assert not outcome.message
        assert outcome.seconds < 1


SIGNALS = [
    ("reads_null", "SIGSEGV", ""),
    ("aborts", "SIGABRT", "assertion failed"),
    ("divides_by_zero", "SIGFPE", ""),
    ("traps", "SIGILL", ""),
    ("raises_segv", "SIGSEGV", ""),
    ("jumps_nowhere", "SIGSEGV", ""),
    ("overflows_stack", "SIGSEGV", "stack overflow"),
    ("overflows_stack_unguarded", "SIGSEGV", "ended by SIGSEGV"),
    ("loads_misaligned", "SIGSEGV", "misaligned"),
    ("frees_twice", "SIGABRT", "double free"),
    ("crashes_in_thread", "SIGSEGV", "in a thread of its own"),
    ("faults_with_lock", "SIGSEGV", ""),
    ("smashes_stack", "SIGSEGV", ""),
    ("smashes_stack_to_its_end", "SIGSEGV", ""),
    ("floods_heap", "SIGSEGV", ""),
]
ENDS = [
    ("exits", "exit", "exit status 3"),
    ("exits_at_once", "exit", "exit status 4"),
    ("kills_itself", "exit", "SIGKILL"),
    ("terminates_itself", "exit", "SIGTERM"),
    ("interrupts_itself", "exit", "SIGINT"),
    ("loops", "hang", "no end within"),
    ("sleeps", "hang", "no end within"),
    ("loops_deaf", "hang", "no end within"),
    ("talks_for_ever", "hang", "no end within"),
    ("closes_and_loops", "hang", "no end within"),
]
ENVIRONMENT = [
    ("rounds_up", "rounding mode"),
    ("flushes", "flush to zero"),
    ("flushes", "denormals are zero"),
    ("unmasks", "exception mask"),
    ("narrows_x87", "x87 control word"),
    ("leaves_mmx", "x87 register stack"),
    ("leaves_direction", "direction flag"),
    ("installs_handler", "handler of SIGFPE"),
    ("blocks_signals", "signal mask"),
    ("closes_descriptors", "file descriptors"),
    ("redirects_descriptors", "file descriptors"),
]
MACHINE = {"loads_misaligned", "flushes", "unmasks", "narrows_x87", "leaves_mmx",
           "leaves_direction", "divides_by_zero"}  # fmt: skip


def blamed(name: str, timeout: float = 10.0) -> Any:
    """The outcome of the one call that does harm, after checking that the others are right."""
    calls = [call(n) for n in (4, 6, 5, 7, 8)]
    with opened(name, timeout) as sandbox:
        outcomes = sandbox.run(calls)
    for one, outcome in zip(calls, outcomes, strict=True):
        if one.n != 5:
            assert outcome.status == "ok"
            assert is_right(one, outcome.output)
            assert is_clean(outcome)
    return outcomes[2]


@pytest.mark.parametrize(("name", "signal", "message"), SIGNALS)
def test_a_signal_is_that_call_s_fault(name: str, signal: str, message: str) -> None:
    """A signal is named, and blamed on the call that raised it alone."""
    if name in MACHINE and not ON_X86:
        pytest.skip("what only x86-64 has")
    outcome = blamed(name, timeout=1)
    assert outcome.status == "fault"
    assert outcome.fault.signal == signal
    assert outcome.fault.role is None
    assert message in outcome.message
    assert outcome.output is None


@pytest.mark.parametrize(("name", "status", "message"), ENDS)
def test_an_end_or_a_hang_costs_one_call(name: str, status: str, message: str) -> None:
    """A process that ends or hangs is replaced, and only that call is blamed."""
    outcome = blamed(name, timeout=0.4)
    assert outcome.status == status
    assert message in outcome.message


@pytest.mark.parametrize(("name", "change"), ENVIRONMENT)
def test_a_changed_environment_is_told(name: str, change: str) -> None:
    """What a call leaves changed is named, put back, and never blamed on the next call."""
    if name in MACHINE and not ON_X86:
        pytest.skip("what only x86-64 has")
    outcome = blamed(name)
    assert outcome.status == "ok"
    assert change in outcome.environment


def test_a_status_is_a_refusal() -> None:
    """A non-zero status is told, with its number."""
    outcome = blamed("refuses")
    assert (outcome.status, outcome.message) == ("refused", "status 7")


@pytest.mark.parametrize("name", ["forks", "forks_and_lingers", "forks_and_crashes", "talks"])
def test_copies_and_chatter_do_no_harm(name: str) -> None:
    """Copies of the process and floods of text change no outcome."""
    assert blamed(name).status == "ok"


def test_memory_is_limited() -> None:
    """A candidate that takes all memory is refused more, long before the machine is full."""
    outcome = blamed("takes_all_memory", timeout=30)
    assert outcome.fault == Fault("SIGABRT")


def test_no_process_outlives_the_sandbox() -> None:
    """Copies that a candidate leaves behind are ended with the sandbox."""
    with opened("forks_and_lingers") as sandbox:
        sandbox.run([call(5)] * 3)
        child = sandbox._child  # type: ignore[attr-defined]
        group = child._process.pid
        assert len(members(group)) == 4
    deadline = time.monotonic() + 5
    while members(group) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert members(group) == []


def members(group: int) -> list[int]:
    """The processes of a group that are still running."""
    listing = subprocess.run(
        ["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in listing.stdout.splitlines()]
    return [int(pid) for pid, owner, state in lines if int(owner) == group and "Z" not in state]


def test_a_damaged_heap_is_survived() -> None:
    """Writing past a block of the heap ends no run, and every call has its outcome."""
    calls = [call(n) for n in (4, 5, 6, 5, 7, 5, 8)]
    with opened("overruns_heap") as sandbox:
        outcomes = sandbox.run(calls)
        assert sandbox.run([call(4)])[0].status == "ok"
    assert len(outcomes) == len(calls)
    assert any(o.status == "fault" for o, c in zip(outcomes, calls, strict=True) if c.n == 5)


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
    allowed = load(f"{source}:f", op="softmax", prototype=prototype, over_read=32)
    aligned = load(f"{source}:f", op="softmax", prototype=prototype, align=64, over_read=64)
    with open_sandbox(allowed) as sandbox:
        outcomes = sandbox.run(read)
    assert [o.status for o in outcomes] == ["ok"] * 4 + ["fault"]
    assert outcomes[-1].fault == Fault("SIGSEGV", "read", "x", 32)
    with open_sandbox(aligned) as sandbox:
        found = [o.output.view(np.uint64)[0, :2] for o in sandbox.run(at)]  # type: ignore
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


def test_threads_start_together_on_arrays_of_their_own() -> None:
    """A buffer shared by callers is caught, an honest candidate stays right."""
    calls = [call(65536, 1, place, layout=Layout(offset=place)) for place in range(4)]
    wrong = {}
    for name in ("honest", "shares_buffer"):
        with opened(name) as sandbox:
            outcomes = sandbox.run_threads(calls, rounds=40)
        assert len(outcomes) == 160
        assert all(o.status == "ok" and not o.outside for o in outcomes)
        wrong[name] = sum(
            not is_right(one, o.output) for one, o in zip(calls * 40, outcomes, strict=True)
        )
    assert wrong["honest"] == 0
    assert wrong["shares_buffer"] > 0


def test_threads_that_share_processors_are_given_the_time_each_needs() -> None:
    """Calls that last long because there are more of them than processors do not hang."""
    calls = [call(5)] * (4 * (os.cpu_count() or 1))
    with opened("works_long", timeout=0.5) as sandbox:
        outcomes = sandbox.run_threads(calls, rounds=2)
    assert {o.status for o in outcomes} == {"ok"}


def test_a_long_call_is_not_held_up_in_proportion_to_its_length() -> None:
    """The guard interrupts threads so that they meet, a long call no more than some 100 times."""
    with opened("works_long") as sandbox:
        outcomes = sandbox.run_threads([call(5)] * 4)
    assert all(0 < o.output[0, 0] < 250 for o in outcomes if o.output is not None)


@pytest.mark.parametrize(
    ("name", "status"), [("reads_null", "fault"), ("exits", "exit"), ("loops", "hang")]
)
def test_threads_that_misbehave_are_survived(name: str, status: str) -> None:
    """A fault costs one thread's call; an end or a hang is told by the thread it was in."""
    with opened(name, timeout=0.5) as sandbox:
        outcomes = sandbox.run_threads([call(4), call(5), call(6)])
        assert outcomes[1].status == status
        assert {outcomes[0].status, outcomes[2].status} <= {"ok", "lost", status}
        if status == "fault":
            assert is_right(call(4), outcomes[0].output)
            assert is_right(call(6), outcomes[2].output)
        assert sandbox.run([call(4)])[0].status == "ok"


def test_a_candidate_that_swallows_its_fault_dies_where_faults_are_blocked() -> None:
    """A fault that a candidate catches itself is invisible, until the signal is blocked."""
    touching = [call(n, 1) for n in (4, 5, 6)]
    with opened("swallows_fault") as sandbox:
        assert [o.status for o in sandbox.run(touching)] == ["ok"] * 3
        blocked = sandbox.run_blocked(touching)
    assert [o.status for o in blocked] == ["ok", "fault", "ok"]
    assert blocked[1].fault is not None
    assert blocked[1].fault.signal == "SIGSEGV"
    with opened("writes_input") as sandbox:  # which is another fault, and must not look like this
        assert [o.status for o in sandbox.run_blocked(touching)] == ["ok"] * 3


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("honest", (0, 0, 0)),
        ("leaves_memory", (4_000_000, 0, 0)),
        ("leaves_threads", (0, 200, 0)),
        ("leaves_descriptors", (0, 0, 200)),
    ],
)
def test_growth_is_measured(name: str, least: tuple[int, int, int]) -> None:
    """Memory, threads and descriptors left behind are counted, and nothing else is."""
    count = 1000 if name in ("honest", "leaves_memory") else 200
    with opened(name) as sandbox:
        growth = sandbox.soak(call(5), count)
    assert growth.calls == count
    found = (growth.memory_bytes, growth.threads, growth.descriptors)
    assert all(f >= m for f, m in zip(found, least, strict=True))
    assert growth.threads in (0, 200)
    assert growth.descriptors in (0, 200)
    assert name == "leaves_memory" or growth.memory_bytes < 4_000_000


@pytest.mark.parametrize("name", ["exits", "reads_null", "loops"])
def test_growth_of_a_candidate_that_ends_counts_its_calls(name: str) -> None:
    """Where the calls do not all come back, fewer are counted."""
    with opened(name, timeout=0.4) as sandbox:
        assert sandbox.soak(call(5), 100).calls < 100
        assert sandbox.run([call(4)])[0].status == "ok"


def test_progress_is_told() -> None:
    """The callback hears of more and more calls, and of all of them in the end."""
    heard: list[int] = []
    with opened("honest") as sandbox:
        sandbox.run([call(4)] * 5000, progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 5000


def test_a_call_costs_microseconds() -> None:
    """Thousands of small calls take well under a second on an idle machine."""
    calls = [call(33)] * 4000
    with opened("honest") as sandbox:
        sandbox.run(calls[:10])
        begin = time.perf_counter()
        sandbox.run(calls)
        assert time.perf_counter() - begin < 4


def test_wrong_inputs_are_the_caller_s_mistake() -> None:
    """Arrays that do not fit the call are refused with what was expected."""
    short = Call({"y": np.ones((2, 3), np.float32), "dy": np.ones((2, 4), np.float32)}, 2, 4)
    with opened("honest") as sandbox:
        with pytest.raises(ArgumentError, match=r"input y: expected float32 of shape \(2, 4\)"):
            sandbox.run([short])
        for run in (sandbox.run, sandbox.run_threads):
            with pytest.raises(ArgumentError, match="too large"):
                run([call(3, layout=Layout(offset=1 << 40))])
        assert sandbox.run([call(4)])[0].status == "ok"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("_exit(9);", "exit status 9"),
        ("static int *volatile p; *p = 1;", "SIGSEGV"),
        ("for (;;);", "does not end"),
    ],
)
def test_a_library_that_misbehaves_when_loaded_is_an_error(
    body: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a library does when it is opened happens to the child, and is said in one line."""
    monkeypatch.setattr(native_sandbox, "_START_SECONDS", 1.0)
    source = tmp_path / "loaded.c"
    source.write_text(
        "#include <unistd.h>\n__attribute__((constructor)) static void begin(void) "
        f"{{ {body} }}\nvoid f(const float *x, float *y, int n) {{}}\n"
    )
    with pytest.raises(CandidateError, match=reason):
        load(f"{source}:f", op="softmax", prototype="void f(const float *x, float *y, int n)")


def test_a_missing_library_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiled guard there is no sandbox, and the message says what to do."""
    monkeypatch.setattr(sandboxes._library, "path", lambda: Path("nowhere/libsoftjac.so"))
    with pytest.raises(SandboxError, match="make lib"), opened("honest"):
        pass


def test_a_library_of_another_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library without the guard, or with another one, is no sandbox."""
    other = hostile("honest").plan.library  # type: ignore[union-attr]
    monkeypatch.setattr(sandboxes._library, "path", lambda: Path(other))
    with pytest.raises(SandboxError, match="of another version: rebuild it"), opened("honest"):
        pass


def test_the_child_for_c_loads_neither_numpy_nor_jax() -> None:
    """The worker's module needs the standard library alone."""
    code = (
        "import sys, softjac.oracle.worker; "
        "sys.exit(bool({'numpy', 'jax', 'ml_dtypes'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_left_open() -> None:
    """A sandbox gives back every descriptor it opened."""

    def descriptors() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    with opened("exits", timeout=1) as sandbox:
        sandbox.run([call(5)])
    before = descriptors()
    for _ in range(3):
        with opened("exits", timeout=1) as sandbox:
            sandbox.run([call(4), call(5)])
            sandbox.run_threads([call(4), call(6)])
    assert descriptors() == before
