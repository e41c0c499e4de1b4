"""The sandbox for C: calls from several threads at once, and what grows over many calls."""

from __future__ import annotations

import os

import pytest
from hostile import call, is_right, opened

from softjac.oracle.calls.call import Layout


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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_calls_meet_on_a_single_processor() -> None:
    """Half of the calls of a round are held up until the others have been made, or a bit later."""
    calls = [call(16384, 1, place) for place in range(4)]
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        with opened("shares_buffer") as sandbox:
            outcomes = sandbox.run_threads(calls, rounds=120)
    finally:
        os.sched_setaffinity(0, processors)
    right = [is_right(one, o.output) for one, o in zip(calls * 120, outcomes, strict=True)]
    wrong = sum(not all(right[4 * one : 4 * one + 4]) for one in range(120))
    assert wrong > 40


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
