"""The bounds, from both sides: honest arithmetic stays within, a fault beyond them is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from softjac.oracle import reference
from softjac.oracle.inputs import LOGITS, VECTORS, Row, make
from softjac.oracle.judging import fit
from softjac.oracle.judging.bounds import Bound
from softjac.oracle.judging.fit import judge
from softjac.oracle.judging.sample import Sample, sum_of_others
from softjac.oracle.ops import OPS
from softjac.oracle.precision import PRECISIONS

Array = np.ndarray[Any, np.dtype[Any]]
FLOAT32, FLOAT64 = PRECISIONS["float32"], PRECISIONS["float64"]


def sequential(a: Array) -> Array:
    """A sum in a plain loop."""
    return np.add.accumulate(a, axis=1, dtype=a.dtype)[:, -1:]


def lanes(a: Array) -> Array:
    """A sum in eight lanes."""
    rows, n = a.shape
    padded = np.zeros((rows, -(-n // 8) * 8), a.dtype)
    padded[:, :n] = a
    return sequential(sequential_blocks(padded.reshape(rows, -1, 8)))


def sequential_blocks(a: Array) -> Array:
    """Each lane's own sum, in sequence."""
    return np.add.accumulate(a, axis=1, dtype=a.dtype)[:, -1]


def pairwise(a: Array) -> Array:
    """NumPy's blocked pairwise sum."""
    return a.sum(axis=1, keepdims=True, dtype=a.dtype)


def compensated(a: Array) -> Array:
    """A sum rounded once."""
    return a.astype(np.float64).sum(axis=1, keepdims=True).astype(a.dtype)


SUMS = [sequential, lanes, pairwise, compensated]


def exponentials(x: Array) -> Array:
    """exp(x - max)."""
    return np.exp(x - x.max(axis=1, keepdims=True))


def base_two(x: Array) -> Array:
    """exp2((x - max) log2 e), the form of GPU kernels."""
    return np.exp2((x - x.max(axis=1, keepdims=True)) * np.float32(1.4426950408889634))


def rows_of_every_kind(n: int, op: str, roles: tuple[str, ...]) -> dict[str, Array]:
    """Inputs that pair every kind of logits with every kind of vector."""
    rows = [
        Row(logits, vector, (i * 7 + j) % n, 1000 * n + 50 * i + j)
        for i, logits in enumerate(LOGITS)
        for j, vector in enumerate(VECTORS)
    ]
    return make(rows, n, OPS[op], roles, FLOAT32, 1.0)


def worst(op: str, inputs: dict[str, Array], got: Array, *, own_sums: bool = False) -> float:
    """The worst ratio of some outputs."""
    sample = Sample(inputs, precision=FLOAT32, logarithmic=OPS[op].logarithmic)
    with np.errstate(all="ignore"):
        exact = reference.answer(OPS[op], sample)
        bound = OPS[op].bound(sample, exact[0])
        assert np.isfinite(bound.tolerance).all()
        flat = got.astype(np.float64).reshape(sample.rows, -1)
        return float(judge(reference.residual(flat, exact), bound, own_sums=own_sums).ratio.max())


def forms() -> list[Any]:
    """(op, roles, how it is computed, whether each element has sums of its own)."""
    made: list[Any] = []

    def add(
        op: str, roles: str, function: Callable[..., Array], name: str, own: bool = False
    ) -> None:
        made.append(pytest.param(op, tuple(roles.split()), function, own, id=f"{op}-{name}"))

    for total in SUMS:
        for exp in (exponentials, base_two):
            name = f"{total.__name__}-{exp.__name__}"
            add("softmax", "x", lambda x, s=total, e=exp: e(x) / s(e(x)), name)
            add(
                "softmax",
                "x",
                lambda x, s=total, e=exp: e(x) * (np.float32(1) / s(e(x))),
                name + "-reciprocal",
            )
            add(
                "log_softmax",
                "x",
                lambda x, s=total, e=exp: (x - x.max(1, keepdims=True)) - np.log(s(e(x))),
                name,
            )
        name = total.__name__
        add(
            "softmax",
            "x",
            lambda x, s=total: np.exp((x - x.max(1, keepdims=True)) - np.log(s(exponentials(x)))),
            name + "-logarithm",
        )
        add("softmax_vjp", "y dy", lambda y, v, s=total: y * (v - s(y * v)), name)
        add("softmax_vjp", "y dy", lambda y, v, s=total: y * v - y * s(y * v), name + "-two-terms")

        def from_logits(x: Array, v: Array, s: Callable[[Array], Array] = total) -> Array:
            y = exponentials(x) / s(exponentials(x))
            return y * (v - s(y * v))

        def centred(y: Array, v: Array, s: Callable[[Array], Array] = total) -> Array:
            c = s(y * v)
            e = v - c
            return y * (e - s(y * e))

        add("softmax_jvp", "x x_dot", from_logits, name)
        add("softmax_jvp", "y x_dot", centred, name + "-centred")
        add("log_softmax_vjp", "y dy", lambda y, v, s=total: v - np.exp(y) * s(v), name)
        add("log_softmax_jvp", "y x_dot", lambda y, v, s=total: v - s(np.exp(y) * v), name)
    eye = np.eye(200, dtype=np.float32)

    def jacobian(y: Array) -> Array:
        n = y.shape[1]
        return y[:, :, None] * (eye[:n, :n] - y[:, None, :])

    def log_jacobian(y: Array) -> Array:
        n = y.shape[1]
        return eye[:n, :n] - np.exp(y)[:, None, :] + np.zeros((1, n, 1), np.float32)

    def by_jacobian(y: Array, v: Array) -> Array:
        return np.einsum("rij,rj->ri", jacobian(y), v)

    add("softmax_jacobian", "y", jacobian, "plain")
    add("log_softmax_jacobian", "y", log_jacobian, "plain")
    add("softmax_vjp", "y dy", by_jacobian, "by-jacobian", own=True)
    return made


@pytest.mark.parametrize(("op", "roles", "function", "own"), forms())
def test_honest_arithmetic_never_exceeds_its_bound(
    op: str, roles: tuple[str, ...], function: Callable[..., Array], own: bool
) -> None:
    """Float32 in every usual form and order of summation stays within, on every kind of row."""
    longest = 33 if OPS[op].output == "jac" or own else 1000
    for n in (1, 2, 3, 33, longest):
        inputs = rows_of_every_kind(n, op, roles)
        with np.errstate(all="ignore"):
            got = function(*inputs.values())
        assert worst(op, inputs, got, own_sums=own) <= 1.0, n


@pytest.mark.parametrize("n", [10, 1000, 100_000])
@pytest.mark.parametrize(
    ("op", "roles"),
    [
        ("softmax", ("x",)),
        ("log_softmax", ("x",)),
        ("softmax_vjp", ("y", "dy")),
        ("softmax_vjp", ("x", "dy")),
        ("log_softmax_vjp", ("y", "dy")),
        ("log_softmax_jvp", ("x", "x_dot")),
    ],
)
def test_a_fault_of_one_element_is_seen_at_any_length(
    op: str, roles: tuple[str, ...], n: int
) -> None:
    """A fault of 1.5 times what is free of n, in one element, is refuted within 64 rows."""
    rows = [Row("normal", "normal", 0, key) for key in range(64 if n < 10_000 else 16)]
    inputs = make(rows, n, OPS[op], roles, FLOAT32, 1.0)
    sample = Sample(inputs, precision=FLOAT32, logarithmic=OPS[op].logarithmic)
    exact = reference.answer(OPS[op], sample)
    bound = OPS[op].bound(sample, exact[0])
    for place in (0, n // 2, n - 1):
        got = exact[0].copy()
        got[:, place] += 1.5 * bound.tolerance[:, place]
        assert judge(reference.residual(got, exact), bound).ratio.max() > 1.0


def test_a_common_normaliser_may_be_off_by_its_sum_and_no_more() -> None:
    """A factor common to a row is allowed up to the worst case of a sum in sequence, not beyond."""
    n = 1000
    inputs = make([Row("normal", "normal", 0, 5)], n, OPS["softmax"], ("x",), FLOAT32, 1.0)
    sample = Sample(inputs, precision=FLOAT32)
    exact = reference.answer(OPS["softmax"], sample)
    bound = OPS["softmax"].bound(sample, exact[0])
    window = bound.windows[0][0]
    assert judge(0.9 * window * exact[0], bound).ratio.max() <= 1.0
    assert judge(1.2 * window * exact[0], bound).ratio.max() > 1.0
    assert judge(0.9 * window * exact[0], bound).suspect.all()


def test_results_rounded_to_sixteen_bits_make_no_sum_suspect() -> None:
    """A JVP computed in double and rounded once: the best fit follows that rounding alone."""
    for n in (3, 8, 33, 130):
        precision = PRECISIONS["float16"]
        rows = [Row("normal", "normal", 0, key) for key in range(200)]
        inputs = make(rows, n, OPS["softmax_jvp"], ("x", "x_dot"), precision, 1.0)
        sample = Sample(inputs, precision=precision)
        exact = reference.answer(OPS["softmax_jvp"], sample)
        bound = OPS["softmax_jvp"].bound(sample, exact[0])
        got = exact[0].astype(np.float16).astype(np.float64)
        judged = judge(reference.residual(got, exact), bound)
        assert judged.ratio.max() <= 1.0
        assert not judged.suspect.any()


def test_nothing_is_excused_by_an_absolute_tolerance() -> None:
    """At n = 10^6, where outputs are 1e-6, an all-zero and a diagonal-only result are refuted."""
    rows = [Row("normal", "normal", 0, 9)]
    inputs = make(rows, 1_000_000, OPS["softmax_vjp"], ("y", "dy"), FLOAT32, 1.0)
    y, v = (array.astype(np.float64) for array in inputs.values())
    assert worst("softmax_vjp", inputs, 0.0 * y) > 1e3
    assert worst("softmax_vjp", inputs, y * (1.0 - y) * v) > 1.0


def test_the_reference_lies_within_the_enclosures() -> None:
    """The float64 JAX reference agrees with ball arithmetic on every op, on every kind of row."""
    double = PRECISIONS["float64"]
    for op in OPS.values():
        for roles in op.takes:
            rows = [Row(kind, vector, 3, 7) for kind in LOGITS for vector in ("normal", "spike")]
            inputs = make(rows, 9, op, roles, FLOAT32, 1.0)
            given: dict[str, Any] = {"scale": 1.0, "logarithmic": op.logarithmic}
            high = reference.answer(op, Sample(inputs, precision=FLOAT32, **given))[0]
            sample = Sample(inputs, precision=double, **given)
            with np.errstate(all="ignore"):
                exact = reference.answer(op, sample, proven=True)
                size = op.condition(sample, exact[0]).reshape(len(rows), -1)
                left = np.abs(reference.residual(high, exact))
                # probabilities as given sum to 1 only nearly: the two readings of the Jacobian
                largest = np.abs(sample.vector).max(1, keepdims=True) if op.vector else 1.0
                read = (4.0 * sample.defect + 2.0**-52) * largest if "y" in roles else 0.0
            assert (left <= 64.0 * double.u * size + read + 1e-300).all(), (op.name, roles)


def sample_of(op: str, dtype: str, **given: Array) -> Sample:
    """Rows as an op's bound sees them."""
    logarithmic = OPS[op].logarithmic
    return Sample(given, precision=PRECISIONS[dtype], logarithmic=logarithmic)


def test_every_reading_of_the_jacobian_at_rounded_probabilities_is_honest() -> None:
    """y of 16 bits sums to 1 only nearly: textbook, centred and the reference's form all pass."""
    y = np.full((1, 3), 0.333984375)
    dy = np.array([[0.546875, 1.171875, 1.109375]])
    sample = sample_of("softmax_vjp", "bfloat16", y=y, dy=dy)
    exact = reference.answer(OPS["softmax_vjp"], sample)
    bound = OPS["softmax_vjp"].bound(sample, exact[0])
    s = (y * dy).sum()
    for c in (0.0, s, 1.109375):
        e = dy - c
        got = (y * (e - (y * e).sum())).astype(ml_dtypes.bfloat16).astype(np.float64)
        assert judge(reference.residual(got, exact), bound).ratio[0] <= 1.0
    wrong = (y * (dy - 1.01 * s)).astype(ml_dtypes.bfloat16).astype(np.float64)
    assert judge(reference.residual(wrong, exact), bound).ratio[0] > 1.0


def test_the_textbook_is_honest_where_the_reference_centres_beside_every_entry() -> None:
    """Equal log-probabilities of 16 bits sum to 0.987: s (2 - Σ p) is past the entry next to s."""
    y = np.full((1, 63), -4.15625)
    x_dot = np.linspace(-0.95, 1.1, 63)[None, :].astype(ml_dtypes.bfloat16).astype(np.float64) + 8.0
    sample = sample_of("log_softmax_jvp", "float32", y=y, x_dot=x_dot)
    exact = reference.answer(OPS["log_softmax_jvp"], sample)
    bound = OPS["log_softmax_jvp"].bound(sample, exact[0])
    got = x_dot - (np.exp(y) * x_dot).sum()
    assert judge(reference.residual(got, exact), bound).ratio[0] <= 1.0


@pytest.mark.parametrize("size", [1.0, 1e246])
def test_one_class_with_all_the_probability_leaves_room_for_rounding(size: float) -> None:
    """log_softmax_jvp in float64, where x_dot_k - s cancels to the last bit in plain float64."""
    y = np.where(np.arange(8) == 0, 0.0, -40.0)[None, :]
    x_dot = size * np.array([[1.3, -0.7, 2.9, 0.4, -1.1, 0.9, -2.2, 1.7]])
    sample = sample_of("log_softmax_jvp", "float64", y=y, x_dot=x_dot)
    exact = reference.answer(OPS["log_softmax_jvp"], sample)
    bound = OPS["log_softmax_jvp"].bound(sample, exact[0])
    p = np.exp(y)
    centred = x_dot - x_dot[:, :1]
    for got in (x_dot - (p * x_dot).sum(), centred - (p * centred).sum()):
        judged = judge(reference.residual(got, exact), bound)
        assert judged.ratio[0] <= 1.0
    wrong = centred - (p * centred).sum()
    wrong[0, 3] *= 1 + 1e-14
    assert judge(reference.residual(wrong, exact), bound).ratio[0] > 1.0


def test_a_masked_entry_has_probability_zero_exactly() -> None:
    """Flushing excuses 1e-38 for a small probability, not for exp(-inf)."""
    x = np.array([[0.0, -np.inf, -200.0]])
    sample = sample_of("softmax", "float32", x=x)
    exact = reference.answer(OPS["softmax"], sample)
    bound = OPS["softmax"].bound(sample, exact[0])
    for got, fine in [([1, 0, 0], True), ([1, 0, 1e-38], True), ([1, 1e-38, 0], False)]:
        residual = reference.residual(np.array([got], np.float64), exact)
        with np.errstate(all="ignore"):  # as a trial does: an infinite ratio is one
            assert bool(judge(residual, bound).ratio[0] <= 1.0) is fine


@pytest.mark.parametrize("op", ["softmax_vjp", "softmax_jvp"])
def test_tiny_probabilities_beside_huge_vectors_may_be_flushed(op: str) -> None:
    """The bound's own products do not underflow, and the mean of flushed terms alone may be 0."""
    rng = np.random.default_rng(0)
    y = np.ldexp(rng.random((4000, 5)) + 1.0, rng.integers(-1074, -960, (4000, 5)))
    y[:, 0] = 1.0
    v = rng.normal(size=y.shape) * 1e246
    v[::2, 0] = 0.0
    flushed = np.where(y < FLOAT64.tiny, 0.0, y)
    got = flushed * (v - sequential(flushed * v))
    sample = Sample({"y": y, OPS[op].vector: v}, precision=FLOAT64)
    exact = reference.answer(OPS[op], sample)
    bound = OPS[op].bound(sample, exact[0])
    for own_sums in (False, True):
        ratio = judge(reference.residual(got, exact), bound, own_sums=own_sums).ratio
        assert ratio.max() <= 1.0


def test_an_error_beyond_every_multiple_of_its_tolerance_is_refuted() -> None:
    """Error over tolerance may overflow where next to nothing is allowed: no number explains it."""
    windows = (np.array([1e-7]), np.array([1e-7]))
    directions = (np.array([[0.0, 1.0]]), np.array([[0.0, 2.0]]))
    bound = Bound(np.array([[5e-324, 1e-7]]), directions, windows, windows)
    with np.errstate(over="ignore", invalid="ignore"):
        judged = judge(np.array([[1.0, 0.0]]), bound)
    assert not judged.ratio[0] <= 1.0
    assert judged.index[0] == 0


def test_an_element_too_far_off_for_any_numbers_needs_no_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It refutes its row, as the exact linear program would, which takes milliseconds."""
    monkeypatch.setattr(fit, "_linear_program", lambda *program: pytest.fail("not needed"))
    windows = (np.array([3.0]), np.array([2.0]))
    directions = (np.array([[1.0, 0.5, 0.0]]), np.array([[0.0, 1.0, 1.0]]))
    bound = Bound(np.ones((1, 3)), directions, windows, windows)
    for element, most in [(0, 4.0), (1, 4.5), (2, 3.0)]:
        residual = np.where(np.arange(3) == element, 1.01 * most, 0.0)[None, :]
        assert judge(residual, bound).ratio[0] > 1.0


def test_an_element_that_hardly_moves_with_the_number_decides_nothing() -> None:
    """A subnormal slope, of a class with next to no probability, leaves the row's number free."""
    directions = (np.array([[1e-313, 1.0]]),)
    bound = Bound(np.array([[1.0, 1e-7]]), directions, (np.array([1.0]),), (np.array([0.1]),))
    judged = judge(np.array([[-0.5, 0.5]]), bound)
    assert judged.ratio[0] <= 1.0
    assert judged.suspect[0]


def test_what_is_beside_a_dominant_element_is_not_lost() -> None:
    """Σ_{j≠i} of [1, 4e-18, 1e-30] is exact to the last bits in every place, as 1 - y is not."""
    y = np.array([[1.0, 4e-18, 1e-30]])
    assert np.allclose(sum_of_others(y), [[4e-18 + 1e-30, 1.0, 1.0]], rtol=1e-15, atol=0.0)
    sample = Sample({"y": y}, precision=FLOAT64)
    assert np.allclose(sample.rest, [[4e-18 + 1e-30, 1.0, 1.0]], rtol=1e-15, atol=0.0)
    sample = Sample({"x": np.log(y)}, precision=FLOAT64)
    diagonal = OPS["softmax_jacobian"].formula(sample).reshape(3, 3)[0, 0]
    assert np.isclose(diagonal, 4e-18, rtol=1e-12, atol=0.0)
