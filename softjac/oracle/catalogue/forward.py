"""Mistakes in the forward formula, in its range, and in its precision."""

from __future__ import annotations

from softjac.oracle.catalogue.entry import Entry

__all__ = ["FORWARD"]

FORWARD: dict[str, Entry] = {
    "log-of-softmax": Entry(
        "log_softmax is formed from probabilities, which lose everything that underflows.",
        "log(softmax(x)) is -inf as soon as a probability underflows (logits about 104 below "
        "the largest in float32, 17 in float16), and its derivative divides by that "
        "probability: dy / y is inf or NaN. The right value is finite: "
        "l_i = (x_i - max) - log(sum_j exp(x_j - max)).",
        "Never form the probability: compute (x - max) - log(sum(exp(x - max))), and its VJP as "
        "dy - exp(l) * sum(dy).",
        ("pytorch#725", "nd4j#458", "MIOpen#112", "NNlib.jl#126"),
    ),
    "offset-sensitive": Entry(
        "A large common offset of the inputs spoils the result.",
        "Softmax does not change when a constant is added to all logits, and its VJP does not "
        "change when a constant is added to dy, so the rounding error must not grow with "
        "either. It does when the offset is rounded together with what matters: "
        "x - (max + log s), exp2(x*c - max*c), or c*x contracted into c*x - max by a fused "
        "multiply-add while max holds the rounded product.",
        "Form the difference x - max first, in one subtraction, and do everything else with the "
        "difference: (x - max) - log s, exp2((x - max) * c). Keep c*x in a variable that the "
        "compiler may not contract when logits are scaled.",
        ("pytorch#11866", "jax#37234"),
    ),
    "no-max-subtraction": Entry(
        "The largest logit is not subtracted before exp.",
        "exp(x) overflows above 88.7 in float32 (11 in float16, 709 in float64) and the result "
        "is inf / inf = NaN; with all logits below -104 it is 0 / 0. exp(x - max) cannot "
        "overflow, and its sum is at least 1.",
        "Subtract the row's maximum: e = exp(x - max(x)), y = e / sum(e).",
        ("deeplearning4j#6039", "FasterTransformer#43", "machinelearning#3648", "NNlib.jl#68"),
    ),
    "max-from-constant": Entry(
        "The search for the maximum starts from a constant that real logits can lie below.",
        "A running maximum that starts at 0, at FLT_MIN (which is the smallest positive number) "
        "or at -1e4 stays there for a row that lies entirely below; exp(x - max) then "
        "underflows in every element and the result is 0 / 0. Constant rows at -200, -2e4 and "
        "-1e6 show it.",
        "Start from the first element or from -infinity.",
        ("NNlib.jl#43", "tinyengine#107", "flashinfer#4267"),
    ),
    "partial-max": Entry(
        "The maximum is taken over a part of the row only.",
        "One lane, one accumulator, the tail or one end of the row never enters the maximum. "
        "All is well until the largest logit lies there and exceeds the rest by 88 (float32): "
        "then exp overflows and the result is NaN.",
        "Let every element enter the maximum: reduce all lanes and all accumulators, and the tail.",
    ),
    "batch-max": Entry(
        "The maximum is taken over the whole batch, or several rows of it, instead of each row.",
        "A row that lies far below the largest of them underflows in every element: "
        "exp(x - that maximum) is 0 and the result is 0 / 0, or loses precision. A test "
        "on one row, or on rows of similar size, passes.",
        "Take the maximum along the class axis, one for each row (keepdims in Python).",
        ("Paddle#19800",),
    ),
    "batch-sum": Entry(
        "The normaliser is summed over the whole batch instead of each row.",
        "Every row must sum to 1; here the whole batch does, so each row is too small. A batch "
        "of one row hides it.",
        "Sum along the class axis, one sum for each row (keepdims in Python).",
        ("MLFundamentals#1", "owl#240", "nntrainer#430"),
    ),
    "shift-in-one-place": Entry(
        "The maximum is subtracted in the numerator or the denominator, but not in both.",
        "exp(x - max) / sum(exp(x)) is exp(-max) times the right result, and "
        "exp(x) / sum(exp(x - max)) is exp(max) times it. The shift cancels only when it is "
        "the same above and below. Rows whose maximum is 0 hide it.",
        "Compute e = exp(x - max) once and use it in both places.",
        ("webnn#246",),
    ),
    "clipped-logits": Entry(
        "The logits are clipped to a fixed range instead of shifted by their maximum.",
        "clip(x, -a, a) keeps exp finite but makes all logits beyond a equal, so [800, 790] "
        "gives [1/2, 1/2]. Softmax does not change under a common offset; clipping does.",
        "Subtract the row's maximum and clip nothing.",
        ("Paddle#4366",),
    ),
    "epsilon-in-denominator": Entry(
        "A constant is added to the denominator (or under a logarithm).",
        "exp(x - max) / (sum + eps) makes every row sum to less than 1. After the maximum is "
        "subtracted the sum is at least 1, so there is nothing to protect.",
        "Remove the constant.",
        ("CTranslate2#1468",),
    ),
    "exp-clamped": Entry(
        "The argument of exp is clamped from below, so masked elements keep a weight.",
        "exp(max(x - m, -c)) never falls below exp(-c): an element masked with -1e30 or -inf "
        "still gets that much, and thousands of them add up. The right weight is 0.",
        "Set the result to zero below the range of exp instead of clamping the argument.",
        ("funes#160",),
    ),
    "inaccurate-exp": Entry(
        "The exponential itself is wrong beyond rounding, over all or a part of its range.",
        "The results fit a softmax whose exp(t) is off by a relative error that depends on "
        "t = x - max only: a short polynomial, a bit trick, (1 + t/n)^n, a coarse table, or a "
        "rounding step that leaves its range for large |t|. The report plots the error "
        "against t.",
        "Reduce t = k ln 2 + r with ln 2 in two parts and |r| <= ln 2 / 2, use a polynomial of "
        "degree 6 (float32), and return 0 where t is below the range before the exponent bits "
        "are assembled.",
        ("tract#2677", "tt-metal#33563", "tt-metal#55798"),
    ),
    "low-precision": Entry(
        "Intermediate results are kept in a narrower type than the result's.",
        "Every element shows a rounding error of a narrower type: float32 inside a float64 "
        "routine, 16 bits inside a float32 one, p - 1 rounded to 16 bits, or a 16-bit result "
        "cut off instead of rounded to nearest. A tolerance made for the narrower type hides it.",
        "Keep intermediate results in the type of the result, or float32 for 16-bit storage; "
        "round to nearest even once, at the end.",
        ("Liger-Kernel#1341",),
    ),
    "low-precision-sum": Entry(
        "The sum over the row is accumulated in a type too narrow for it.",
        "A 16-bit accumulator stops growing once the next term is below half its spacing: "
        "bfloat16 sticks at 256 equal terms, float16 at 2048. The normaliser (or sum(y * dy)) "
        "is too small, and large cotangents overflow.",
        "Accumulate in float32 (float64 for float32 data if rows are very long), and round at "
        "the end.",
        ("executorch#20090", "tract#2586", "MIOpen#3427", "jax#40474"),
    ),
    "masked-row-policy": Entry(
        "Masked rows (logits of -inf) do not give what JAX gives.",
        "-inf on some of the entries means probability 0 there and the ordinary result "
        "elsewhere; NaN there comes from -inf - -inf, for instance in the first block of an "
        "online softmax. A row of -inf only gives NaN in JAX; others give 0 or 1/n. That is a "
        "choice, judged only with --nonfinite strict.",
        "Skip the shift while the running maximum is still -inf, multiply by 0 where the "
        "logit is -inf, and for fully masked rows follow JAX or leave --nonfinite at report.",
        (
            "torch-mojo-backend#319",
            "pytorch#25110",
            "pytorch#31829",
            "NNlib.jl#206",
            "tensorflow#11756",
            "jax#17117",
            "optax#1762",
        ),
    ),
    "nan-swallowed": Entry(
        "A NaN or +inf among the inputs does not reach the result.",
        "Vector maximum instructions return their second operand when one is NaN, and a clamp "
        "turns NaN into a number, so a broken row comes out as finite, plausible "
        "probabilities. JAX gives NaN for the whole row. Judged only with --nonfinite strict.",
        "Order the operands of the maximum so that NaN survives, or test the row with an "
        "unordered comparison.",
        ("torch-xpu-ops#5022", "lattice#371", "XNNPACK#441", "jax#21501"),
    ),
}
