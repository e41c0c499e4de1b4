"""Formulas people write by mistake, held against what the candidate gave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence, evidence, wrong_places
from softjac.oracle.explaining.inquiry import ask, overflowing
from softjac.oracle.failure import counted
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Mistake
from softjac.oracle.trial import Trial

__all__ = [
    "ENOUGH",
    "explain_by_condition",
    "explain_by_formula",
    "explain_in_words",
    "mistakes_of",
    "share_of",
]

Array = np.ndarray[Any, np.dtype[Any]]

ENOUGH = 0.95  # of the failing rows
# Of formulas in words that explain the same, so many are told.
ALIKE = 2

# What only a vector loop does is not said where a formula for any row explains as much.
IN_VECTORS = ("pointer-not-advanced", "tail-ignored", "tail-leaks-in")


def explain_by_formula(trial: Trial) -> list[tuple[str, float, str]]:
    """The mistakes that explain the failing values, each with its share and evidence."""
    items = evidence(trial)
    if not any(item.failed.any() for item in items):
        return []
    found = []
    for mistake in mistakes_of(trial):
        share, rows = share_of(mistake, items)
        if share >= ENOUGH:
            words = f"{mistake.id} gives the same on {share:.0%} of {counted(rows, 'failing row')}"
            found.append((mistake, share, words))
    if found:
        sound = _rows_beside(trial)
        found = [item for item in found if not any(_fails_at(item[0], other) for other in sound)]
    if any(mistake.everywhere and not mistake.layout for mistake, _, _ in found):
        found = [item for item in found if _of_a_row(item[0])]
    named = [(mistake.id, share, words) for mistake, share, words in found]
    return named or list(_wrong_factors(trial, items))[:1]


def explain_by_condition(trial: Trial, *, among_rows: bool) -> list[tuple[str, float, str]]:
    """The mistake that explains every failing row, though others passed on which it would show.

    Something leads into it on these rows alone. That is asked last, of three rows at least. Where
    rows are right alone and wrong among others, only what mixes up rows explains that.
    """
    items = evidence(trial)
    found = []
    for mistake in mistakes_of(trial):
        if mistake.id in IN_VECTORS or (among_rows and not mistake.layout):
            continue
        share, rows = share_of(mistake, items, everywhere=False)
        if share == 1.0 and rows >= 3:
            words = f"{mistake.id} gives the same on all of {counted(rows, 'failing row')}, alone"
            found.append((mistake.id, share, words))
    return found


def explain_in_words(trial: Trial) -> list[tuple[str, float, str]]:
    """The formula without a name that explains most of the failing values, on all rows or some."""
    items = evidence(trial)
    if not any(item.failed.any() for item in items):
        return []
    told = [mistake for mistake in trial.op.mistakes if mistake.words]
    for everywhere, enough, least, alone in ((True, ENOUGH, 1, ""), (False, 1.0, 3, ", alone")):
        shares = [share_of(mistake, items, everywhere=everywhere) for mistake in told]
        share, rows = max(shares, default=(0.0, 0))
        if share >= enough and rows >= least:
            alike = [m.words for m, found in zip(told, shares, strict=True) if found[0] == share]
            of = f"the same on {share:.0%} of {counted(rows, 'failing row')}{alone}"
            return [("unknown", share, f"{', or '.join(alike[:ALIKE])}: {of}")]
    return []


def mistakes_of(trial: Trial) -> list[Mistake]:
    """The named mistakes that can be made: rows are mixed up only where a call has several."""
    named = [m for m in trial.op.mistakes if not m.words]
    return [m for m in named if trial.candidate.takes_rows or not m.layout]


def _rows_beside(trial: Trial) -> list[Evidence]:
    """Rows with one high logit in each place, of the lengths next to those where some failed."""
    failing = {f.batch.task.n for f in trial.failures if f.kind == "value"} | trial.wrong_lengths
    longest = 33 if trial.op.output == "jac" else 130
    sound = sorted(n for n in trial.lengths.keys() - failing if 1 < n <= longest)
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


def share_of(
    mistake: Mistake, items: list[Evidence], *, everywhere: bool = True
) -> tuple[float, int]:
    """Which part of the failing rows the mistake explains; 0 if it fails where others passed.

    Unless it need not be made everywhere: then it must leave nothing open, and no row.

    Elements that were not written say nothing of a formula. Rounding decides whether a row that is
    barely wrong fails: a quarter of the rows must be foreseen to fail, and a row that passed
    contradicts only a prediction that is clearly wrong, and is not what the candidate gave; one of
    a single class contradicts none, since compilers and people give that a path of its own. Rows of
    which it leaves open all that is wrong are left out. Neither they, nor extreme rows that it does
    not explain, may outnumber those that it does; and in most of these it must leave at most half
    of the error.
    """
    explained = foreseen = judged = telling = nearer = left_open = strays = 0
    failing = sum(int((item.failed & item.computed).sum()) for item in items)
    spared = (1.0 - ENOUGH) * failing if everywhere else 0.0  # so many rows may be unexplained
    for item in items:
        if not mistake.applies(item.sample):
            judged += int((item.failed & item.computed & item.plain).sum())
            continue
        values, unsure, off, alike = _predicted(mistake, item)
        if everywhere and item.sample.n > 1 and _contradicted(item, off, alike):
            return 0.0, 0
        failed = item.failed & item.computed
        undecided = alike & _left_open(item, unsure)
        left_open += int((undecided & item.computed).sum())
        alike &= ~undecided
        counts = failed & ~undecided & (item.plain | alike)
        judged += int(counts.sum())
        explained += int((counts & alike).sum())
        nearer += int((counts & alike & _nearer(item, values, unsure)).sum())
        strays += int((failed & ~undecided & ~alike & ~item.plain).sum())
        telling += int((failed & item.plain & alike).sum())
        faint = item.faint & (np.abs(values) < 1e4 * item.precision.tiny)
        made = np.where(unsure | (values == item.exact) | faint, item.exact, values)
        foreseen += int(item.refutes(made, counts & alike & (off <= 1.0)).sum())
        foreseen += int((counts & alike & ~(off <= 1.0)).sum())
        if judged - explained > spared:
            return 0.0, judged
    if 4 * foreseen < judged or 2 * nearer < explained or not telling:
        return 0.0, judged
    if max(left_open, strays) > (explained if everywhere else 0):
        return 0.0, judged
    return explained / judged, judged


def _predicted(mistake: Mistake, item: Evidence) -> tuple[Array, Array, Array, Array]:
    """The values of a mistake, where it is unsure, each row's error over bound, rows given so."""
    with np.errstate(all="ignore"):
        predicted = np.ma.asarray(mistake.predict(item.sample)).reshape(item.got.shape)
        data = np.ma.getdata(predicted)
        unsure = np.ma.getmaskarray(predicted) & (np.isfinite(item.got) | ~np.isfinite(data))
        unsure |= item.unwritten
        values = np.where(unsure, 0.0, data)
        sound = unsure | (values == item.exact) | item.faint
        off = np.where(sound, 0.0, np.abs(values - item.exact) / item.own).max(axis=1)
        alike = np.asarray((_alike(item, values) | unsure).all(axis=1))
    return values, unsure, off, alike


def _nearer(item: Evidence, values: Array, unsure: Array) -> Array:
    """Rows of which the prediction leaves at most half of the error, where it says anything."""
    with np.errstate(all="ignore"):
        off = np.abs(item.got - item.exact) / item.own
        left = np.abs(item.got - values) / item.own
    same = (item.got == values) | (np.isnan(item.got) & np.isnan(values)) | unsure
    left = np.where(same, 0.0, np.where(np.isnan(left), np.inf, left)).max(axis=1)
    off = np.where(item.got == item.exact, 0.0, np.where(np.isnan(off), np.inf, off)).max(axis=1)
    return np.asarray(2.0 * left <= off)


def _left_open(item: Evidence, unsure: Array) -> Array:
    """Failing rows whose wrong elements a prediction says nothing of."""
    found = np.zeros(len(item.failed), bool)
    wrong = wrong_places(item)
    wrong |= ~wrong.any(axis=1, keepdims=True)  # none is by itself
    found[item.failed] = ~(wrong & ~unsure[item.failed]).any(axis=1)
    return found


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
    if item.logarithm:  # of a sum, whose rounding is relative to the sum
        slack = slack + 2.0 * item.precision.u
    slack = slack + 4.0 * item.precision.u_out * size
    same = (item.got == predicted) | (np.isnan(item.got) & np.isnan(predicted))
    return np.asarray(same | (np.isfinite(predicted) & (np.abs(item.got - predicted) <= slack)))


def _wrong_factors(trial: Trial, items: list[Evidence]) -> Iterator[tuple[str, float, str]]:
    """A constant factor on every element of every row, or on the sum that is taken off."""
    whole = {id(item.sample): item.exact for item in items}
    yield from _wrong_factor(items, "the right answer", whole, whole)
    if trial.op.vector is None and trial.op.output != "jac":
        return
    without_sum = "identity" if trial.op.logarithmic else "missing-dot"
    without = next(m for m in trial.op.mistakes if m.id == without_sum)
    with np.errstate(all="ignore"):
        part = {
            id(item.sample): item.exact - without.predict(item.sample).reshape(item.exact.shape)
            for item in items
        }
    yield from _wrong_factor(items, "the right sum", whole, part)


def _wrong_factor(
    items: list[Evidence], noun: str, whole: dict[int, Array], part: dict[int, Array]
) -> Iterator[tuple[str, float, str]]:
    """A constant factor on this part of the whole, by the samples' identities."""
    factors = []
    for item in items:
        for row in np.flatnonzero(item.failed & item.plain):
            carried = part[id(item.sample)][row]
            place = int(np.abs(np.where(np.isfinite(carried), carried, 0)).argmax())
            off = item.got[row, place] - item.exact[row, place]
            if carried[place] != 0 and np.isfinite(off):
                factors.append(1.0 + off / carried[place])
    if len(factors) < 3:
        return
    factor = float(np.median(factors))
    if not np.isfinite(factor) or factor == 0.0:
        return
    steady = np.abs(np.array(factors) - factor) < 0.1 * abs(factor - 1.0)
    shortest = min(item.sample.n for item in items if item.failed.any())
    if abs(factor - 1.0) < 1e-4 and steady.mean() < 0.5:
        return
    if abs(factor - 1.0) <= (shortest + 4) * items[0].precision.u:
        return  # a sum's own rounding

    def predicted(sample: Sample) -> Array:
        exact, carried = whole[id(sample)], part[id(sample)]
        off = np.where(np.isfinite(carried), (factor - 1.0) * carried, 0.0)  # -inf stays -inf
        return np.asarray(np.where(np.isinf(exact), factor * exact, exact + off))

    flipped = part is whole and abs(factor + 1.0) < 1e-4
    name = "sign-flipped" if flipped else "wrong-factor"
    share, rows = share_of(Mistake(name, predicted), items)
    if share >= ENOUGH:
        yield name, share, f"{factor:.7g} times {noun} on {counted(rows, 'failing row')}"
