"""Wrong in some places of a row only: the tail, one lane, lanes that change places."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from softjac.oracle.explaining.evidence import Evidence, near, wrong_places
from softjac.oracle.failure import counted
from softjac.oracle.mistakes.arithmetic import VECTOR_LENGTHS
from softjac.oracle.patterns.sizes import JUMP
from softjac.oracle.trial import Trial

__all__ = ["diagonal", "exchanged", "lane", "largest", "last", "tail"]

Explained = tuple[str, float, str]


def tail(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only in the last n mod L elements, at several lengths or at all that have a tail."""
    if trial.op.output == "jac":
        return
    failing = {item.sample.n for item in items if item.failed.any()}
    if len(failing) == 1 and any(n > min(failing) / 2 for n in trial.lengths.keys() - failing):
        return  # a matter of that length
    if not trial.precision.u_out and max(trial.worst.values(), default=0.0) < JUMP:
        return  # a matter of rounding, which shows in few elements
    whole = {n for n in trial.lengths if n > min(failing, default=0)} - trial.wrong_lengths
    for lanes in VECTOR_LENGTHS:
        if not any(n % lanes == 0 for n in whole - failing):
            continue  # it may as well be a matter of length
        held = rows = 0
        for item in items:
            n = item.batch.task.n
            start = n // lanes * lanes
            if not item.failed.any():
                continue
            wrong = wrong_places(item)
            rows += len(wrong)
            if n % lanes and not wrong[:, :start].any():
                held += len(wrong)
        if rows and held == rows and any(i.sample.n > lanes for i in items if i.failed.any()):
            values = [item.got[item.failed][:, item.sample.n // lanes * lanes :] for item in items]
            unwritten = all(np.isnan(v).all() for v in values if v.size)
            name = "tail-not-written" if unwritten else "tail-ignored"
            words = f"only the last n mod {lanes} elements are wrong, in {counted(rows, 'row')}"
            yield name, 1.0, words
            return


def diagonal(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only on the diagonal of the Jacobian, or only off it."""
    if trial.op.output != "jac":
        return
    on, off = False, False
    for item in items:
        wrong = wrong_places(item).reshape(-1, item.sample.n, item.sample.n)
        same = np.eye(item.sample.n, dtype=bool)
        on |= bool((wrong & same).any())
        off |= bool((wrong & ~same).any())
    if on != off:
        yield "unknown", 1.0, f"only elements {'on' if on else 'off'} the diagonal are wrong"


def last(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only in the last element, at lengths where more are left after whole vectors."""
    if trial.op.output == "jac":
        return
    failing = [item for item in items if item.failed.any()]
    lengths = {item.sample.n for item in failing}
    longer = {n for n in lengths if n % 4 != 1 and n > 4}
    wrong = [np.atleast_1d(wrong_places(item).any(axis=0)) for item in failing]
    if len(longer) > 3 and all(places[-1] and not places[:-1].any() for places in wrong):
        yield "unknown", 1.0, f"only the last element is wrong, at {len(lengths)} lengths"


def lane(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Wrong only at positions of few residues modulo a vector length, in several vectors."""
    if trial.op.output == "jac":
        return
    found = [np.flatnonzero(wrong_places(i).any(axis=0)) for i in items if i.failed.any()]
    for lanes in VECTOR_LENGTHS:
        odd = np.unique(np.concatenate(found) % lanes)
        several = [p for p in found if np.unique(p // lanes).size > 2]  # of one length
        if (
            2 * odd.size <= lanes
            and several
            and np.isin(odd, np.concatenate(several) % lanes).all()
        ):
            shown = ", ".join(str(residue) for residue in odd)
            yield "lane-error", 1.0, f"only elements {shown} modulo {lanes} are wrong"
            return


def exchanged(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Right elements in wrong places, none of them outside its vector."""
    if trial.op.output == "jac":
        return
    for lanes in VECTOR_LENGTHS:
        rows, held, moved = 0, True, 0
        for item in items:
            body = item.sample.n // lanes * lanes
            got, exact, own = (
                a[item.failed, :body].reshape(-1, lanes) for a in (item.got, item.exact, item.own)
            )
            # a logarithm near 0 is off by what those beside it are
            slack = own.max(axis=1, keepdims=True) if trial.op.name == "log_softmax" else 0.0
            sorted_ones = np.sort(got, axis=1), np.sort(exact, axis=1)
            held &= bool(near(item, *sorted_ones, slack).all())
            moved += int((~near(item, got, exact, slack)).any(axis=1).sum())
            rows += int(item.failed.sum())
        if held and moved and 2 * moved >= rows:
            yield "lane-error", 1.0, f"right elements change places within vectors of {lanes}"
            return


def largest(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """So many of the largest probabilities of each row are kept, all others are 0."""
    if trial.op.name != "softmax":
        return
    counts, right = [], 0
    for item in items:
        large = item.got[item.passed] > item.precision.tiny
        right = max(right, int(large.sum(axis=1).max(initial=0)))
        kept = item.got[item.failed] > 0.0
        exact = item.exact[item.failed]
        lost = ~kept & (exact > item.precision.tiny)
        least = np.where(kept, exact, np.inf).min(axis=1)
        most = np.where(lost, exact, 0.0).max(axis=1)
        if not ((most > 0.0) & (most <= least)).all():
            return
        counts += kept.sum(axis=1).tolist()
    several = len({item.sample.n for item in items if item.failed.any()}) > 1
    usual = int(np.median(counts))
    if several and 0 < usual >= right and np.mean(np.array(counts) == usual) > 0.5:
        yield (
            "unknown",
            1.0,
            f"of each row the largest are kept, {usual} of them, and all others are 0",
        )
