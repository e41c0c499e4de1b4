"""What a C candidate allocates is guarded as its arrays are."""

from __future__ import annotations

import pytest
from hostile import blamed, call, is_clean, is_right, opened

from softjac.native import _library
from softjac.oracle.calls.call import BLOCK, Fault, Layout

pytestmark = pytest.mark.skipif(
    not _library.path().with_name("libsoftjac_heap.so").exists(),
    reason="the candidate's heap is guarded where its C library is glibc",
)


@pytest.mark.parametrize(
    ("name", "offset"),
    [("writes_past_block", 0), ("writes_past_kept_block", 3), ("writes_before_block", -3)],
)
def test_a_write_beside_a_block_is_seen(name: str, offset: int) -> None:
    """Whether the block is freed or not; the call comes back, and its result is there."""
    outcome = blamed(name)
    assert outcome.status == "ok"
    assert outcome.outside == ((BLOCK, offset),)


@pytest.mark.parametrize(
    ("name", "access", "offset"),
    [
        ("overruns_block", "write", 0),
        ("overruns_grown_block", "write", 0),
        ("floods_heap", "write", 0),
        ("reads_past_block", "read", 0),
    ],
)
def test_an_access_past_a_block_is_a_fault(name: str, access: str, offset: int) -> None:
    """It hits the guard page, before anything else is damaged."""
    outcome = blamed(name)
    assert outcome.status == "fault"
    assert outcome.fault == Fault("SIGSEGV", access, BLOCK, offset)


def test_a_block_touches_the_guard_page_before_it_where_arrays_do() -> None:
    """So that what is read before a block is seen, too, as a write is."""
    with opened("writes_before_block") as sandbox:
        (outcome,) = sandbox.run([call(5, layout=Layout("start"))])
    assert outcome.fault == Fault("SIGSEGV", "write", BLOCK, -3)


def test_a_freed_block_must_not_be_used() -> None:
    """Nobody else has it yet, so that the access is seen."""
    outcome = blamed("uses_freed_block")
    assert outcome.status == "fault"
    assert outcome.fault == Fault("SIGSEGV", "read")
    assert outcome.message == "memory that it had freed"


@pytest.mark.parametrize("side", ["start", "end"])
def test_who_allocates_well_is_left_alone(side: str) -> None:
    """Blocks cleared, grown, aligned, kept from call to call, and more than are guarded."""
    calls = [call(n, layout=Layout(side)) for n in (0, 1, 5, 64, 1000, 3, 70000, 64)]
    with opened("allocates") as sandbox:
        outcomes = sandbox.run(calls)
        growth = sandbox.soak(call(64), 2000)
    for one, outcome in zip(calls, outcomes, strict=True):
        assert outcome.status == "ok", outcome.message
        assert is_right(one, outcome.output)
        assert is_clean(outcome)
    assert growth.ending is None
    assert growth.memory_bytes < 1 << 19
