"""The formulas people write instead of the right one: what each gives on a sample.

Each is taken from a bug that was shipped or published; `softjac.oracle.catalogue` says where. Those
that differ from the right formula only by overflow are computed in the candidate's own precision.
"""

from __future__ import annotations

from softjac.oracle.mistakes.arithmetic import column_by_column, log, log_softmax, softmax
from softjac.oracle.mistakes.forward import forward
from softjac.oracle.mistakes.jacobian import log_softmax_jacobian, softmax_jacobian
from softjac.oracle.mistakes.log_forward import (
    log_of_padded,
    log_of_softmax,
    log_of_stored_softmax,
    log_of_wrong_sums,
    log_rescaled,
    log_shifted_once,
)
from softjac.oracle.mistakes.nameless import nameless_forward, nameless_log_forward
from softjac.oracle.mistakes.product import log_softmax_jvp, log_softmax_vjp, softmax_product

__all__ = [
    "column_by_column",
    "forward",
    "log",
    "log_of_padded",
    "log_of_softmax",
    "log_of_stored_softmax",
    "log_of_wrong_sums",
    "log_rescaled",
    "log_shifted_once",
    "log_softmax",
    "log_softmax_jacobian",
    "log_softmax_jvp",
    "log_softmax_vjp",
    "nameless_forward",
    "nameless_log_forward",
    "softmax",
    "softmax_jacobian",
    "softmax_product",
]
