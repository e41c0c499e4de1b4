"""Formulas people write by mistake, held against what the candidate gave."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle.evidence import Evidence, evidence
from softjac.oracle.failure import counted
from softjac.oracle.inquiry import ask, overflowing
from softjac.oracle.op import Mistake
from softjac.oracle.sample import Sample
from softjac.oracle.trial import Trial

__all__ = ["explain_by_formula"]

Array = np.ndarray[Any, np.dtype[Any]]

ENOUGH = 0.95  # of the failing rows
# What only a vector loop does is not said where a formula for any row explains as much.
IN_VECTORS = ("pointer-not-advanced", "tail-ignored", "tail-leaks-in")


def explain_by_formula(trial: Trial) -> list[tuple[str, float, str]]:
    """The mistakes that explain the failing values, each with its share and evidence."""
    items = evidence(trial)
    if not any(item.failed.any() for item in items):
        return []
    found = []
    for mistake in trial.op.mistakes:
        if mistake.layout and not trial.candidate.takes_rows:
            continue
        share, rows = _share(mistake, items)
        if share >= ENOUGH:
            words = f"{mistake.id} gives the same on {share:.0%} of {counted(rows, 'failing row')}"
            found.append((mistake, share, words))
    if found:
        sound = _rows_beside(trial)
        found = [item for item in found if not any(_fails_at(item[0], other) for other in sound)]
    if any(mistake.everywhere and not mistake.layout for mistake, _, _ in found):
        found = [item for item in found if _of_a_row(item[0])]
    named = [(mistake.id, share, words) for mistake, share, words in found]
    factor = _wrong_factor(items)
    if factor is not None and not named:
        named.append(factor)
    return named


def _rows_beside(trial: Trial) -> list[Evidence]:
    """Rows with one high logit in each place, of the lengths next to those where some failed."""
    failing = {f.batch.task.n for f in trial.failures if f.kind == "value"} | trial.wrong_lengths
    longest = 33 if trial.op.output == "jac" else 130
    sound = sorted(n for n in trial.lengths - failing if 1 < n <= longest)
    below, above = min(failing), max(failing)
    found = []
    for n in (*[n for n in sound if n < below][-1:], *[n for n in sound if n > above][:1]):
        peak = np.eye(n, dtype=bool)
        for depth in (10.0, overflowing(trial)):
            batch = ask(trial, np.where(peak, 0.0, -depth), np.where(peak, 1.0, -0.5))
            if batch is not None and batch.exact is not None:
                found.append(Evidence(trial, batch))
                found[-1].plain[:] = True
    return found


def _fails_at(mistake: Mistake, item: Evidence) -> bool:
    """Whether the mistake would have failed on a row that passed."""
    if not mistake.applies(item.sample):
        return False
    return _contradicted(item, *_predicted(mistake, item)[2:])


def _of_a_row(mistake: Mistake) -> bool:
    """Whether a mistake needs neither vectors nor other rows to be told."""
    return not mistake.layout and (mistake.everywhere or mistake.id not in IN_VECTORS)


def _share(mistake: Mistake, items: list[Evidence]) -> tuple[float, int]:
    """Which part of the failing rows the mistake explains; 0 if it fails where others passed.

    Rounding decides whether a row that is barely wrong fails: a quarter of the rows must be
    foreseen to fail, and a row that passed contradicts only a prediction that is clearly wrong,
    and is not what the candidate gave.
    """
    explained = foreseen = judged = telling = 0
    for item in items:
        if not mistake.applies(item.sample):
            judged += int((item.failed & item.plain).sum())
            continue
        values, unsure, off, alike = _predicted(mistake, item)
        if _contradicted(item, off, alike):
            return 0.0, 0
        counts = item.failed & (item.plain | alike)
        judged += int(counts.sum())
        explained += int((counts & alike).sum())
        telling += int((item.failed & item.plain & alike).sum())
        faint = item.faint & (np.abs(values) < 1e4 * item.precision.tiny)
        made = np.where(unsure | (values == item.exact) | faint, item.exact, values)
        foreseen += int(item.refutes(made, counts & alike & (off <= 1.0)).sum())
        foreseen += int((counts & alike & ~(off <= 1.0)).sum())
        if judged > 20 and explained < 0.5 * judged:
            return 0.0, judged
    if 4 * foreseen < judged or not telling:
        return 0.0, judged
    return explained / judged, judged


def _predicted(mistake: Mistake, item: Evidence) -> tuple[Array, Array, Array, Array]:
    """The values of a mistake, where it is unsure, each row's error over bound, rows given so."""
    with np.errstate(all="ignore"):
        predicted = np.ma.asarray(mistake.predict(item.sample)).reshape(item.got.shape)
        unsure = np.ma.getmaskarray(predicted)
        values = predicted.filled(0.0)
        sound = unsure | (values == item.exact) | item.faint
        off = np.where(sound, 0.0, np.abs(values - item.exact) / item.own).max(axis=1)
        alike = np.asarray((_alike(item, values) | unsure).all(axis=1))
    return values, unsure, off, alike


def _contradicted(item: Evidence, off: Array, alike: Array) -> bool:
    """Whether a row passed for which something else is clearly predicted."""
    return bool((~(off <= 4.0) & ~alike & item.passed & item.plain).any())


def _alike(item: Evidence, predicted: Array) -> Array:
    """Which elements the candidate computed as predicted, up to the rounding of either.

    That is the bound, a sum's rounding of the predicted element, and, but for probabilities, which
    nothing is subtracted from, a few of the row's largest.
    """
    size = np.where(np.isfinite(predicted), np.abs(predicted), 0.0)
    depth = 2.0 * item.sample.n + 64.0
    largest = 0.0 if item.positive else size.max(axis=1, keepdims=True)
    slack = 2.0 * item.own + item.precision.u * (depth * size + 8.0 * largest)
    if item.vector is not None:  # a wrong formula may leave a large part of it to cancel
        roundings = 4.0 + 2.0 * np.sqrt(item.sample.n)
        cancelled = np.abs(item.vector).max(axis=1, keepdims=True)
        slack = slack + roundings * item.precision.u * cancelled
    slack = slack + 4.0 * item.precision.u_out * size
    same = (item.got == predicted) | (np.isnan(item.got) & np.isnan(predicted))
    return np.asarray(same | (np.isfinite(predicted) & (np.abs(item.got - predicted) <= slack)))


def _wrong_factor(items: list[Evidence]) -> tuple[str, float, str] | None:
    """A constant factor on every element of every row."""
    factors = []
    for item in items:
        for row in np.flatnonzero(item.failed & item.plain):
            place = int(np.abs(np.where(np.isfinite(item.exact[row]), item.exact[row], 0)).argmax())
            if item.exact[row, place] != 0 and np.isfinite(item.got[row, place]):
                factors.append(item.got[row, place] / item.exact[row, place])
    if len(factors) < 3:
        return None
    factor = float(np.median(factors))
    if not np.isfinite(factor) or factor == 0.0:
        return None
    steady = np.abs(np.array(factors) - factor) < 0.1 * abs(factor - 1.0)
    if abs(factor - 1.0) < 1e-4 and steady.mean() < 0.5:
        return None
    name = "sign-flipped" if abs(factor + 1.0) < 1e-4 else "wrong-factor"
    mistake = Mistake(name, lambda sample: sample_exact(sample) * factor)
    exact = {id(item.sample): item.exact for item in items}

    def sample_exact(sample: Sample) -> Array:
        return exact[id(sample)]

    share, rows = _share(mistake, items)
    if share < ENOUGH:
        return None
    return name, share, f"{factor:.7g} times the right answer on {counted(rows, 'failing row')}"
