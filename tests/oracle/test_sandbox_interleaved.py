"""Calls of Python callables in two threads, the one between any two lines of the other."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from python_calls import both, call, module, opened, right

import softjac
from softjac.oracle.calls.call import Call
from softjac.oracle.calls.interleaved import call_interleaved
from softjac.oracle.calls.python_call import Caller
from softjac.oracle.candidate import load

CALLS = [call(4), call(4, seed=1)]
WHERE = pytest.mark.parametrize("where", ["child", "live"])


def interleaved(name: str, where: str) -> list[Any]:
    """The outcomes of the two calls, in turn."""
    with opened(both(name)[where == "live"]) as sandbox:
        return sandbox.run_interleaved(CALLS)  # type: ignore[attr-defined,no-any-return]


def caller(name: str) -> Caller:
    """What calls a function that was never called before."""
    function = getattr(module(), name)
    return Caller(function, load(function, op="softmax_vjp").plan)


def is_right(outcomes: list[Any]) -> tuple[bool, bool]:
    """Whether all outcomes of the one call, and of the other, are what they should be."""
    one, other = (
        all(np.allclose(o.output, right(made), rtol=1e-5, atol=1e-7) for o in outcomes[place::2])
        for place, made in enumerate(CALLS)
    )
    return one, other


@WHERE
def test_what_is_left_behind_for_the_next_line_is_found_changed(where: str) -> None:
    """The call that is interrupted there goes wrong; the one in between is right."""
    assert is_right(interleaved("leaves_behind", where)) == (False, True)


@WHERE
def test_a_call_that_waits_for_the_other_is_waited_for(where: str) -> None:
    """Behind a lock both are right, and it is not tried again."""
    outcomes = interleaved("leaves_behind_in_turn", where)
    assert is_right(outcomes) == (True, True)
    assert 2 <= len(outcomes) <= 6


@WHERE
def test_an_input_that_is_put_back_was_changed(where: str) -> None:
    """It holds other values in between; otherwise no input does."""
    assert any(o.changed == ("dy",) for o in interleaved("puts_back", where))
    assert not any(o.changed for o in interleaved("leaves_behind", where))


def test_of_many_lines_some_are_tried() -> None:
    """Sixty places at most, all right here."""
    outcomes = interleaved("takes_a_hundred_lines", "live")
    assert is_right(outcomes) == (True, True)
    assert 2 <= len(outcomes) <= 2 * 60


def test_the_trace_that_was_set_before_is_set_again() -> None:
    """As a debugger's, or one that measures coverage."""

    def trace(_frame: Any, _event: str, _argument: Any) -> None:
        """Nobody's business."""

    before, called = sys.gettrace(), caller("leaves_behind")
    sys.settrace(trace)
    try:
        assert len([*call_interleaved(called, CALLS)]) > 1
        found = sys.gettrace()
    finally:
        sys.settrace(before)
    assert found is trace


def test_what_runs_at_the_first_call_alone_is_not_waited_for() -> None:
    """Lines that fill a table once do not hide those of every call."""
    *_, outcomes = call_interleaved(caller("fills_a_table_first"), CALLS)
    assert outcomes
    assert is_right(outcomes) == (False, True)


def test_a_function_of_a_library_has_no_lines_of_its_own() -> None:
    """Nothing is tried where no line is the candidate's."""
    calls = [Call({"x": one.inputs["y"]}, 2, 4) for one in CALLS]
    with opened(softjac.softmax, op="softmax") as sandbox:
        assert sandbox.run_interleaved(calls) == []  # type: ignore[attr-defined]
