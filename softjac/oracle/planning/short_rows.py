"""Products whose short rows are summed afresh for every element, and whose longer ones are not.

An explicit Jacobian, or differences in pairs, is what many kernels take for n ≤ 4, 16 or 64. Below
256 classes no clock tells such sums from one. So failing rows as short as that are judged once
more, each element with the whole window: all of them are excused or none, and only where longer
rows, of several lengths, are right without.
"""

from __future__ import annotations

from softjac.oracle.failure import Batch
from softjac.oracle.planning.probe import TELLING
from softjac.oracle.trial import Trial

__all__ = ["excuse_short_rows"]

LONGER = 3  # so many longer lengths


def excuse_short_rows(trial: Trial) -> None:
    """Takes back the failures of short rows that sums of their own explain."""
    if trial.op.vector is None or trial.op.output == "jac" or trial.own_sums:
        return
    wrong = [failure for failure in trial.failures if failure.kind in ("value", "relation")]
    longest = max((failure.batch.task.n for failure in wrong), default=0)
    beyond = sum(n >= max(TELLING[-1], longest + 1) for n in trial.lengths)
    related = any(failure.kind == "relation" for failure in wrong)
    if not wrong or related or longest >= TELLING[-1] or beyond < LONGER:
        return
    batches = list({id(failure.batch): failure.batch for failure in wrong}.values())
    if not _explained(trial, batches):
        return
    excused = {id(failure) for failure in wrong}
    trial.failures = [failure for failure in trial.failures if id(failure) not in excused]
    trial.wrong_lengths.clear()
    for check in {failure.check for failure in wrong}:
        mine = {id(failure.batch): failure.batch for failure in wrong if failure.check == check}
        ratios = [batch.judged.ratio[batch.ok].max() for batch in mine.values() if batch.judged]
        trial.worst[check] = max(trial.sound.get(check, 0.0), *map(float, ratios))
    told = "was allowed a sum of its own, which longer rows do not need"
    trial.limits.append(f"each element of rows of up to {longest} classes {told}")


def _explained(trial: Trial, batches: list[Batch]) -> bool:
    """Judges rows again, each element with a sum of its own; whether none fails so."""
    trial.own_sums = True
    again = [trial.judged(b.inputs, b.task.scale, b.got).result()[1] for b in batches]
    trial.own_sums = False
    pairs = list(zip(batches, again, strict=True))
    if any((judged.ratio[batch.ok] > 1.0).any() for batch, judged in pairs):
        return False
    for batch, judged in pairs:
        batch.judged = judged
    return True
