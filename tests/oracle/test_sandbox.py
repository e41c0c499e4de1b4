"""The sandbox for C: whatever a candidate does, the parent survives and says what it was."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hostile import ON_X86, blamed, call, is_clean, is_right, opened

from softjac._errors import ArgumentError
from softjac.oracle.calls.call import Call, Fault, Layout


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
    ("frees_what_it_has_not", "SIGABRT", "invalid pointer"),
    ("crashes_in_thread", "SIGSEGV", "in a thread of its own"),
    ("faults_with_lock", "SIGSEGV", ""),
    ("smashes_stack", "SIGSEGV", ""),
    ("smashes_stack_to_its_end", "SIGSEGV", ""),
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
    ("stays_here", "processor affinity"),
]
MACHINE = {"loads_misaligned", "flushes", "unmasks", "narrows_x87", "leaves_mmx",
           "leaves_direction", "divides_by_zero"}  # fmt: skip


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


def test_what_is_printed_again_and_again_is_told_once() -> None:
    """A call's last words are not lost among those of the calls before it."""
    with opened("aborts") as sandbox:
        outcomes = sandbox.run([call(5)] * 20)
    assert [outcome.message for outcome in outcomes] == ["vjp.c:12: assertion failed"] * 20


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
    if name == "stays_here" and len(getattr(os, "sched_getaffinity", lambda _: ())(0)) < 2:
        pytest.skip("it takes Linux, and two processors to choose from")
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


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="the test finds memory by /proc")
@pytest.mark.parametrize(
    ("name", "status"), [("writes_over_records", "lost"), ("writes_over_records_and_stays", "hang")]
)
def test_written_records_are_blamed_on_the_call(name: str, status: str) -> None:
    """Who writes over the memory shared with the child is found among the calls of a batch."""
    assert blamed(name, timeout=0.5).status == status
    with opened(name, timeout=0.5) as sandbox:
        assert {o.status for o in sandbox.run_threads([call(5), call(5)])} == {status}
        assert sandbox.soak(call(5), 20).calls == 0
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
