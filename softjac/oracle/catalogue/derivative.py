"""Mistakes in the formula of a derivative: the wrong Jacobian, or the wrong product with it."""

from __future__ import annotations

from softjac.oracle.catalogue.entry import Entry

__all__ = ["DERIVATIVE"]

DERIVATIVE: dict[str, Entry] = {
    "diagonal-only": Entry(
        "The derivative is multiplied by the Jacobian's diagonal only; the other n - 1 terms of "
        "each row are lost.",
        "Softmax's Jacobian is diag(y) - y y^T, a full matrix: every output depends on every "
        "logit. The candidate computes dx_i = y_i (1 - y_i) dy_i, which is right for an "
        "element-wise function such as the sigmoid; the right product is "
        "dx_i = y_i (dy_i - sum_j y_j dy_j). A spike of dy shows it: dx must be non-zero "
        "everywhere else too.",
        "Compute s = sum(y * dy) once per row, then dx = y * (dy - s). For an explicit Jacobian, "
        "fill the entries off the diagonal with -y_i y_j.",
        ("libnd4j#440", "cTensor#31", "ML-From-Scratch#71"),
    ),
    "missing-dot": Entry(
        "The term sum(y * dy) is missing: dy is multiplied by the probabilities and that is all.",
        "The candidate computes dx_i = y_i dy_i, the product with diag(y). The Jacobian is "
        "diag(y) - y y^T, so sum_j y_j dy_j has to be taken off first: "
        "dx_i = y_i (dy_i - sum_j y_j dy_j). With dy = 1 everywhere the result must be 0, since "
        "the probabilities always sum to 1; the candidate gives y.",
        "Subtract s = sum(y * dy) from every dy_i before multiplying by y_i (in a Jacobian: "
        "subtract y_i y_j everywhere, on the diagonal too).",
        ("Odyssey#2134",),
    ),
    "dot-sign": Entry(
        "The sum over the row is added where it must be subtracted.",
        "The candidate computes dx_i = y_i (dy_i + sum_j y_j dy_j) (for log_softmax "
        "dy_i + y_i sum_j dy_j). The Jacobian is diag(y) - y y^T (for log_softmax I - 1 y^T), "
        "so the sign of the second term is minus. With dy = 1 the result must be 0; the "
        "candidate gives 2 y.",
        "Subtract the sum: dx = y * (dy - s) with s = sum(y * dy); for log_softmax "
        "dx = dy - y * sum(dy).",
    ),
    "identity": Entry(
        "The input comes out unchanged: the Jacobian is treated as the identity.",
        "The candidate returns dy (or x) as it came, or a Jacobian with ones on the diagonal. "
        "That is right only where the layer before has already folded softmax's derivative into "
        "dy, as a fused cross-entropy does. For log_softmax it is the term "
        "-y_i sum_j dy_j that is missing.",
        "Multiply by the Jacobian: dx = y * (dy - sum(y * dy)) for softmax, "
        "dx = dy - y * sum(dy) for log_softmax.",
        ("darknet#96",),
    ),
    "sign-flipped": Entry(
        "Every element has the wrong sign.",
        "The candidate returns the negative of the right result, -J^T dy instead of J^T dy. "
        "It often comes from (s - dy) for (dy - s), from y y^T - diag(y) for diag(y) - y y^T, "
        "or from folding the minus of a negative log-likelihood into softmax itself.",
        "Swap the operands of the subtraction, or drop the extra minus.",
        ("hls4ml#42",),
    ),
    "wrong-factor": Entry(
        "Every element, the sum that is taken off each, or the logits are off by one factor.",
        "The candidate returns c times the right result with one c for all elements (2, 1/2, "
        "1/n, 1/rows are usual), or has c times the right sum. Averaging over the batch or the "
        "classes belongs to the loss, not to softmax; a factor 2 comes from adding a term and "
        "its mirror image. Logits that are divided by the scale, as by a temperature, or "
        "multiplied by it twice are off by a factor, too.",
        "Remove the factor; the evidence names its value where it is a constant. Multiply the "
        "logits by the scale once.",
        ("fromscratchtoml#65",),
    ),
    "mean-for-sum": Entry(
        "The mean over the classes is taken where the sum is due.",
        "The candidate computes dx_i = y_i (dy_i - (1/n) sum_j y_j dy_j) (for log_softmax "
        "dy_i - y_i (1/n) sum_j dy_j). The sum is not divided by n: "
        "dx_i = y_i (dy_i - sum_j y_j dy_j). At n = 1 both agree, so a test on one class passes.",
        "Replace mean(...) by sum(...) along the class axis.",
    ),
    "missing-scale": Entry(
        "The factor on the logits is left out.",
        "For y = softmax(c x) the chain rule gives dx = c y (dy - sum(y * dy)); a derivative "
        "without c is wrong for every c other than 1, and so is a forward pass that never "
        "multiplies x by c. Tests at c = 1 hide it.",
        "Multiply the logits (forward) and the result of the derivative (backward) by the scale, "
        "once each.",
        ("mxnet#11466",),
    ),
    "fused-cross-entropy": Entry(
        "The derivative of softmax with cross-entropy is returned instead of softmax's own.",
        "The candidate computes dx = y - dy (or dy - y), reading dy as one-hot targets t: "
        "y - t is the gradient of -sum(t * log softmax(x)), of the loss and softmax together. "
        "Softmax's own product with a cotangent is dx = y * (dy - sum(y * dy)).",
        "Return y * (dy - sum(y * dy)), or offer the fused loss under its own name, with targets "
        "as its argument.",
        ("CS224n#17",),
    ),
    "swapped-arguments": Entry(
        "The result of softmax and the cotangent are swapped.",
        "The candidate computes dy_i (y_i - sum_j y_j dy_j) in place of "
        "y_i (dy_i - sum_j y_j dy_j). The dot product is symmetric in y and dy, the rest is not. "
        "Tests in which y and dy are similar, or in which only a norm is compared, pass.",
        "Exchange the two arguments, at the call or in the body; compare the order of the "
        "prototype with the order of the call.",
        ("ipex-llm#2986", "oneDNN#2172"),
    ),
    "missing-probability-factor": Entry(
        "The probability that multiplies each element, or each term of the sum, is missing.",
        "The candidate computes dx_i = dy_i - sum_j y_j dy_j, or y_i (dy_i - sum_j dy_j), or has "
        "1 - y_i on the Jacobian's diagonal for y_i (1 - y_i). The Jacobian is diag(y) - y y^T, so "
        "that both factors belong there: dx_i = y_i (dy_i - sum_j y_j dy_j).",
        "Multiply the difference, and each term of the sum, by its y. (With no factor before the "
        "bracket it is the JVP of log_softmax: if that was meant, judge it as log_softmax_jvp.)",
        ("fromscratchtoml#65",),
    ),
    "all-zero": Entry(
        "The result is zero everywhere.",
        "Every element of the output is 0 whatever the input is. Softmax's derivative is zero "
        "for a constant cotangent, and small elsewhere: about 1/n for the probabilities, so an "
        "absolute tolerance accepts zeros at large n, and a test that sums the output "
        "(dy = 1) accepts them at any n.",
        "Look for a result that is never stored, an early return, an integer division, or a "
        "gradient that was detached.",
    ),
    "softmax-formula": Entry(
        "Softmax's formula is used for log_softmax.",
        "Softmax has dx_i = y_i (dy_i - sum_j y_j dy_j) with probabilities y; log_softmax has "
        "dx_i = dy_i - exp(l_i) sum_j dy_j with log-probabilities l. The candidate claims the "
        "second and computes the first (forward: it returns exp(l) where l is due).",
        "Use log_softmax's formula: forward x - max - log(sum(exp(x - max))), Jacobian "
        "I - 1 y^T, VJP dy - exp(l) * sum(dy), JVP x_dot - sum(exp(l) * x_dot).",
        ("mlpack#2360", "onnxruntime#5160"),
    ),
    "log-softmax-formula": Entry(
        "log_softmax's formula is used for softmax.",
        "log_softmax has dx_i = dy_i - y_i sum_j dy_j; softmax has "
        "dx_i = y_i (dy_i - sum_j y_j dy_j). The candidate claims the second and computes the "
        "first (forward: it returns logarithms of probabilities).",
        "Use softmax's formula: forward exp(x - max) / sum(exp(x - max)), Jacobian "
        "diag(y) - y y^T, VJP and JVP y * (t - sum(y * t)).",
    ),
    "softmax-twice": Entry(
        "Softmax is applied twice.",
        "The candidate takes softmax of values that already are probabilities, "
        "softmax(softmax(x)), or differentiates at softmax(y) where y is given. The second "
        "softmax sees numbers between 0 and 1, so its result is almost uniform: no probability "
        "can exceed e times another.",
        "Apply softmax once: pass logits to the layer that takes logits, and use the given y as "
        "it is.",
        ("tflearn#562", "laplace-redux#1"),
    ),
    "logits-for-probabilities": Entry(
        "Logits (or log-probabilities) are used where probabilities belong.",
        "The formulas of the derivative take y = softmax(x). The candidate puts x, or "
        "l = log softmax(x), in the place of y: x_i (dy_i - sum_j x_j dy_j). For the log ops "
        "y = exp(l) is due.",
        "Compute y = softmax(x) (or exp(l)) first, or take the saved result of the forward pass "
        "as the argument.",
        ("neuroph#37",),
    ),
    "off-diagonal-sign": Entry(
        "The Jacobian's entries off the diagonal have the wrong sign.",
        "Off the diagonal the Jacobian is -y_i y_j: when one logit grows, every other "
        "probability shrinks. The candidate has +y_i y_j there. Each row of the Jacobian must "
        "sum to 0.",
        "Write J_ij = y_i ((i == j) - y_j).",
    ),
    "transposed": Entry(
        "The Jacobian is transposed, or the product is taken from the wrong side.",
        "jac[r][i][j] is the derivative of output i by logit j. For log_softmax it is "
        "delta_ij - y_j, which is not symmetric: the VJP is J^T dy = dy - y sum(dy), the JVP is "
        "J x_dot = x_dot - sum(y * x_dot). The candidate has one where the other is due. "
        "(Softmax's own Jacobian is symmetric, so there the mistake cannot be seen and does no "
        "harm.)",
        "Exchange i and j when filling the Jacobian; for products, sum over the output index in "
        "a VJP and over the logit index in a JVP.",
    ),
}
