"""log_softmax: ℓ_i = z_i - log Σ exp(z_j), z = scale · x."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import (
    ELEMENTARY,
    Bound,
    argument_error,
    forward_error,
    rounded_to_storage,
)
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Mistake, Op

Array = np.ndarray[Any, np.dtype[Any]]


def formula(sample: Sample) -> Array:
    """The log-probabilities."""
    return sample.log_y


def bound(sample: Sample, exact: Array) -> Bound:
    """ℓ_i = (z_i - max z) - L: the free number is L.

    Element: the argument's error a_i and the rounding of the result, u (a_i + |ℓ_i|); through
    base-2 functions a constant and a product more on either part: 3 u (a_i + |ℓ_i|). The number:
    the sum's relative error, and (8 + 2) u L for the logarithm.
    """
    u = sample.precision.u
    masked = np.isneginf(exact)
    level = np.where(masked, 0.0, np.abs(exact))
    forward = forward_error(sample)
    logarithm = u * (ELEMENTARY + 2.0) * sample.log_sum[:, 0]
    likely = forward.likely - forward.window + forward.total
    limits = Bound(
        3.0 * u * (argument_error(sample) + level) + 2.0 * sample.precision.tiny,
        (np.where(masked, 0.0, -1.0),),
        (forward.total + logarithm + sample.precision.tiny,),
        (likely + logarithm + sample.precision.tiny,),
    )
    return rounded_to_storage(sample, level, limits)


def condition(sample: Sample, exact: Array) -> Array:
    """C_i = |ℓ_i|: relative accuracy near 0 included."""
    return np.where(np.isfinite(exact), np.abs(exact), 0.0)


def wrong_formulas() -> tuple[Mistake, ...]:
    """The formulas people write instead."""
    return (
        Mistake("softmax-formula", lambda s: s.y),
        Mistake("log-of-softmax", mistakes.log_of_softmax),
        Mistake("log-of-softmax", mistakes.log_of_stored_softmax),
        Mistake("softmax-twice", lambda s: mistakes.log_softmax(s.log_y.clip(-1e30))),
        Mistake("softmax-twice", lambda s: mistakes.log_softmax(s.y)),
        Mistake("wrong-axis", lambda s: mistakes.log_softmax(s.z.T).T, layout=True),
        Mistake("wrong-axis", mistakes.column_by_column(formula), layout=True),
        *mistakes.log_of_wrong_sums(),
        *mistakes.log_of_padded(),
        *mistakes.log_shifted_once(),
        *mistakes.log_rescaled(),
        *mistakes.forward(mistakes.log),
        *mistakes.nameless_log_forward(),
    )


OP = Op(
    name="log_softmax",
    summary="log-probabilities y from logits x",
    forward="log_softmax",
    output="y",
    vector=None,
    formula=formula,
    bound=bound,
    condition=condition,
    wrong_formulas=wrong_formulas,
)
