"""The random numbers of rows: their distribution, all bits of them, and each row again alone."""

from __future__ import annotations

import numpy as np

from softjac.oracle.inputs import Row, make
from softjac.oracle.ops import OPS
from softjac.oracle.precision import PRECISIONS

OP, FLOAT64 = OPS["softmax_vjp"], PRECISIONS["float64"]


def made(rows: list[Row], n: int) -> dict[str, np.ndarray]:
    """Logits and cotangents of some rows."""
    return make(rows, n, OP, ("x", "dy"), FLOAT64, 1.0)


def test_normal_rows_are_sums_of_three_uniform_numbers() -> None:
    """Mean 0, variance 1, nothing beyond 3, and nothing that goes with a neighbour or the logits.

    Of two million numbers each of these is known to 0.001 or better.
    """
    both = made([Row("normal", "normal", 0, key) for key in range(2000)], 1000)
    z, v = both["x"] / 3.0, both["dy"]
    for a in (z, v):
        assert abs(a.mean()) < 0.004
        assert abs(a.var() - 1.0) < 0.006
        assert 2.9 < np.abs(a).max() <= 3.0
        inner = np.abs(a) < 1.0  # twice the middle part of the density, 2/3 by Irwin and Hall
        assert abs(inner.mean() - 2.0 / 3.0) < 0.003
        for one, other in ((a[:, 1:], a[:, :-1]), (a[1:], a[:-1]), (a[:, 64:], a[:, :-64])):
            assert abs(np.mean(one * other)) < 0.004
    assert abs(np.mean(z * v)) < 0.004


def test_their_last_bits_are_used() -> None:
    """None is a number of fewer bits, so that a narrower type shows.

    Some of the last bits go with the number's size: they are the leading ones of its other parts.
    """
    v = made([Row("normal", "normal", 0, key) for key in range(20)], 1000)["dy"]
    assert not (v == v.astype(np.float32)).any()
    last = np.abs(np.ldexp(v, 52)).astype(np.uint64)
    for bit in range(3, 12):  # of numbers up to 3 the last two are rounded
        assert 0.25 < ((last >> np.uint64(bit)) & np.uint64(1)).mean() < 0.75


def test_a_row_of_a_batch_is_made_again_alone() -> None:
    """Bit for bit, in batches of one kind and of many."""
    many = [Row(*kinds, 3, 7 + i) for i, kinds in enumerate((("normal", "normal"),) * 3)]
    mixed = [*many, Row("spike", "like-y", 2, 1), Row("subnormal", "huge", 5, 2)]
    for rows in (many, mixed):
        whole = made(rows, 50)
        for index, row in enumerate(rows):
            for role, array in made([row], 50).items():
                np.testing.assert_array_equal(array[0], whole[role][index])
