"""softmax_jvp: y_dot_i = y_i (x_dot_i - Σ y_j x_dot_j), times the scale: J is symmetric."""

from __future__ import annotations

from softjac.oracle import mistakes
from softjac.oracle.judging.bounds import product_bound
from softjac.oracle.op import Op
from softjac.oracle.ops.softmax_vjp import condition, formula

OP = Op(
    name="softmax_jvp",
    summary="tangent y_dot = J x_dot of softmax, from y or from x",
    forward="softmax",
    output="y_dot",
    vector="x_dot",
    formula=formula,
    bound=product_bound,
    condition=condition,
    wrong_formulas=mistakes.softmax_product,
)
