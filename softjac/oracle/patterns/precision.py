"""Errors of rounding: those of a large offset, and those of a narrower type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence, wrong_places
from softjac.oracle.explaining.inquiry import ask
from softjac.oracle.failure import counted
from softjac.oracle.patterns.sizes import sound_lengths
from softjac.oracle.trial import Trial

__all__ = [
    "LEAST",
    "NARROWER",
    "few_bits",
    "have_bits",
    "narrower",
    "of_sum",
    "offset",
    "too_late",
    "twice",
]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

# How many bits the types hold that are narrower than one: bfloat16, float16, float32.
NARROWER = {"float64": (8, 11, 24), "float32": (8, 11)}
# One rounding to a narrower type shows in rows so short, where a sum of many small errors does not.
SHORT = 130
# What the narrower type's rounding comes to somewhere, relative to a row's largest element.
LEAST = {"float64": 2.0**-28, "float32": 2.0**-14, "bfloat16": 0.0, "float16": 0.0}


def offset(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Errors of a few roundings of the largest logit, or one a class, on rows far from 0 only.

    Where such a rounding is more than any exponential bears, and equal logits show it, the error is
    whatever it may be.
    """
    if "x" not in trial.candidate.inputs:
        return
    least, most, rows, lost, level = np.inf, 0.0, 0, False, False
    for item in items:
        size = _size(item)
        if item.failed.any():
            least = min(least, float(size[item.failed].min()))
            with np.errstate(all="ignore"):
                scale = np.abs(item.exact) if trial.op.name != "log_softmax" else 1.0
                off = np.abs(item.got - item.exact) - item.own
                off = np.where(item.got == item.exact, 0.0, off)  # -inf too
                roundings = 8.0 + item.sample.n  # one for each, where a logarithm is added up
                moved = np.minimum(roundings * item.precision.u * size[:, None], 700.0)
                allowed = (np.expm1(moved) if trial.op.name != "log_softmax" else moved) * scale
            bad = item.failed & ~(np.where(np.isnan(off), np.inf, off - allowed) <= 0).all(axis=1)
            if (bad & (item.precision.u * size < 10.0)).any():
                return
            lost |= bool(bad.any())
            level |= bool((bad & (item.sample.gap == 0.0).all(axis=1)).any())
            rows += int(item.failed.sum())
        near = item.passed & (size < 4.0)
        most = max(most, float(near.any()))
    far = 4.0 if trial.op.name == "log_softmax" else 8.0  # the nearly sure class shows it sooner
    seen = rows > 1 and least > far and most and (level or not lost)
    if seen and not _wrong_when_centred(trial, items):
        told = counted(rows, "row")
        words = f"errors of the size of u · |x| on {told}, each with |x| above {least:.3g}"
        yield "offset-sensitive", 1.0, words


def _wrong_when_centred(trial: Trial, items: list[Evidence]) -> bool:
    """Whether rows that failed are wrong, all of them, with a largest logit of 0 too."""
    asked = 0
    for item in items:
        rows = np.flatnonzero(item.failed)[:4]
        if rows.size and item.sample.scale == 1.0:
            z = item.sample.z[rows]
            vector = None if item.vector is None else item.vector[rows]
            batch = ask(trial, z - z.max(axis=1, keepdims=True), vector)
            if batch is not None and not batch.failed().all():
                return False
            asked += 1
    return asked > 0


def _size(item: Evidence) -> Array:
    """The largest |z| of each row."""
    z = item.sample.z
    return np.asarray(np.where(np.isfinite(z), np.abs(z), 0.0).max(axis=1))


def few_bits(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """The wrong results are numbers that a narrower type holds, and so are the right ones."""
    given, right = [np.empty(0)], [np.empty(0)]
    for item in items:
        rows = item.failed & item.plain
        wrong = wrong_places(item)[item.plain[item.failed]]
        given.append(item.got[rows][wrong])
        right.append(item.got[item.passed & item.plain].ravel())
    others = np.abs(np.concatenate(right))
    for bits in NARROWER.get(trial.precision.name, ()):
        if have_bits(np.abs(np.concatenate(given)), bits, 0.0):
            if others.any() and not have_bits(others, bits, 0.0, least=1):
                return
            yield "low-precision", 1.0, f"the wrong results are numbers of {bits} bits"
            return


def of_sum(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """What is made of the sum has few bits: its logarithm, its reciprocal, or the sum itself.

    At the largest logit, whose exponential is 1, it is the result alone.
    """
    forms: dict[str, Callable[[Array], Array]]
    if trial.op.name == "log_softmax":
        forms = {"the logarithm of the sum": lambda top: -top}
    elif trial.op.name == "softmax":
        forms = {"the reciprocal of the sum": lambda top: top, "the sum": lambda top: 1.0 / top}
    else:
        return
    wrong, right = [np.empty((2, 0))], [np.empty((2, 0))]
    for item in items:
        top = item.sample.gap == 0.0
        for rows, shown in ((item.failed, wrong), (item.passed, right)):
            kept = rows & item.plain
            shown.append(np.stack([a[kept][top[kept]] for a in (item.got, item.exact)]))
    for noun, form in forms.items():
        (few, exact), (others, _) = (form(np.hstack(shown)) for shown in (wrong, right))
        unit = 0.0 if noun != "the sum" else trial.precision.u  # of a division
        for bits in NARROWER.get(trial.precision.name, ()):
            if have_bits(few, bits, unit) and _are_near(few, exact, bits):
                if not others.any() or have_bits(others, bits, unit, least=1):
                    yield "low-precision", 1.0, f"{noun} has {bits} bits"
                    return
                break


def _are_near(values: Array, exact: Array, bits: int) -> bool:
    """Whether nearly all values are as near to the exact ones as so many bits allow."""
    return bool((np.abs(values - exact) <= 2.0 ** (2 - bits) * np.abs(exact)).mean() > 0.95)


def narrower(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Errors of the size of a narrower rounding, everywhere; in wide storage to either side."""
    if trial.op.name == "softmax" and _is_affine(items):
        return
    worst, of_logits, off_bound, elements, larger = 0.0, 0.0, 0, 0, 0
    wrong_ones = [item for item in items if (item.failed & item.plain).any()]
    short = [item for item in wrong_ones if item.sample.n <= SHORT]
    for item in short or wrong_ones:
        rows = item.failed & item.plain
        wrong = wrong_places(item)[item.plain[item.failed]]
        off_bound, elements = off_bound + int(wrong.sum()), elements + wrong.size
        larger += int((wrong & (item.got[rows] > item.exact[rows])).sum())
        with np.errstate(all="ignore"):
            size = np.where(np.isfinite(item.exact[rows]), np.abs(item.exact[rows]), 0.0)
            largest = size.max(axis=1, keepdims=True)
            if item.vector is not None:
                largest = largest + np.abs(item.vector[rows]).max(axis=1, keepdims=True)
            off = np.abs(item.got - item.exact)[rows] / (size + largest)
        off = np.where(item.got[rows] == item.exact[rows], 0.0, off)
        off = np.where(np.isnan(off), np.inf, off)
        worst = max(worst, float(off.max()))
        of_logits = max(of_logits, float((off / (1.0 + _logits(trial, item)[rows])).max()))
    if not elements:
        return
    few = of_logits < 4.0 * trial.precision.u_out  # so few roundings that a row may pass by chance
    if not few and not LEAST[trial.precision.name] <= worst < 2.0**-5:
        return
    one_sided = not 0.02 * off_bound < larger < 0.98 * off_bound
    if trial.op.vector is None and not trial.precision.u_out and one_sided:
        return  # what is always too small, or too large, was not rounded
    failing = {item.sample.n for item in wrong_ones}
    if too_late(trial, min(failing)):
        return
    sound = sound_lengths(trial)
    if not few and any(min(failing) < n < max(failing) for n in sound):
        return  # a matter of lengths
    if (5 * off_bound > elements or few) and not _goes_by_place(trial):
        yield "low-precision", 1.0, f"errors up to {worst:.2g} of the row's largest element"


def _goes_by_place(trial: Trial) -> bool:
    """Whether equal logits give another result in most places of a row, as no rounding does."""
    if trial.op.vector is not None or trial.op.output == "jac":
        return False
    batch = ask(trial, np.zeros((1, 33)))
    return batch is not None and 2 * np.unique(batch.got).size > batch.got.size


def _logits(trial: Trial, item: Evidence) -> Array:
    """The size of a row's logits, where their rounding may have come into the result, `(rows, 1)`.

    Relative to it is an error of a probability, and of a log-probability next to one of its size.
    """
    if trial.op.vector is not None or not item.sample.from_logits:
        return np.zeros((item.batch.rows, 1))
    return _size(item)[:, None]


def too_late(trial: Trial, shortest: int) -> bool:
    """Whether rows are right up to a length at which few bits would have shown.

    One rounding to a narrower type is far beyond the bound of a few terms; where the storage itself
    is narrow, and its rounding allowed, it takes hundreds.
    """
    sound = trial.lengths.keys() - trial.wrong_lengths
    most = 500 if trial.precision.u_out else 64
    return shortest > most and any(8 < n < shortest for n in sound)


def _is_affine(items: list[Evidence]) -> bool:
    """Whether a factor and a constant of each row make its errors, as no rounding does."""
    rows = affine = 0
    for item in items:
        for row in np.flatnonzero(item.failed & item.plain):
            exact, got = item.exact[row], item.got[row]
            if (exact > 0.1 * exact.max()).sum() < 8 or np.ptp(exact) < 0.1 * exact.max():
                continue
            off = got - exact
            both = np.stack([exact, np.ones_like(exact)], axis=1)
            if not np.isfinite(off).all():
                return False
            left = off - both @ np.linalg.lstsq(both, off, rcond=None)[0]
            scaled = off - exact * (off @ exact) / (exact @ exact)
            rows += 1
            affine += bool(np.linalg.norm(left) < 0.05 * np.linalg.norm(scaled))
    return rows >= 3 and affine > 0.9 * rows


def twice(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """In 16-bit storage: no element is off by more than two of its own roundings, either way."""
    if not trial.precision.u_out:
        return
    signs = []
    for item in items:
        rows = item.failed & item.plain
        exact, got = item.exact[rows], item.got[rows]
        with np.errstate(all="ignore"):
            off = np.abs(got) - np.abs(exact)
            allowed = item.own[rows] + 1.2 * item.precision.u_out * np.abs(exact)
            if not (np.abs(got - exact) <= allowed).all():
                return
        wrong = wrong_places(item)[item.plain[item.failed]]
        _, first = np.unique(exact[wrong], return_index=True)  # equal elements are rounded alike
        signs.append(off[wrong][first] > 0.0)
    larger = np.concatenate(signs) if signs else np.empty(0)
    if larger.size >= 16 and 0.1 < larger.mean() < 0.9:
        yield "low-precision", 1.0, "wrong elements are off by less than two roundings of their own"


def have_bits(values: Array, bits: int, unit: float, least: int = 9) -> bool:
    """Whether nearly all positive values are, up to a few roundings, numbers of so many bits."""
    mantissa = np.frexp(values[(values > 0.0) & np.isfinite(values)])[0] * 2.0**bits
    off = np.abs(mantissa - np.rint(mantissa))
    several = np.unique(mantissa).size >= least
    return bool(several and (off <= 4.0 * unit * 2.0**bits).mean() > 0.95)
