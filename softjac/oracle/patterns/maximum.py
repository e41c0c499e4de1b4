"""A maximum that some places of a row do not enter: which, is asked of rows with one high logit.

Where the maximum misses a place, all is well until the logit there exceeds the others by so much
that its exponential overflows. So a place is missed where a logit 0 among others of -100 (-800 in
float64) spoils the row, and one among others of -10 does not. The maximum of nothing (or of all)
is another mistake: some places must be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from softjac.oracle.explaining.evidence import Evidence
from softjac.oracle.explaining.inquiry import ask, lengths, overflowing, some_places
from softjac.oracle.trial import Trial

__all__ = ["maximum", "of_calls"]

Array = np.ndarray[Any, np.dtype[Any]]
Explained = tuple[str, float, str]

PREFERRED = (65, 129, 33, 17, 64, 128)


def maximum(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """The maximum is that of a part of the row, whichever part."""
    if "x" not in trial.candidate.inputs:
        return
    for n in lengths(trial, PREFERRED, least=2, most=9001)[:3]:
        asked = some_places(n)
        missed = _missed(trial, n, asked)
        if missed is None or not _explains(trial, items, n, missed):
            return
        if 0 < missed.sum() < n:
            places = asked[missed[asked]]
            shown = ", ".join(str(place) for place in places[:6])
            more = ", ..." if places.size > 6 else ""
            tried = f" ({asked.size} of them tried)" if asked.size < n else ""
            words = f"of {n} logits{tried} the maximum misses {places.size}: {shown}{more}"
            yield "partial-max", 1.0, words
            return


def _missed(trial: Trial, n: int, asked: Array) -> Array | None:
    """Which places the maximum misses, as the nearest that is asked; None where more is wrong."""
    peak = np.arange(n) == asked[:, None]
    vector = np.where(peak, 1.0, -0.5)
    gentle = ask(trial, np.where(peak, 0.0, -10.0), vector)
    steep = ask(trial, np.where(peak, 0.0, -overflowing(trial)), vector)
    if gentle is None or steep is None or gentle.failed().any():
        return None
    nearest = np.abs(np.arange(n)[:, None] - asked).argmin(axis=1)
    return np.asarray(steep.failed()[nearest])


def _explains(trial: Trial, items: list[Evidence], n: int, missed: Array) -> bool:
    """Whether every failing row of this length has its maximum far above all that was seen."""
    for item in items:
        if item.sample.n != n or not item.failed.any():
            continue
        z = item.sample.z[item.failed]
        seen = z[:, ~missed].max(axis=1, initial=-np.inf)
        if not (z.max(axis=1) - seen > 0.8 * overflowing(trial)).all():
            return False
    return True


def of_calls(trial: Trial, items: list[Evidence]) -> Iterator[Explained]:
    """Rows far below one before them are wrong, and right alone: one maximum serves them all."""
    if "x" not in trial.candidate.inputs or not trial.candidate.takes_rows:
        return
    for n in (3, 8, 16, 32, 64, 128):
        logits = -0.5 * np.arange(n) - 4.0 * overflowing(trial) * np.arange(4)[:, None]
        vector = np.where(np.arange(n) == 0, 1.0, -0.5) * np.ones((4, 1))
        together = ask(trial, logits, vector)
        if together is None:
            continue
        alone = [ask(trial, logits[[row]], vector[[row]]) for row in range(4)]
        if any(batch is None or batch.failed().any() for batch in alone):
            return
        if together.failed().tolist() != [False, True, True, True]:
            return
        level = ask(trial, logits[[0] * 4], vector)
        if level is None or level.failed().any():
            return  # a matter of other rows, wherever they lie
        rising = ask(trial, logits[::-1], vector)
        if rising is not None and rising.failed().tolist() == [False, True, True, True]:
            words = "rows far below or above the first of a call are wrong, and right alone"
            yield "first-row-only", 1.0, words
            return
        late = ask(trial, logits[[3, 0, 1, 2]], vector)
        if late is not None and not late.failed().any():
            words = "rows far below the first of a call are wrong, those below another are right"
            yield "first-row-only", 1.0, words
        elif rising is None or rising.failed().tolist() in ([False] * 4, [True] * 3 + [False]):
            yield "batch-max", 1.0, "rows far below the first of a call are wrong, and right alone"
        return
