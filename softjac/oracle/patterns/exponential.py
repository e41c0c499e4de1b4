"""Errors that are those of exp(-r) alone, r the distance from the maximum: it is measured.

A row has some logits 0 and all others -r, so that the quotient of two results is exp(-r) as the
candidate has it, whatever its sum. It is measured twice, with few logits 0 and with few others, in
other places and at another offset: an exponential gives the same quotient again, a rounded result
or a wrong shift does not. Where log-probabilities are given, they are 0 and -r as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence
from softjac.oracle.explaining.inquiry import ask, lengths
from softjac.oracle.patterns.precision import NARROWER, have_bits
from softjac.oracle.trial import Trial

__all__ = ["exponential"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

# Whole vectors first: the tail's exponential may be another function.
PREFERRED = (64, 128, 32, 16, 8)
# Added to the logits of the second measurement; and the unit of the distances, so that they stay
# what they are.
OFFSETS = {"float64": 256.0, "float32": 32.0, "bfloat16": 8.0, "float16": 8.0}
UNITS = {"float64": 2.0**-42, "float32": 2.0**-16, "bfloat16": 2.0**-4, "float16": 2.0**-6}
DEEPEST = {"float64": 600.0, "float32": 80.0, "bfloat16": 16.0, "float16": 9.0}


def exponential(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """The exponential is wrong; or it is right, but its argument or result has few bits."""
    if "x" not in trial.candidate.inputs and not trial.op.logarithmic:
        return
    for n in lengths(trial, PREFERRED, least=6, most=1100)[:2]:
        found = next(_measured(trial, n), None)
        if found is not None and not _contradicted(trial, items, n):
            yield found


def _measured(trial: Trial, n: int) -> Iterator[Explained]:
    """What the exponential of one length shows."""
    gaps = _gaps(trial)
    few, many = _quotients(trial, gaps, n, 2), _quotients(trial, gaps, n, n - 3)
    if few is None or many is None:
        return
    with np.errstate(all="ignore"):
        exact = np.exp(-gaps)[:, None]
        relative = ((24.0 + 4.0 * gaps) * trial.precision.u + 4.0 * trial.precision.u_out)[:, None]
        off = np.abs(few - exact) - _blurred(trial, exact, n, 2)
        wrong = np.asarray(~(off <= relative * exact).all(axis=1))
        size = relative * np.maximum(np.abs(few[:, :1]), exact)
        size = size + np.maximum(_blurred(trial, exact, n, 2), _blurred(trial, exact, n, n - 3))
        both = np.hstack([few, many])
        same = (np.abs(both - few[:, :1]) <= size) | (~np.isfinite(both) & ~np.isfinite(few[:, :1]))
        error = np.where(wrong, few[:, 0] / exact[:, 0] - 1.0, 0.0)
        error = np.nan_to_num(error, nan=1e300, posinf=1e300)
    confirmed = same.all(axis=1)[wrong]
    if confirmed.sum() < 3 or (~confirmed).sum() > max(1, confirmed.size // 10):
        return
    if np.median(np.abs(error[gaps < 0.1])) > 0.5:
        return  # not even near 0 is it an exponential
    if not _same_alone(trial, gaps, few, size, wrong, n):
        return  # a matter of the other rows of its call
    storable = exact[:, 0] > 8.0 * n * trial.precision.tiny
    lost = (many == 0.0).all(axis=1) & ~wrong & storable
    if lost.sum() > 2 and (few[wrong] == 0.0).all():
        return  # small results are lost, whatever the exponential was
    if not np.isfinite(few[wrong]).any():
        return  # no exponential of what is below 0 overflows: it is a wrong shift
    worst = float(np.abs(error).max())
    if np.ptp(error[gaps < 1.0]) < 0.1 * worst and wrong.all():
        return  # a factor on some elements, whatever their distance
    few_bits = np.frexp(gaps)[0] * 32.0 % 1.0 == 0.0
    beyond = ~few_bits & (gaps > gaps[wrong].min()) & (gaps < DEEPEST[trial.precision.name])
    if not wrong[few_bits].any() and beyond.any() and wrong[beyond].mean() > 0.5:
        yield "low-precision", 1.0, f"x - max has few bits: exp is off by {worst:.2g} else"
        return
    value = few[:, 0]
    for bits in NARROWER.get(trial.precision.name, ()):
        if have_bits(value[wrong], bits, trial.precision.u):
            yield "low-precision", 1.0, f"every exp(x - max) has {bits} bits"
            return
    if _is_clamped(value, wrong, gaps):
        least = -np.log(value[wrong].max())
        yield "exp-clamped", 1.0, f"exp(x - max) never falls below exp(-{least:.4g})"
        return
    factor = _factor(trial, gaps, value)
    if factor is not None:
        words = f"exp(x - max), measured, is exp({factor:.6g} (x - max))"
        yield "inaccurate-exp" if _of_another_base(factor) else "unknown", 1.0, words
        return
    near, far = gaps[wrong].min(), gaps[wrong].max()
    words = f"exp(x - max), measured, is wrong for x - max from {-far:.4g} to {-near:.4g}"
    yield "inaccurate-exp", 1.0, words


def _same_alone(trial: Trial, gaps: Array, few: Array, size: Array, wrong: Array, n: int) -> bool:
    """Whether some of the wrong quotients are the same in calls of one row."""
    if not trial.candidate.takes_rows:
        return True
    places = np.flatnonzero(wrong)
    for place in places[np.linspace(0, places.size - 1, 8).astype(int)]:
        alone = _quotients(trial, gaps[[place]], n, 2)
        if alone is None:
            return False
        there, here = few[place, 0], alone[0, 0]
        both_lost = not np.isfinite(there) and not np.isfinite(here)
        if not both_lost and not abs(here - there) <= size[place, 0]:
            return False
    return True


def _factor(trial: Trial, gaps: Array, value: Array) -> float | None:
    """The factor c where every exp(-r) is exp(-c r), up to rounding, and c is not 1."""
    seen = (gaps > 0.5) & (value > 1e4 * trial.precision.tiny) & (value < 1.0)
    if seen.sum() < 16 or not (value[gaps > 0.5] < np.inf).all():
        return None
    factors = -np.log(value[seen]) / gaps[seen]
    factor = float(np.median(factors))
    slack = (24.0 / gaps[seen] + 4.0) * (trial.precision.u + trial.precision.u_out)
    straight = (np.abs(factors - factor) <= slack * max(factor, 1.0)).all()
    return factor if straight and abs(factor - 1.0) > 1e-2 else None


def _of_another_base(factor: float) -> bool:
    """Whether a factor is that of powers of 2 or of 10, or its inverse."""
    logarithms = np.log([2.0, 10.0])
    return bool((np.abs(np.log(factor / np.append(logarithms, 1.0 / logarithms))) < 1e-3).any())


def _contradicted(trial: Trial, items: list[Evidence], n: int) -> bool:
    """Whether rows passed that could not, had they the exponential measured at this length.

    Shorter rows, and rows of whole vectors only, may have another exponential.
    """
    if trial.op.name != "softmax":  # elsewhere a result is no quotient of two exponentials
        return False
    told = [i for i in items if i.sample.n == n or (i.sample.n > n and i.sample.n % 4)]
    for item in [i for i in told if (i.passed & i.plain).any() and i.sample.n <= 1100][:6]:
        row = np.flatnonzero(item.passed & item.plain)[-1:]
        weights = _quotients(trial, item.sample.finite_gap[row[0]], n, 2)
        if weights is None:
            return True
        with np.errstate(all="ignore"):
            weight = np.where(item.sample.masked[row[0]], 0.0, weights[:, 0])
            weight = np.where(item.sample.gap[row[0]] == 0.0, 1.0, weight)
            made = weight / weight.sum()
            off = np.abs(made - item.exact[row[0]]) - 4.0 * item.own[row[0]]
        sound = item.faint[row[0]] | (made == item.exact[row[0]]) | (off <= 0.0)
        if not sound.all():
            return True
    return False


def _gaps(trial: Trial) -> Array:
    """Distances to measure at: first those of few bits, then those of many, then far ones."""
    name = trial.precision.name
    deepest, unit = DEEPEST[name], UNITS[name]
    edge = np.linspace(deepest, max(deepest + 8.0, -np.log(trial.precision.tiny) + 4.0), 64)
    farthest = min(2.0**34, trial.precision.largest / 8.0)
    far = 2.0 ** np.arange(np.log2(deepest), np.log2(farthest), 0.125)
    far = np.concatenate([np.rint(edge * 4.0) / 4.0, np.rint(far)])
    if trial.precision.u_out:
        far = far.astype(trial.dtype).astype(np.float64)
        return np.concatenate([np.arange(unit, deepest, unit), far])
    octave = 2.0 ** np.arange(-6, np.floor(np.log2(deepest)))
    small = (octave[:, None] * np.linspace(1.0, 2.0, 16, endpoint=False)).ravel()
    place = np.modf(np.arange(1, small.size + 1) * 0.6180339887498949)[0]
    large = deepest**place * 2.0 ** (-6.0 * (1.0 - place))
    return np.concatenate([small, np.rint(large / unit) * unit, far])


def _quotients(trial: Trial, gaps: Array, n: int, tops: int) -> Array | None:
    """exp(-r) as the candidate has it in each place but those of the tops, `(gaps, places)`.

    The tops come first where there are two, else last.
    """
    op = trial.op
    logits = np.repeat(-gaps[:, None], n, axis=1)
    at = np.arange(n)[:tops] if tops == 2 else np.arange(n)[-tops:]
    logits[:, at] = 0.0
    if tops != 2 and "x" in trial.candidate.inputs:
        logits += OFFSETS[trial.precision.name]
    first, second = int(at[0]), int(at[1])
    rest = np.setdiff1d(np.arange(n), at)
    if op.name == "log_softmax_jvp":  # the probability of the place that the tangent points to
        return _by_tangents(trial, logits, first, second, rest)
    vector = np.zeros((len(gaps), n))
    vector[:, first] = 1.0
    batch = ask(trial, logits, vector, plain=op.logarithmic)
    if batch is None:
        return None
    got = batch.got
    with np.errstate(all="ignore"):
        if op.name == "log_softmax":
            return np.asarray((np.exp(-got[:, [first]]) - tops) / (n - tops))
        if op.output == "jac":
            got = got.reshape(-1, n, n)[:, first]
        base = first if op.name == "softmax" else second
        return np.asarray(got[:, rest] / got[:, [base]])


def _by_tangents(trial: Trial, logits: Array, first: int, second: int, rest: Array) -> Array | None:
    """The same for log_softmax's JVP, which shows one probability a call."""
    shown = []
    for place in (second, int(rest[0]), int(rest[-1])):
        vector = np.zeros_like(logits)
        vector[:, place] = 1.0
        batch = ask(trial, logits, vector, plain=True)
        if batch is None:
            return None
        shown.append(batch.got[:, [first]])
    with np.errstate(all="ignore"):
        return np.asarray(np.hstack(shown[1:]) / shown[0])


def _blurred(trial: Trial, exact: Array, n: int, tops: int) -> Array:
    """How far a quotient may be from exp(-r) beside a few roundings of it.

    By what is flushed, relative to a largest element of 1/n at least; and where it comes from the
    logarithm of a sum, by that sum's rounding.
    """
    blurred = np.full(exact.shape, 8.0 * n * trial.precision.tiny)
    if trial.op.name == "log_softmax":
        unit = trial.precision.u + trial.precision.u_out
        blurred = blurred + (16.0 + n) * unit * (tops / (n - tops) + exact)
    return blurred


def _is_clamped(values: Array, wrong: Array, gaps: Array) -> bool:
    """Whether the wrong ones are one number, at all distances past the right ones."""
    past = gaps >= gaps[wrong].min()
    floor = values[wrong]
    steady = bool(floor.min() > 0.0 and np.ptp(floor) <= 1e-3 * floor.max() < np.inf)
    return steady and bool(wrong[past].all())
