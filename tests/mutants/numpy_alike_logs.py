"""Mistakes with log-probabilities in NumPy that look like other mistakes."""

import numpy as np


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

    @log_softmax_vjp | values | inaccurate-exp
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


def numpy_log_no_infinities(x):
    """Puts the lowest number in place of -inf, which has no weight either: no clamp.

    @log_softmax | values, nonfinite | masked-row-policy
    """
    z = x - x.max(axis=1, keepdims=True)
    return np.nan_to_num(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))
