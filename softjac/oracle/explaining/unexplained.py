"""Where failures lie that nothing explains, in words: which lengths, rows and elements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence, evidence, wrong_places
from softjac.oracle.failure import counted
from softjac.oracle.trial import Trial

__all__ = ["whereabouts"]

Array = np.ndarray[Any, np.dtype[Any]]

# So few lengths, or kinds of rows, are listed.
FEW = 4

# How far apart the factors of a row's elements may be that are one number, but for rounding.
STEADY = 1e-2


def whereabouts(trial: Trial) -> str:
    """What the failing values have in common, and the first of them."""
    items = evidence(trial)
    failing = {item.sample.n for item in items if item.failed.any()}
    first = trial.failures[0].told()
    if not failing:
        return first
    there = [item for item in items if item.sample.n in failing]
    with np.errstate(all="ignore"):
        parts = [_lengths(trial), *_rows(trial, there), *_elements(trial, there)]
    return f"wrong {', '.join(parts)}; {first}"


def _lengths(trial: Trial) -> str:
    """At which lengths rows are wrong."""
    values = [f for f in trial.failures if f.kind in ("value", "relation")]
    failing = {f.batch.task.n for f in values} | trial.wrong_lengths
    sound = trial.lengths.keys() - failing
    low, high = min(failing), max(failing)
    if not sound:
        return f"at all of {counted(len(failing), 'length')}"
    if len(failing) <= FEW:
        return f"at n = {_listed(sorted(failing))} only"
    if max(sound) < low:
        return f"from n = {low} on"
    words = f"at {len(failing)} of {len(failing | sound)} lengths from {low} to {high}"
    shorter = sum(n < low for n in sound)
    return f"{words}, at none of {shorter} below" if shorter > FEW else words


def _rows(trial: Trial, items: list[Evidence]) -> Iterator[str]:
    """Which rows of these lengths are wrong: all, or those of some kinds of logits or vectors."""
    failed = np.concatenate([item.failed for item in items])
    if failed.all():
        yield "in every row"
        return
    yield f"in {failed.mean():.0%} of the rows"
    several = [item.failed for item in items if item.batch.rows > 1 and item.failed.any()]
    if len(several) > 1 and not any(rows[0] for rows in several):
        yield "never in a call's first"
    specs = [spec for item in items for spec in item.batch.task.specs()]
    kinds = {"logits": [spec.logits for spec in specs]}
    if trial.op.vector is not None and trial.op.output != "jac":
        kinds["vectors"] = [spec.vector for spec in specs]
    for noun, names in kinds.items():
        wrong: defaultdict[str, int] = defaultdict(int)
        for name, bad in zip(names, failed, strict=True):
            wrong[name] += bool(bad)
        only = [name for name, number in wrong.items() if number]
        if len(only) <= FEW < len(wrong) - FEW:
            yield f"all of them with {noun} of the kinds {_listed(sorted(only))}"


def _elements(trial: Trial, items: list[Evidence]) -> Iterator[str]:
    """How the wrong rows are wrong: no numbers, one number off, or in some places."""
    items = [item for item in items if item.failed.any()]
    got = [item.got[item.failed] for item in items]
    undefined = [np.isnan(values).any(axis=1) for values in got]
    share = float(np.concatenate(undefined).mean())
    if share:
        yield f"NaN in {'all' if share == 1.0 else f'{share:.0%}'} of them"
    if share == 1.0:
        return
    if _is_one_number(items):
        of_sum = trial.op.vector is None
        noun = "the sum of the exponentials" if of_sum else "the sum that is taken off"
        yield f"by one number a row, as if {noun} were another"
        return
    shares = [wrong_places(item).mean(axis=1) for item in items]
    part = float(np.concatenate(shares).mean())
    if part == 1.0:
        yield "in every element"
    elif part > 0.0:
        yield f"in {max(part, 0.01):.0%} of their elements"


def _is_one_number(items: list[Evidence]) -> bool:
    """Whether one number of each failing row explains it: what the bound leaves free."""
    told = 0
    for item in items:
        if not item.directions:
            return False
        direction = np.broadcast_to(item.directions[0], item.got.shape)[item.failed]
        residual = (item.got - item.exact)[item.failed]
        telling = np.abs(direction) > 1e-3 * np.abs(direction).max(axis=1, keepdims=True)
        telling &= np.isfinite(residual) & item.plain[item.failed][:, None]
        several = telling.sum(axis=1) > 1
        number = np.where(telling, residual / direction, np.nan)[several]
        moved = np.nanmedian(number, axis=1, keepdims=True) * direction[several]
        slack = item.own[item.failed][several] + STEADY * np.abs(moved)
        if (telling[several] & (np.abs(residual[several] - moved) > slack)).any():
            return False
        told += int(several.sum())
    return told > 0


def _listed(names: Iterable[object]) -> str:
    """Names with "and" before the last."""
    *others, last = (str(name) for name in names)
    return f"{', '.join(others)} and {last}" if others else last
