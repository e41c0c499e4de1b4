"""softmax_vjp: dx_i = y_i (dy_i - Σ y_j dy_j), times the scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import product_bound
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op

Array = np.ndarray[Any, np.dtype[Any]]


def formula(sample: Sample) -> Array:
    """The product J v of softmax's symmetric Jacobian with a vector."""
    return np.asarray(sample.scale * sample.y * (sample.vector - sample.mean))


def condition(sample: Sample, exact: Array) -> Array:
    """C_i = y_i (|v_i - s| + Σ y_j |v_j - s|), free of a common offset of v."""
    distance = np.abs(sample.vector - sample.mean)
    mean = (sample.y * distance).sum(axis=1, keepdims=True)
    return np.asarray(abs(sample.scale) * sample.y * (distance + mean))


OP = Op(
    name="softmax_vjp",
    summary="cotangent dx = J dy of softmax, from y or from x",
    forward="softmax",
    output="dx",
    vector="dy",
    formula=formula,
    bound=product_bound,
    condition=condition,
    wrong_formulas=mistakes.softmax_product,
)
