"""The process that judges beside the candidate: its verdicts, and its end."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from softjac import SoftjacError
from softjac.oracle import reference
from softjac.oracle.inputs import Row, make
from softjac.oracle.judging import judge_process
from softjac.oracle.judging.rows import judge_rows
from softjac.oracle.judging.sample import Sample
from softjac.oracle.ops import OPS
from softjac.oracle.precision import PRECISIONS

OP, FLOAT32 = OPS["softmax_vjp"], PRECISIONS["float32"]


def sample() -> Sample:
    """A few rows of 40 classes."""
    rows = [Row("normal", "normal", 3, key) for key in range(5)]
    return Sample(make(rows, 40, OP, ("y", "dy"), FLOAT32, 1.0), precision=FLOAT32)


def test_it_judges_as_this_process_does() -> None:
    """The same bits of answer and verdict, of right rows and of wrong ones."""
    got = reference.answer(OP, sample())[0].astype(np.float32).astype(float)
    got[1:3, 7] *= 1.01
    exact, here = judge_process.submit(judge_rows, OP, sample(), got, own_sums=True).result()
    with judge_process.judging_beside():
        begun = [
            judge_process.submit(judge_rows, OP, sample(), got, own_sums=True) for _ in range(3)
        ]
        for found in begun:
            exact_beside, beside = found.result()
            np.testing.assert_array_equal(exact_beside, exact)
            np.testing.assert_array_equal(beside.ratio, here.ratio)
            assert ((beside.ratio > 1.0) == [False, True, True, False, False]).all()
        assert 0.0 < judge_process.seconds() < 5.0  # without what compiling took
    assert judge_process.seconds() <= 0.0


def test_an_answer_that_nobody_wants_is_kept_where_rows_are_right() -> None:
    """Unless it is to be answered, it is given for a wrong row alone; the verdict is the same."""
    got = reference.answer(OP, sample())[0].astype(np.float32).astype(float)
    exact, judged = judge_rows(OP, sample(), got, answered=False)
    assert exact is None
    np.testing.assert_array_equal(judged.ratio, judge_rows(OP, sample(), got)[1].ratio)
    got[1, 7] *= 1.01
    exact, judged = judge_rows(OP, sample(), got, answered=False)
    assert exact is not None
    assert exact.shape == got.shape
    assert (judged.ratio > 1.0).sum() == 1


def compiling(_: object) -> float:
    """Processor seconds that the process asked has spent on compiling."""
    return reference.seconds_compiling()


def test_what_the_first_rows_need_is_compiled_before_they_are_there() -> None:
    """The first answer of prepared roles compiles nothing; nothing is prepared for float64."""
    with judge_process.judging_beside():
        judge_process.prepare(OP, ("y", "dy"), "float64")
        assert judge_process.submit(compiling, OP).result() == 0.0
        judge_process.prepare(OP, ("y", "dy"), "float32")
        prepared = judge_process.submit(compiling, OP).result()
        judge_process.submit(reference.answer, OP, sample()).result()
        assert judge_process.submit(compiling, OP).result() == prepared > 0.0


def kill() -> None:
    """Kills the process that judges."""
    os.kill(judge_process._beside[-1]._child._process.pid, signal.SIGKILL)


def test_a_process_that_ends_is_replaced() -> None:
    """A question asked of a killed process is asked again, of a new one."""
    with judge_process.judging_beside():
        assert judge_process.submit(reference.answer, OP, sample()).result()[0].shape == (5, 40)
        kill()
        assert judge_process.submit(reference.answer, OP, sample()).result()[0].shape == (5, 40)


def end_process(_: object) -> None:
    """Ends the process that judges."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_its_end_is_an_error() -> None:
    """A question that ends it twice is an error that says how; the next one is answered."""
    with judge_process.judging_beside():
        with pytest.raises(SoftjacError, match=r"judging came to an end twice: .* SIGKILL"):
            judge_process.submit(end_process, OP).result()
        assert judge_process.submit(reference.answer, OP, sample()).result()[0].shape == (5, 40)


def test_an_error_in_it_is_told() -> None:
    """What its function raises is raised here, with the place it came from; the process goes on."""
    with judge_process.judging_beside():
        with pytest.raises(AttributeError, match="rows") as raised:
            judge_process.submit(reference.answer, OP, None).result()
        assert "in answer" in raised.value.__notes__[0]
        assert judge_process.submit(reference.answer, OP, sample()).result()[0].shape == (5, 40)
