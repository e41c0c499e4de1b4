"""softmax: y_i = exp(z_i) / Σ exp(z_j), z = scale · x."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import NONE, Bound, forward_error, rounded_to_storage
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Mistake, Op

Array = np.ndarray[Any, np.dtype[Any]]


def formula(sample: Sample) -> Array:
    """The probabilities."""
    return sample.y


def bound(sample: Sample, exact: Array) -> Bound:
    """ŷ_i = y_i (1 + δ)(1 + ε_i): `forward_error`, and 2 F for what flushes.

    Where a logit is -inf, exp(-inf) = 0 is exact, and 0 over the sum: nothing is allowed there.
    """
    forward = forward_error(sample)
    common = 1.0 + forward.window[:, None]
    tolerance = exact * forward.element * common + 2.0 * sample.precision.tiny
    tolerance = np.where(sample.masked, NONE, tolerance)
    limits = Bound(tolerance, (exact,), (forward.window,), (forward.likely,))
    return rounded_to_storage(sample, exact, limits)


def condition(sample: Sample, exact: Array) -> Array:
    """C_i = y_i."""
    return exact


def wrong_formulas() -> tuple[Mistake, ...]:
    """The formulas people write instead."""
    return (
        Mistake("softmax-twice", lambda s: mistakes.softmax(s.y)),
        Mistake("log-softmax-formula", lambda s: s.log_y),
        *mistakes.forward(lambda probabilities: probabilities),
        *mistakes.nameless_forward(),
    )


OP = Op(
    name="softmax",
    summary="probabilities y from logits x",
    forward="softmax",
    output="y",
    vector=None,
    formula=formula,
    bound=bound,
    condition=condition,
    wrong_formulas=wrong_formulas,
)
