"""What is said of a failure: places in words."""

from __future__ import annotations

import pytest

from softjac.oracle.failure import beside


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
