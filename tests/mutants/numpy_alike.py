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

    @softmax | values | unknown
    """
    return softmax(np.where(np.isinf(x), x, -x))


def numpy_softmax_squared(x):
    """Normalises the squares of the exponentials.

    @softmax | values | unknown
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


def numpy_longer_axis(x):
    """Takes the longer axis for the classes.

    @softmax | values | wrong-axis
    """
    axis = int(x.shape[1] >= x.shape[0])
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def numpy_jacobian_of_batch(y):
    """The outer products are summed over the rows of the call.

    @softmax_jacobian | values | batch-reduced
    """
    return np.eye(y.shape[1], dtype=y.dtype) * y[:, None, :] - y.T @ y


def numpy_running_normaliser(x):
    """Each class is divided by the sum up to it, as in a causal mask along the wrong axis.

    @softmax | values | unknown
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    with np.errstate(invalid="ignore", divide="ignore"):
        return e / np.cumsum(e, axis=1)
