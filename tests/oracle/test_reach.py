"""What a run must not leave unsaid: calls that could not be seen, came late, or took too long."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softjac import verify
from softjac.oracle import checks, sandbox
from softjac.oracle.calls.arrays import ArrayKind
from softjac.oracle.calls.call import Outcome
from softjac.oracle.calls.native_sandbox import NativeSandbox
from softjac.oracle.candidate import load, open_sandbox
from softjac.oracle.failure import Batch
from softjac.oracle.inputs import Row, make
from softjac.oracle.ops import OPS
from softjac.oracle.planning.plan import EFFORTS, SCALES, Effort, Task, edges, lengths, tasks
from softjac.oracle.planning.probe import _may_sum_afresh, probe
from softjac.oracle.planning.shapes import ENDS
from softjac.oracle.planning.sweep import remarkable
from softjac.oracle.precision import PRECISIONS
from softjac.oracle.trial import FEW_LENGTHS, Trial
from softjac.oracle.verdict import replay

Array = np.ndarray[Any, np.dtype[Any]]
VJP = "(const float *y, const float *dy, float *dx, size_t n)"
SUM = """
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
"""


def softmax(x: Array) -> Array:
    """The textbook."""
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def vjp_from_logits(x: Array, dy: Array) -> Array:
    """The textbook, from logits."""
    y = softmax(x)
    return np.asarray(y * (dy - (y * dy).sum(axis=1, keepdims=True)))


def vjp_by_jax(x: Array, dy: Array) -> Array:
    """What a library derives."""
    import jax

    return np.asarray(jax.vjp(jax.nn.softmax, x)[1](dy)[0])


@pytest.mark.parametrize(("candidate", "derived"), [(vjp_from_logits, False), (vjp_by_jax, True)])
def test_only_a_library_takes_derivatives(candidate: Any, derived: bool) -> None:
    """What rounding of derivatives is excused is not excused in formulas written by hand."""
    loaded = load(candidate, op="softmax_vjp")
    with open_sandbox(loaded) as place:
        trial = Trial(loaded, place, EFFORTS["quick"], 0, 10.0, lambda *told: None)
        assert trial.library_derivative == derived


@pytest.mark.parametrize("array", [None, "numpy"])
def test_a_library_that_is_imported_by_the_first_call_is_seen(
    array: ArrayKind | None, tmp_path: Path
) -> None:
    """Whoever says which arrays a callable takes does not say that no library derives it."""
    file = tmp_path / "late.py"
    file.write_text(
        "import numpy\n"
        "def late(x, dy):\n"
        "    import jax\n"
        "    return numpy.asarray(jax.vjp(jax.nn.softmax, x)[1](dy)[0])\n"
        "def vjp(x, dy):\n"
        "    return late(x, dy)\n"
    )
    loaded = load(f"{file}:vjp", op="softmax_vjp", array=array)
    with open_sandbox(loaded) as place:
        trial = Trial(loaded, place, EFFORTS["quick"], 0, 10.0, lambda *told: None)
        assert trial.library_derivative


def test_an_environment_that_cannot_be_read_is_not_said_to_be_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the compiled library the check is skipped, and the limits say so."""
    monkeypatch.setattr(sandbox._library, "path", lambda: Path("nowhere.so"))
    report = verify(softmax, op="softmax", effort="quick")
    status = {check.name: check.status for check in report.checks}
    assert status["environment"] == "skipped"
    assert any("environment was not looked at" in limit for limit in report.limits)


@pytest.mark.parametrize(
    ("body", "kind"), [("abort();", "fault"), ("_Exit(3);", "exit"), ("for (;;);", "hang")]
)
def test_what_ends_a_long_series_of_calls_is_a_failure(
    body: str, kind: str, tmp_path: Path
) -> None:
    """A function that gives up at its hundredth call in a process fails where it is called so."""
    source = tmp_path / "late.c"
    source.write_text(
        f"{SUM} void f{VJP} {{ static int calls; if (++calls > 100) {{ {body} }}\n"
        "float s = 0; for (size_t i = 0; i < n; i++) s += y[i] * dy[i];\n"
        "for (size_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - s); }"
    )
    candidate = load(f"{source}:f", op="softmax_vjp", prototype=f"void f{VJP}")
    with open_sandbox(candidate, timeout=0.5) as place:
        trial = Trial(candidate, place, EFFORTS["quick"], 0, 0.5, lambda *told: None)
        result = checks.CHECKS["resources"](trial)()
    assert result.status == "fail"
    assert [failure.kind for failure in trial.failures] == [kind]


@pytest.mark.parametrize("lengths", ["n > 30 && n % 9 == 2", "n & (n - 1)"])
def test_few_calls_that_hang_are_waited_for(
    lengths: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A function that hangs at every ninth length, or at most of them, is given up soon."""
    source = tmp_path / "hangs.c"
    source.write_text(
        f"#include <math.h>\n{SUM} void f{VJP} {{ while ({lengths});\n"
        "float s = 0; for (size_t i = 0; i < n; i++) s += y[i] * dy[i];\n"
        "for (size_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - s); }"
    )
    seen: list[str] = []
    run = NativeSandbox.run

    def counting(sandbox: NativeSandbox, *calls: Any, **options: Any) -> list[Outcome]:
        made = run(sandbox, *calls, **options)
        seen.extend(outcome.status for outcome in made)
        return made

    monkeypatch.setattr(NativeSandbox, "run", counting)
    report = verify(
        f"{source}:f", op="softmax_vjp", prototype=f"void f{VJP}", effort="quick", timeout=0.3
    )
    assert [diagnosis.id for diagnosis in report.diagnoses] == ["hang"]
    assert 3 <= seen.count("hang") <= 8


@pytest.mark.parametrize(("longest", "verdict"), [(4000, "verified"), (20, "inconclusive")])
def test_what_is_slow_to_compile_is_left_out_and_not_refused(longest: int, verdict: str) -> None:
    """JAX traces longer rows for longer than the time limit: that is no hang."""
    import jax

    @jax.jit
    def unrolled(x: Any) -> Any:
        begin = time.monotonic()
        while x.shape[-1] > longest and time.monotonic() < begin + 1.0:
            jax.eval_shape(jax.nn.softmax, jax.ShapeDtypeStruct(x.shape, x.dtype))
            jax.clear_caches()
        return jax.nn.softmax(x)

    report = verify(unrolled, op="softmax", array="jax", effort="quick", timeout=0.5)
    assert report.verdict == verdict
    assert any("and more tried once at most" in limit for limit in report.limits)


def test_a_candidate_too_slow_for_rows_that_tell_is_not_verified() -> None:
    """A few lengths are too few, where only the time limit keeps others away."""

    def slow(x: Array) -> Array:
        if x.shape[1] > 6:
            time.sleep(0.12)
        return softmax(x)

    started = time.perf_counter()
    report = verify(slow, op="softmax", effort="quick", timeout=2.0)
    assert report.verdict == "inconclusive"
    assert time.perf_counter() - started < 60.0


def test_a_counterexample_of_state_at_a_long_row_fails_when_it_is_replayed() -> None:
    """Whatever length the check had found affordable it finds affordable again."""

    def wrong_at_10000(x: Array) -> Array:
        y = softmax(x)
        return y * np.float32(1.5) if x.shape[1] == 10_000 else y

    report = verify(wrong_at_10000, op="softmax", effort="quick")
    assert [found.check for found in report.counterexamples] == ["state"]
    again = replay(report.counterexamples[0].replay, wrong_at_10000, op="softmax")
    assert again.verdict == "refuted"


def test_sums_for_every_element_are_told_by_time_where_rows_are_short(tmp_path: Path) -> None:
    """An O(n) kernel of at most 512 classes gets one sum a row, an O(n²) one a sum an element."""
    source = tmp_path / "sums.c"
    source.write_text(
        f"{SUM} void once{VJP} {{ float s = 0; for (size_t i = 0; i < n; i++) s += y[i] * dy[i];\n"
        "for (size_t i = 0; i < n; i++) dx[i] = y[i] * (dy[i] - s); }\n"
        f"void afresh{VJP} {{ for (size_t i = 0; i < n; i++) {{ float s = 0;\n"
        "for (size_t j = 0; j < n; j++) s += y[j] * (dy[i] - dy[j]); dx[i] = y[i] * s; } }"
    )
    found = {}
    for name in ("once", "afresh"):
        candidate = load(
            f"{source}:{name}",
            op="softmax_vjp",
            prototype=f"void {name}{VJP}",
            assume=["n <= 512"],
        )
        with open_sandbox(candidate) as place:
            trial = Trial(candidate, place, EFFORTS["quick"], 0, 10.0, lambda *told: None)
            probe(trial)
            found[name] = trial.own_sums, len(trial.limits)
    assert found == {"once": (False, 0), "afresh": (True, 1)}


@pytest.mark.parametrize("disturbed", range(10))
def test_a_moment_of_other_work_does_not_tell_one_sum_from_many(
    disturbed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever calls take thrice as long, a row's time of 10 us and n² ns is one of many sums."""
    candidate = load(vjp_from_logits, op="softmax_vjp", assume=["n <= 512"])
    with open_sandbox(candidate) as place:
        trial = Trial(candidate, place, EFFORTS["quick"], 0, 10.0, lambda *told: None)
        probe(trial)
        run, runs = trial.run, iter(range(1000))

        def quadratic(tasks: Iterable[Task]) -> list[Batch]:
            batches, factor = run(tasks), 3 if next(runs) == disturbed else 1
            for batch in batches:
                batch.processor = factor * batch.task.size * (1e-5 + batch.task.n**2 * 1e-9)
            return batches

        monkeypatch.setattr(Trial, "run", lambda self, tasks: quadratic(tasks))
        assert _may_sum_afresh(trial)
        assert next(runs) > disturbed


def test_lengths_at_which_the_process_ends_are_not_tried_on_and_on(tmp_path: Path) -> None:
    """A new process takes its time: four for a length, and a look at every length ends early."""
    source = tmp_path / "ends.c"
    source.write_text(f"{SUM} void ends{VJP} {{ if (n > 100) _Exit(0); dx[0] = y[0] - dy[0]; }}")
    prototype = f"void ends{VJP}"
    candidate = load(f"{source}:ends", op="softmax_vjp", prototype=prototype)
    with open_sandbox(candidate) as place:
        trial = Trial(candidate, place, EFFORTS["quick"], 0, 10.0, lambda *told: None)
        probe(trial)
        remarkable(trial)
        ended = trial.shapes.ended
        assert 12 < len(ended) < 70
        assert sum(ended.values()) < 120
        length = min(ended)
        for _ in range(ENDS):
            trial.run([Task("plain", length, 1)])
        assert not trial.allows(Task("plain", length, 1))
        assert trial.allows(Task("plain", 99, 1))
        checks.CHECKS["threads"](trial)
        assert not trial.fails("threads")  # it ends when it is called alone


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_shortest_rows_alone_are_enough(n: int) -> None:
    """A candidate that takes rows of one length is judged, however short they are."""
    report = verify(softmax, op="softmax", effort="quick", assume=[f"n == {n}"])
    assert report.verdict != "refuted"
    assert not [result for result in report.checks if result.status == "fail"]


def test_every_step_of_eight_meets_every_scale() -> None:
    """So do steps of 16 and 64, among the lengths of the smallest effort and some beyond."""
    for step in (1, 8, 16, 64):
        met = {
            task.scale
            for n in range(step, 40 * step, step)
            for layer in tasks(n, EFFORTS["quick"], 0, scaled=True, several_rows=True)
            for task in layer
        }
        assert met == set(SCALES), step


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_ends_of_long_rows_are_looked_at(effort: str) -> None:
    """Each of the last six elements and of those beside powers of two, at lengths of all rests."""
    rests = set()
    for n in (n for n in lengths(EFFORTS[effort]) if n > 16_000):
        found = {
            row.at
            for layer in tasks(n, EFFORTS[effort], 0, scaled=False, several_rows=True)
            for task in layer
            if task.family == "edges"
            for row in task.specs()
        }
        if {n - 1, n - 2, n - 3, n - 4, n - 5, n - 6} <= found:
            rests.add(n % 8)
    assert rests >= {0, 4, 5, 6}
    assert {1023, 1024, 8191, 8192, 16_383} <= set(edges(20_005))


@pytest.mark.parametrize("name", ["float32", "float64", "bfloat16"])
def test_one_class_alone_is_lost_from_nothing(name: str) -> None:
    """Its exponential overflows where the maximum misses it, and the sum is 0 where that does."""
    rows = [Row("lone", "one-hot", place, 7) for place in (0, 3, 8)]
    x = make(rows, 9, OPS["softmax"], ("x",), PRECISIONS[name], 1.0)["x"].astype(np.float64)
    others = np.sort(x, axis=1)[:, :-1].max(axis=1)
    computed_in = np.float64 if name == "float64" else np.float32
    with np.errstate(over="ignore", under="ignore"):
        assert np.isinf(np.exp(-others).astype(computed_in)).all()
        assert (np.exp(others).astype(computed_in) == 0.0).all()


def test_large_cotangents_are_tried() -> None:
    """Some lie within a factor of 1000 n of the largest number."""
    task = Task("kinds", 64, 40, 3)
    inputs = make(task.specs(), 64, OPS["softmax_vjp"], ("y", "dy"), PRECISIONS["float32"], 1.0)
    assert np.abs(inputs["dy"]).max() > np.finfo(np.float32).max / (1000 * 64)


@pytest.mark.parametrize("effort", EFFORTS.values(), ids=EFFORTS)
def test_the_lengths_of_a_compiled_candidate_are_among_those_tried(effort: Effort) -> None:
    """A length that no plan has leaves a hole where a compiled candidate is never called."""
    assert {*FEW_LENGTHS} - {0} <= {*lengths(effort)}
    assert all(longer <= 8 * shorter + 1 for shorter, longer in pairwise(FEW_LENGTHS))
