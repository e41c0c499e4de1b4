"""The error of rows in units in the last place."""

from __future__ import annotations

from typing import Any

import numpy as np

from softjac.oracle import reference
from softjac.oracle.judging.sample import Sample
from softjac.oracle.op import Op

__all__ = ["worst_ulp"]

Array = np.ndarray[Any, np.dtype[Any]]


def worst_ulp(op: Op, sample: Sample, exact: Array, got: Array) -> float:
    """The worst error of `got`, `(rows, elements)`, in units in the last place.

    Of the exact answer, and for products, which cancel, of y_i |v_i| where that is larger. What may
    be flushed is left out: 0 in place of a subnormal number is millions of units.
    """
    precision = sample.precision
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(exact), precision.tiny)
        if op.vector is not None:
            bound = op.bound(sample, exact)
            size = np.maximum(size, bound.tolerance / (4.0 * precision.u))
        size = np.minimum(size, np.finfo(np.float64).max)  # an infinity has no exponent
        unit = np.ldexp(max(precision.u_out, precision.u), np.frexp(size)[1])
        error = np.abs(reference.residual(got, (exact, np.zeros(1)))) / unit
        flushed = np.maximum(np.abs(exact), np.abs(got)) <= 2.0 * precision.tiny
    error = np.where(flushed, 0.0, error)
    return float(error[np.isfinite(error)].max(initial=0.0))
