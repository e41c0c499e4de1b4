"""Float64 candidates are judged by extended precision, and by enclosures where it is close."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from softjac.oracle import reference
from softjac.oracle.inputs import LOGITS, VECTORS, Row, make
from softjac.oracle.judging.rows import judge_rows
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op
from softjac.oracle.ops import OPS
from softjac.oracle.precision import PRECISIONS

FLOAT64 = PRECISIONS["float64"]
TAKEN = [(name, roles) for name, op in OPS.items() for roles in op.takes]

needs_extended = pytest.mark.skipif(
    not reference.has_extended(), reason="long double is float64 on this processor"
)


def sample(op: Op, roles: tuple[str, ...], n: int, scale: float) -> Sample:
    """Rows of every kind of logits, and, for products, of every kind of vector."""
    vectors = tuple(VECTORS) if op.vector else ("normal",)
    kinds = list(itertools.product(LOGITS, vectors))
    rows = [Row(logits, v, k % n, 7 * k + n) for k, (logits, v) in enumerate(kinds)]
    inputs = make(rows if n < 100 else rows[::7], n, op, roles, FLOAT64, scale)
    return Sample(inputs, scale=scale, precision=FLOAT64, logarithmic=op.logarithmic)


@needs_extended
@pytest.mark.parametrize(("name", "roles"), TAKEN)
def test_it_is_within_a_small_part_of_the_bound(name: str, roles: tuple[str, ...]) -> None:
    """2^-11 of it, as u is 2^-64 and no longer 2^-53."""
    op = OPS[name]
    for n in (1, 2, 7, 40) if op.output == "jac" else (1, 2, 3, 17, 130, 1000):
        for scale in (1.0, 0.7):
            rows = sample(op, roles, n, scale)
            high, low = reference.answer(op, rows)
            proven, rest = reference.answer(op, rows, proven=True)
            with np.errstate(all="ignore"):  # infinities of masked rows
                own = op.bound(rows, proven).own()
                off = np.abs((high - proven) + (low - rest))
            same = (high == proven) & (low == rest)
            assert (same | (off <= 2.0**-11 * own)).all()


@needs_extended
def test_what_is_close_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows within a hundredth of the bound go to the enclosure, those further off do not."""
    op = OPS["softmax"]
    faint = 8  # exp(-350), of which many units in the last place are allowed
    rows = sample(op, ("x",), 17, 1.0).take(np.full(2000, list(LOGITS).index("grid")))
    exact, _ = reference.answer(op, rows, proven=True)
    size = np.linspace(0.1, 1.5, 2000)[:, None]
    got = exact + size * op.bound(rows, exact).own() * (np.arange(17) == faint)
    ratio = judge_rows(op, rows, got, proven=True)[1].ratio
    close = (ratio > 0.99) & (ratio < 1.01)
    asked = []
    answer = reference.answer

    def watched(op: Op, rows: Sample, *, proven: bool = False) -> object:
        asked.append((rows.rows, proven))
        return answer(op, rows, proven=proven)

    monkeypatch.setattr(reference, "answer", watched)
    judged = judge_rows(op, rows, got)[1]
    assert asked[0] == (2000, False)
    assert [proven for _, proven in asked[1:]] == [True]
    assert close.sum() > 5
    assert abs(asked[1][0] - close.sum()) <= 2  # those at the very ends of the range
    np.testing.assert_allclose(judged.ratio, ratio, rtol=0.0, atol=2.0**-10)


def test_without_it_enclosures_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where long double has no more bits, or a candidate took them, every answer is proven."""
    op = OPS["log_softmax"]
    rows = sample(op, ("x",), 17, 1.0)
    monkeypatch.setattr(reference, "has_extended", lambda: False)
    for found, wanted in zip(
        reference.answer(op, rows), reference.answer(op, rows, proven=True), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_rows_without_an_answer_are_nan() -> None:
    """A NaN or +inf, or no finite logit: every element is NaN, as the enclosure has it."""
    x = np.array([[0.0, np.nan, 1.0], [np.inf, 0.0, 1.0], [-np.inf] * 3, [-np.inf, 0.0, 1.0]])
    rows = Sample({"x": x}, precision=FLOAT64)
    high, _ = reference.answer(OPS["softmax"], rows)
    assert np.isnan(high[:3]).all()
    np.testing.assert_array_equal(
        high[3], reference.answer(OPS["softmax"], rows, proven=True)[0][3]
    )
