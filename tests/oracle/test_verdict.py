"""The verdict of a whole run: on live callables, which need no compiler and no child."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softjac import ArgumentError, CandidateError, RefutedError
from softjac.oracle import checks, diagnosis
from softjac.oracle.calls.call import Layout
from softjac.oracle.candidate import load, open_sandbox
from softjac.oracle.catalogue import CATALOGUE
from softjac.oracle.counterexample import Replay, encode, parse
from softjac.oracle.planning.plan import EFFORTS, Task
from softjac.oracle.planning.probe import probe
from softjac.oracle.trial import Trial
from softjac.oracle.verdict import assert_verified, replay, verify

Array = np.ndarray[Any, np.dtype[Any]]


def right(y: Array, dy: Array) -> Array:
    """The VJP."""
    return y * (dy - (y * dy).sum(axis=1, keepdims=True))


def diagonal(y: Array, dy: Array) -> Array:
    """The question's bug."""
    return y * (1 - y) * dy


def over_the_batch(y: Array, dy: Array) -> Array:
    """One sum for all the rows."""
    return y * (dy - (y * dy).sum())


def no_max(x: Array) -> Array:
    """Overflows from 88.7 on."""
    with np.errstate(all="ignore"):
        weights = np.exp(x)
        return weights / weights.sum(axis=1, keepdims=True)


def in_float64(y: Array, dy: Array) -> Array:
    """Right values of the wrong dtype."""
    return right(y.astype(np.float64), dy.astype(np.float64))


def changes_its_input(y: Array, dy: Array) -> Array:
    """The `dy -= ...` idiom."""
    dy -= (y * dy).sum(axis=1, keepdims=True)
    return y * dy


def raises_on_long_rows(y: Array, dy: Array) -> Array:
    """An exception from n = 100 on."""
    if y.shape[1] >= 100:
        raise ValueError("too long")
    return right(y, dy)


def doubles_beyond_the_rest(x: Array) -> Array:
    """A softmax whose rows of 65,543 and of 300,007 sum to 2: no other check tries such lengths."""
    weights = np.exp(x - x.max(axis=1, keepdims=True))
    y = weights / weights.sum(axis=1, keepdims=True)
    return 2 * y if x.shape[1] in (65_543, 300_007) else y


def log_softmax_by_libm(x: Array) -> Array:
    """Right, with the C library's exp and log."""

    def of_row(row: list[float]) -> list[float]:
        shifted = [z - max(row) for z in row]
        logarithm = math.log(sum(map(math.exp, shifted)))
        return [z - logarithm for z in shifted]

    return np.array([of_row(row) for row in x.tolist()], x.dtype)


class Remembers:
    """Gives the previous result for the same shape."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, ...], Array] = {}

    def __call__(self, y: Array, dy: Array) -> Array:
        """The first result of each shape, for ever."""
        return self.kept.setdefault(y.shape, right(y, dy)).copy()


def test_a_right_callable_is_verified() -> None:
    """A right VJP gets the verdict, its accuracy, and the limits of what was tried."""
    report = verify(right, op="softmax_vjp", effort="quick")
    assert report.verdict == "verified", [c for c in report.checks if c.status == "fail"]
    assert report.accuracy is not None
    assert report.accuracy.kind == "pairwise"
    assert report.limits
    assert not report.diagnoses


@pytest.mark.parametrize(
    ("candidate", "op", "check", "name"),
    [
        (diagonal, "softmax_vjp", "values", "diagonal-only"),
        (over_the_batch, "softmax_vjp", "values", "batch-reduced"),
        (no_max, "softmax", "values", "no-max-subtraction"),
        (in_float64, "softmax_vjp", "output", "wrong-dtype"),
        (changes_its_input, "softmax_vjp", "memory", "input-modified"),
        (raises_on_long_rows, "softmax_vjp", "values", "raises"),
    ],
)
def test_a_wrong_callable_is_refuted_and_its_bug_named(
    candidate: Any, op: str, check: str, name: str
) -> None:
    """The right check fails, the bug's name comes first, and one counterexample is given."""
    report = verify(candidate, op=op, effort="quick")
    assert report.verdict == "refuted"
    assert check in {result.name for result in report.checks if result.status == "fail"}
    assert report.diagnoses[0].id == name
    assert report.counterexamples


def slow_where_products_underflow(y: Array, dy: Array) -> Array:
    """As an O(n²) kernel: small probabilities cost two hundred times as much."""
    faint = ((y > 0.0) & (y < 1e-38)).any()
    time.sleep(y.shape[0] * y.shape[1] ** 2 * (2e-9 if faint else 1e-11))
    return right(y, dy)


def test_a_candidate_whose_time_depends_on_the_data_does_not_hang() -> None:
    """Long rows are tried where the slowest of them is affordable, not only a plain one."""
    candidate = load(slow_where_products_underflow, op="softmax_vjp")
    with open_sandbox(candidate, timeout=1.0) as sandbox:
        trial = Trial(candidate, sandbox, EFFORTS["quick"], 0, 1.0, lambda *told: None)
        probe(trial)
        assert trial.affordable(16_384, plain=True)
        assert not trial.affordable(16_384)
        assert trial.affordable(1_024)
    report = verify(candidate, op="softmax_vjp", effort="quick", timeout=1.0)
    assert report.verdict == "verified", [c for c in report.checks if c.status == "fail"]


def test_state_between_calls_is_refuted() -> None:
    """A callable that remembers the first result of a shape is refuted."""
    assert verify(Remembers().__call__, op="softmax_vjp", effort="quick").verdict == "refuted"


def test_a_counterexample_is_small_and_replays_bit_for_bit() -> None:
    """The diagonal alone fails at n = 2, and the replay string makes the same call again."""
    report = verify(diagonal, op="softmax_vjp", effort="quick")
    found = next(c for c in report.counterexamples if c.check == "values")
    assert found.n == 2
    assert found.rows == 1
    assert len(found.replay) <= 200
    again = replay(found.replay, diagonal, op="softmax_vjp")
    assert again.verdict == "refuted"
    assert not again.diagnoses  # numbers of one call are no name
    same = next(c for c in again.counterexamples if c.check == "values")
    for role, array in found.inputs.items():
        assert array.tobytes() == same.inputs[role].tobytes()
    assert replay(found.replay, right, op="softmax_vjp").verdict == "verified"


def test_a_counterexample_of_several_rows_has_few() -> None:
    """What is right for a row alone is shown on as few rows as are wrong together."""

    def first_sum_for_all(y: Array, dy: Array) -> Array:
        return y * (dy - (y * dy).sum(axis=1, keepdims=True)[:1])

    report = verify(first_sum_for_all, op="softmax_vjp", effort="quick")
    found = next(c for c in report.counterexamples if c.check == "values")
    assert (found.n, found.rows) == (1, 2)
    assert replay(found.replay, first_sum_for_all, op="softmax_vjp").verdict == "refuted"


def test_what_only_a_whole_check_shows_replays() -> None:
    """A relation that fails is asked of the same inputs again; a right candidate passes it."""
    report = verify(doubles_beyond_the_rest, op="softmax", effort="quick")
    found = next(c for c in report.counterexamples if c.check == "invariants")
    again = replay(found.replay, doubles_beyond_the_rest, op="softmax")
    assert again.verdict == "refuted"
    same = next(c for c in again.counterexamples if c.check == "invariants")
    assert found.inputs["x"].tobytes() == same.inputs["x"].tobytes()


def test_what_nan_does_to_the_process_replays(tmp_path: Path) -> None:
    """A candidate that a NaN ends is refuted, and its replay holds the NaN."""
    source = """
        #include <stdlib.h>
        #include <math.h>
        void f(const float *x, float *y, unsigned n) {
            float m = -INFINITY, s = 0;
            for (unsigned i = 0; i < n; i++)
                if (x[i] != x[i]) abort(); else m = fmaxf(m, x[i]);
            for (unsigned i = 0; i < n; i++) s += y[i] = expf(x[i] - m);
            for (unsigned i = 0; i < n; i++) y[i] /= s;
        }
    """
    file = tmp_path / "f.c"
    file.write_text(source)
    claims: dict[str, Any] = {
        "op": "softmax",
        "prototype": "void f(const float *x, float *y, unsigned n)",
    }
    report = verify(f"{file}:f", effort="quick", **claims)
    found = report.counterexamples[0]
    assert (report.verdict, found.check) == ("refuted", "environment")
    assert np.isnan(found.inputs["x"]).any()
    assert replay(found.replay, f"{file}:f", **claims).verdict == "refuted"


def test_a_replay_is_judged_as_strictly() -> None:
    """An element off by what only slower candidates may be is off in the replay, as far."""

    def off(y: Array, dy: Array) -> Array:
        dx = right(y, dy)
        if y.shape[1] > 500:
            dx[:, 0] += y[:, 0] * dy[:, 0] * np.float32(0.3 * 2.0**-24 * y.shape[1])
        return dx

    report = verify(off, op="softmax_vjp", effort="quick")
    assert report.verdict == "refuted"
    found = report.counterexamples[0]
    again = replay(found.replay, off, op="softmax_vjp")
    assert again.verdict == "refuted"
    assert again.counterexamples[0].detail == found.detail


def test_what_state_changes_replays() -> None:
    """A callable that remembers is caught by its replay too, in a run of the whole check."""
    report = verify(Remembers().__call__, op="softmax_vjp", effort="quick")
    found = next(c for c in report.counterexamples if c.check == "state")
    assert replay(found.replay, Remembers().__call__, op="softmax_vjp").verdict == "refuted"


def test_the_judge_allows_for_its_own_exponentials() -> None:
    """exp(log y) and its sum are rounded in float64, as the candidate's own numbers are."""
    text = "invariants:kinds:2:32:77::0x1.0000000000000p+0:end:64:0:0:contiguous::1:quick:0:afresh"
    report = replay(text, log_softmax_by_libm, op="log_softmax", dtype="float64")
    assert report.verdict == "verified"


def test_a_result_beyond_the_largest_number_may_be_infinite() -> None:
    """log_softmax's VJP of large cotangents leaves float16: what rounds to an infinity is right."""

    def vjp(y: Array, dy: Array, scale: float) -> Array:
        v = dy.astype(np.float64)
        dx = scale * (v - np.exp(y.astype(np.float64)) * v.sum(axis=1, keepdims=True))
        with np.errstate(over="ignore"):
            return dx.astype(y.dtype)

    text = "values:kinds:7:35:3:19:0x1.8000000000000p+1:end:64:0:0:contiguous::1:quick:0:afresh"
    report = replay(text, vjp, op="log_softmax_vjp", dtype="float16")
    assert report.verdict == "verified"


def test_preconditions_that_exclude_a_shape_lead_to_one_near_it() -> None:
    """Every check that calls does so at admitted shapes; where there are none, it says so."""
    seen: list[int] = []

    def noted(y: Array, dy: Array) -> Array:
        seen.append(len(y))
        return right(y, dy)

    report = verify(noted, op="softmax_vjp", effort="quick", assume=["rows % 4 == 0", "n > 200"])
    assert report.verdict == "verified"
    calls = {check.name: check.calls for check in report.checks}
    assert all(calls[name] for name in ("values", "invariants", "memory", "output", "state"))
    assert not any(rows % 4 for rows in seen[1:])  # the first asks which arrays it takes
    none = verify(noted, op="softmax_vjp", effort="quick", assume=["n < 0"])
    assert none.verdict == "inconclusive"
    assert {check.status for check in none.checks} == {"skipped"}
    assert any(limit.startswith("left out") and "memory" in limit for limit in none.limits)


def test_a_jacobian_has_no_array_to_share_memory_with() -> None:
    """In place is no question of preconditions where the output is larger than any input."""
    candidate = load("softjac:native", op="softmax_jacobian")
    with open_sandbox(candidate) as sandbox:
        trial = Trial(candidate, sandbox, EFFORTS["quick"], 0, 1.0, lambda *told: None)
        result = checks.CHECKS["aliasing"](trial)()
    assert (result.status, result.detail) == ("skipped", "no input has the size of a Jacobian")


def test_a_replay_string_is_read_back_as_written() -> None:
    """Every field of a task survives, and anything else is an error that says so."""
    quick = EFFORTS["quick"]
    made = Replay("memory", Task("kinds", 9, 32, 5, 3, 0.125), quick, 5, own_sums=True)
    assert parse(encode(made)) == made
    once = Replay("memory", Task("kinds", 9, 32, 5, 3, 0.125), quick, 5, own_sums=False)
    assert parse(encode(once)) == once
    layout = Layout("start", 15, gap=3, spread=1, apart="dy")
    apart = made._replace(task=Task("kinds", 9, 1, layout=layout))
    assert parse(encode(apart)) == apart
    special = made._replace(check="nonfinite", task=Task("NaN in the middle", 9, 1))
    text = encode(special)
    assert parse(text) == special
    assert " " not in text
    for wrong in ("values:simple:2", text.replace("NaN", "NaM")):
        with pytest.raises(ArgumentError, match="not a replay string"):
            parse(wrong)


def test_assert_verified_raises_with_the_report() -> None:
    """The exception's text names the bug."""
    with pytest.raises(RefutedError, match="diagonal-only"):
        assert_verified(diagonal, op="softmax_vjp", effort="quick")


def test_wrong_use_is_an_error_that_says_what_to_do() -> None:
    """An unknown effort and an unknown op are errors, not verdicts."""
    with pytest.raises(ArgumentError, match="quick"):
        verify(right, op="softmax_vjp", effort="slow")
    with pytest.raises(CandidateError, match="softmax_vjp"):
        verify(right, op="softmax_vpj")


@pytest.mark.parametrize(
    ("seen_by", "candidate"),
    [(["output"], in_float64), (["memory", "threads"], changes_its_input)],
)
def test_a_mutant_survives_only_without_all_checks_that_see_it(
    seen_by: list[str], candidate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the checks that see a mutant refutes it alone; without them all it passes."""
    others = {name: run for name, run in checks.CHECKS.items() if name not in seen_by}
    for name in seen_by:
        alone = {**others, name: checks.CHECKS[name]}
        monkeypatch.setattr("softjac.oracle.verdict.CHECKS", alone)
        report = verify(candidate, op="softmax_vjp", effort="quick")
        assert {result.name for result in report.checks if result.status == "fail"} == {name}
    monkeypatch.setattr("softjac.oracle.verdict.CHECKS", others)
    assert verify(candidate, op="softmax_vjp", effort="quick").verdict == "verified"


def test_every_diagnosis_has_a_rank_and_an_entry() -> None:
    """The order of diagnoses and the catalogue list the same identifiers."""
    assert set(diagnosis.RANK) == set(CATALOGUE)
