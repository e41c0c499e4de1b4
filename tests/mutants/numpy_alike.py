"""Mistakes in NumPy that look like other mistakes: names that must not be given."""

import numpy as np

longest = 0
scratch = np.zeros(0)
seen = {"sum": 0.0, "length": 0}


def exps(x):
    return np.exp(x - x.max(axis=1, keepdims=True))


def softmax(x):
    e = exps(x)
    return e / e.sum(axis=1, keepdims=True)


def numpy_longest_summed(x):
    """Sums a scratch row as long as the longest so far, with the old terms in it.

    @softmax | values | stale-state
    """
    global scratch
    n = x.shape[1]
    if n > scratch.size:
        scratch = np.zeros(n, x.dtype)
    y = np.empty_like(x)
    for row, e in zip(y, exps(x), strict=True):
        scratch[:n] = e
        row[:] = e / scratch.sum()
    return y


def numpy_vjp_longest_summed(y, dy):
    """Sums a scratch row of products as long as the longest so far.

    @softmax_vjp | values | stale-state
    """
    global scratch
    n = y.shape[1]
    if n > scratch.size:
        scratch = np.zeros(n, y.dtype)
    dx = np.empty_like(y)
    for row, weights, cotangents in zip(dx, y, dy, strict=True):
        scratch[:n] = weights * cotangents
        row[:] = weights * (cotangents - scratch.sum())
    return dx


def numpy_divides_by_longest(x):
    """Takes the mean over the longest row so far, not over this one.

    @softmax | values | stale-state
    """
    global longest
    longest = max(longest, x.shape[1])
    e = exps(x)
    return e / (e.sum(axis=1, keepdims=True) / longest * x.shape[1])


def numpy_shift_by_naive_middle(x):
    """Shifts by the middle between the smallest and the largest logit, masked ones too.

    @softmax | values | unknown
    """
    e = np.exp(x - (x.max(axis=1, keepdims=True) + x.min(axis=1, keepdims=True)) / 2)
    return e / e.sum(axis=1, keepdims=True)


def numpy_top_40(x):
    """Keeps the 40 largest probabilities as they are, and sets the others to zero.

    @softmax | values | unknown
    """
    y = softmax(x)
    least = np.sort(y, axis=1)[:, -40:][:, :1]
    return np.where(y < least, np.zeros_like(y), y)


def numpy_largest_256_summed(x):
    """Sums the 256 largest terms of a row only.

    @softmax | values | unknown or size-specialised
    """
    e = exps(x)
    return e / np.sort(e, axis=1)[:, -256:].sum(axis=1, keepdims=True)


def numpy_vjp_largest_256_summed(y, dy):
    """Sums the products of the 256 largest probabilities only.

    @softmax_vjp | values | unknown or size-specialised
    """
    least = np.sort(y, axis=1)[:, -256:][:, :1]
    s = np.where(y < least, 0, y * dy).sum(axis=1, keepdims=True)
    return (y * (dy - s)).astype(y.dtype)


def numpy_pieces_by_maximum(x):
    """Normalises pieces of 4096 with the maximum of the piece, and adds their sums as they are.

    @softmax | values | size-specialised or unknown
    """
    n = x.shape[1]
    pieces = [exps(x[:, i : i + 4096]) for i in range(0, n, 4096)]
    total = sum(piece.sum(axis=1, keepdims=True) for piece in pieces)
    return np.concatenate(pieces, axis=1) / total


def numpy_vjp_centred_twice(y, dy):
    """Takes the mean of the cotangents off twice: the plain one, then the weighted one.

    @softmax_vjp | values | unknown or wrong-factor
    """
    s = (y * dy).sum(axis=1, keepdims=True)
    return y * (dy - s - dy.mean(axis=1, keepdims=True))


def numpy_vjp_absolute(y, dy):
    """Sums the products' absolute values.

    @softmax_vjp | values | unknown
    """
    return y * (dy - np.abs(y * dy).sum(axis=1, keepdims=True))


def numpy_vjp_renormalised(y, dy):
    """Divides the sum by the largest probability.

    @softmax_vjp | values | unknown
    """
    return y * (dy - (y * dy).sum(axis=1, keepdims=True) / y.max(axis=1, keepdims=True))


def numpy_vjp_of_shifted_rows(y, dy):
    """Takes each row's sum from the next row.

    @softmax_vjp | values | unknown
    """
    return y * (dy - np.roll((y * dy).sum(axis=1, keepdims=True), -1, axis=0))


def numpy_vjp_positive_part(y, dy):
    """Clips negative cotangents to zero in the sum.

    @softmax_vjp | values | unknown
    """
    return y * (dy - (y * np.maximum(dy, 0)).sum(axis=1, keepdims=True))


def numpy_vjp_square_root(y, dy):
    """Weighs with the root of the probabilities, the symmetric half of the Jacobian.

    @softmax_vjp | values | unknown
    """
    return np.sqrt(y) * (dy - (y * dy).sum(axis=1, keepdims=True))


def numpy_vjp_smoothed(y, dy):
    """Takes the sum over smoothed probabilities.

    @softmax_vjp | values | unknown
    """
    n = y.shape[1]
    smooth = 0.9 * y + 0.1 / n
    return (y * (dy - (smooth * dy).sum(axis=1, keepdims=True))).astype(y.dtype)


def numpy_softmax_smoothed(x):
    """Mixes a hundredth of the uniform distribution into the result.

    @softmax | values | unknown
    """
    return (0.99 * softmax(x) + 0.01 / x.shape[1]).astype(x.dtype)


def numpy_softmax_plus_one(x):
    """Adds one to the sum, as attention that may attend to nothing does.

    @softmax | values | unknown or epsilon-in-denominator
    """
    e = exps(x)
    return e / (1 + e.sum(axis=1, keepdims=True))


def numpy_softmax_off_by_one(x):
    """Adds exp(-max) to the sum: a hidden logit 0.

    @softmax | values | unknown
    """
    m = np.maximum(x.max(axis=1, keepdims=True), 0)
    e = np.exp(x - m)
    return e / (np.exp(-m) + e.sum(axis=1, keepdims=True))


def numpy_softmin(x):
    """Softmin: the sign of the logits lost.

    @softmax | values | unknown or missing-scale
    """
    return softmax(np.where(np.isinf(x), x, -x))


def numpy_softmax_squared(x):
    """Normalises the squares of the exponentials.

    @softmax | values | missing-scale or unknown
    """
    e = exps(x) ** 2
    return e / e.sum(axis=1, keepdims=True)


def numpy_softmax_by_norm(x):
    """Divides by the Euclidean norm instead of the sum.

    @softmax | values | unknown
    """
    e = exps(x)
    return e / np.sqrt((e * e).sum(axis=1, keepdims=True))


def numpy_softplus(x):
    """Normalises log(1 + exp(x)) instead of exp(x).

    @softmax | values | unknown or inaccurate-exp
    """
    e = np.log1p(exps(x))
    return e / e.sum(axis=1, keepdims=True)


def numpy_first_probability_by_rest(x):
    """The first probability as one minus the others.

    @softmax | values | unknown
    """
    y = softmax(x)
    y[:, :1] = 1 - y[:, 1:].sum(axis=1, keepdims=True)
    return y


def numpy_softmax_of_rank(x):
    """Rounds the logits to quarters.

    @softmax | values | inaccurate-exp or unknown or low-precision
    """
    return softmax((np.round(4 * (x - x.max(axis=1, keepdims=True))) / 4).astype(x.dtype))


def numpy_log_of_squares(x):
    """Half the logarithm of the squares' sum as the normaliser.

    @log_softmax | values | unknown
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - np.log((np.exp(t) ** 2).sum(axis=1, keepdims=True)) / 2


def numpy_log_mean_exp(x):
    """The logarithm of the mean instead of the sum.

    @log_softmax | values | mean-for-sum or unknown
    """
    t = x - x.max(axis=1, keepdims=True)
    return (t - np.log(np.exp(t).mean(axis=1, keepdims=True))).astype(x.dtype)


def numpy_log_of_largest_two(x):
    """The normaliser of the two largest logits alone.

    @log_softmax | values | unknown
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - np.log(np.exp(np.sort(t, axis=1)[:, -2:]).sum(axis=1, keepdims=True))


def numpy_log_without_own(x):
    """The maximum's own term left out of the sum.

    @log_softmax | values | unknown
    """
    t = x - x.max(axis=1, keepdims=True)
    s = np.exp(t).sum(axis=1, keepdims=True) - 1
    with np.errstate(divide="ignore"):
        return t - np.log(np.maximum(s, x.dtype.type(1e-30)))


def numpy_log_base_two_sum(x):
    """The normaliser to base two.

    @log_softmax | values | unknown
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - np.log2(np.exp(t).sum(axis=1, keepdims=True))


def numpy_log_halved_sum(x):
    """Half of the normaliser.

    @log_softmax | values | unknown or wrong-factor
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - np.log(np.exp(t).sum(axis=1, keepdims=True)) / 2


def numpy_log_sum_1_percent(x):
    """A normaliser a hundredth too large.

    @log_softmax | values | unknown or wrong-factor
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - x.dtype.type(1.01) * np.log(np.exp(t).sum(axis=1, keepdims=True))


def numpy_log_rounded(x):
    """Four decimal places.

    @log_softmax | values | low-precision or unknown
    """
    t = x - x.max(axis=1, keepdims=True)
    return np.round(t - np.log(np.exp(t).sum(axis=1, keepdims=True)), 4)


def numpy_log_floor(x):
    """Never below -50.

    @log_softmax | values | unknown or log-of-softmax or exp-clamped or clipped-logits
    """
    t = x - x.max(axis=1, keepdims=True)
    return np.maximum(t - np.log(np.exp(t).sum(axis=1, keepdims=True)), x.dtype.type(-50))


def numpy_log_vjp_half_sum(y, dy):
    """Half of the cotangents' sum.

    @log_softmax_vjp | values | wrong-factor or unknown
    """
    return dy - np.exp(y) * dy.sum(axis=1, keepdims=True) / 2


def numpy_log_vjp_factor(y, dy):
    """The cotangent times its probability, too.

    @log_softmax_vjp | values | unknown
    """
    p = np.exp(y)
    return p * dy - p * dy.sum(axis=1, keepdims=True)


def numpy_log_vjp_squared(y, dy):
    """The square of the probability.

    @log_softmax_vjp | values | unknown
    """
    return dy - np.exp(2 * y) * dy.sum(axis=1, keepdims=True)


def numpy_log_vjp_absolute(y, dy):
    """The sum of the cotangents' absolute values.

    @log_softmax_vjp | values | unknown
    """
    return dy - np.exp(y) * np.abs(dy).sum(axis=1, keepdims=True)


def numpy_log_vjp_base_2(y, dy):
    """Powers of two of natural logarithms.

    @log_softmax_vjp | values | inaccurate-exp or missing-scale or unknown
    """
    return dy - np.exp2(y) * dy.sum(axis=1, keepdims=True)


def numpy_log_jvp_plain_mean(y, x_dot):
    """The plain mean of the tangents.

    @log_softmax_jvp | values | unknown
    """
    return x_dot - x_dot.mean(axis=1, keepdims=True).astype(y.dtype)


def numpy_log_jvp_of_largest(y, x_dot):
    """The tangent of the largest in place of the mean.

    @log_softmax_jvp | values | unknown
    """
    return x_dot - np.take_along_axis(x_dot, y.argmax(axis=1)[:, None], axis=1)


def numpy_jacobian_of_sigmoid(y):
    """Every row of the Jacobian is y (1 - y).

    @softmax_jacobian | values | unknown
    """
    return (y * (1 - y))[:, None, :] * np.ones_like(y)[:, :, None]


def numpy_jacobian_999(y):
    """The outer product a thousandth too small.

    @softmax_jacobian | values | wrong-factor or unknown
    """
    outer = y.dtype.type(0.999) * y[:, :, None] * y[:, None, :]
    return np.eye(y.shape[1], dtype=y.dtype) * y[:, None, :] - outer


def numpy_jacobian_squares_off(y):
    """The squares of the probabilities off the diagonal.

    @softmax_jacobian | values | unknown
    """
    eye = np.eye(y.shape[1], dtype=y.dtype)
    return eye * (y * (1 - y))[:, None, :] - (1 - eye) * (y * y)[:, None, :]


def numpy_jacobian_one_minus(y):
    """1 - y_i and 1 - y_j off the diagonal.

    @softmax_jacobian | values | unknown
    """
    eye = np.eye(y.shape[1], dtype=y.dtype)
    return eye * (y * (1 - y))[:, None, :] - (1 - eye) * y[:, :, None] * (1 - y[:, None, :])


def numpy_jacobian_half_off(y):
    """Each pair halved off the diagonal.

    @softmax_jacobian | values | unknown
    """
    eye = np.eye(y.shape[1], dtype=y.dtype)
    return eye * (y * (1 - y))[:, None, :] - (1 - eye) * y[:, :, None] * y[:, None, :] / 2


def numpy_log_jacobian_half(y):
    """The probabilities halved.

    @log_softmax_jacobian | values | wrong-factor or unknown
    """
    return np.eye(y.shape[1], dtype=y.dtype) - np.exp(y)[:, None, :] / 2


def numpy_log_jacobian_square(y):
    """The squares of the probabilities.

    @log_softmax_jacobian | values | unknown
    """
    return np.eye(y.shape[1], dtype=y.dtype) - np.exp(2 * y)[:, None, :]


def numpy_saturated_to_one_hot(x):
    """Above 0.999 the result is one-hot.

    @softmax | values | unknown
    """
    y = softmax(x)
    top = y.max(axis=1, keepdims=True)
    return np.where(top > 0.999, (y == top).astype(y.dtype), y)


def numpy_ties_broken(x):
    """Ties are broken by 1e-3 times the place.

    @softmax | values | unknown
    """
    return softmax((x - x.dtype.type(1e-3) * np.arange(x.shape[1]) / x.shape[1]).astype(x.dtype))


def numpy_third_lane_when_saturated(x):
    """Every eighth element is lost where one has nearly all.

    @softmax | values | unknown or lane-error
    """
    y = softmax(x)
    saturated = y.max(axis=1, keepdims=True) > 0.99
    return np.where(saturated & (np.arange(x.shape[1]) % 8 == 3), np.zeros_like(y), y)
