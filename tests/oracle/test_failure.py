"""What is said of a failure: places in words."""

from __future__ import annotations

import numpy as np
import pytest

from softjac.oracle.calls.call import Fault, Layout, Outcome
from softjac.oracle.failure import Batch, Failure, beside
from softjac.oracle.planning.plan import Task


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (0, "0 bytes behind the end of y"),
        (260, "260 bytes behind the end of y"),
        (-4, "4 bytes before the start of y"),
    ],
)
def test_places_beside_an_array(offset: int, words: str) -> None:
    """An offset counts from the start where it is negative, else from the end."""
    assert beside("y", offset) == words


def test_an_array_that_lies_apart_is_named() -> None:
    """A fault that no array is near is of use only with what was special about the call."""
    task = Task("kinds", 8, 1, layout=Layout("start", apart="dx"))
    outcome = Outcome("fault", fault=Fault("SIGSEGV"))
    batch = Batch(task, {}, [outcome], np.zeros((1, 8)), np.zeros(1, bool), 0.0)
    told = Failure("memory", "fault", batch, outcome=outcome).told()
    assert told == "n = 8, dx aligned otherwise than the rest: SIGSEGV"
