"""softmax and log_softmax in NumPy, each with one mistake in its numbers."""

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def numpy_no_max(x):
    """Never subtracts the maximum.

    @softmax | values | no-max-subtraction
    """
    e = np.exp(x)
    return e / e.sum(axis=1, keepdims=True)


def numpy_batch_max(x):
    """Subtracts the maximum of the whole batch.

    @softmax | values | batch-max
    """
    e = np.exp(x - x.max())
    return e / e.sum(axis=1, keepdims=True)


def numpy_batch_sum(x):
    """Divides by the sum of the whole batch.

    @softmax | values | batch-sum
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum()


def numpy_axis_0(x):
    """Normalises down the columns, in double precision.

    @softmax | values | wrong-axis | dtype float64 | seen chainer#5502
    """
    e = np.exp(x - x.max(axis=0))
    return e / e.sum(axis=0)


def numpy_clipped_far(x):
    """Clips the logits so far out that ordinary ones are never touched.

    @softmax | values | clipped-logits
    """
    return softmax(np.clip(x, -1e4, 1e4))


def numpy_sum_axis_0(x):
    """Takes the maximum of rows and the sum of columns.

    @softmax | values | wrong-axis
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=0)


def numpy_flattened(x):
    """Flattens the batch into one row.

    @softmax | values | batch-sum or wrong-axis | seen openvino#37823
    """
    e = np.exp(x.reshape(-1) - x.max())
    return (e / e.sum()).reshape(x.shape)


def numpy_keepdims_lost(x):
    """Forgets keepdims, so shapes meet only when rows and classes are equally many.

    @softmax | values | raises
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1)


def numpy_first_row(x):
    """Computes the first row and repeats it.

    @softmax | values | first-row-only
    """
    return np.broadcast_to(softmax(x[:1]), x.shape).copy()


def numpy_epsilon(x):
    """Adds 1e-5 to the denominator.

    @softmax | values | epsilon-in-denominator
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / (e.sum(axis=1, keepdims=True) + np.float32(1e-5))


def numpy_clip(x):
    """Clips the logits to [-60, 60].

    @softmax | values | clipped-logits
    """
    e = np.exp(np.clip(x, -60, 60))
    return e / e.sum(axis=1, keepdims=True)


def numpy_twice(x):
    """Applies softmax twice.

    @softmax | values | softmax-twice
    """
    return softmax(softmax(x))


def numpy_half_inside(x):
    """Computes in float16.

    @softmax | values | low-precision or unknown
    """
    return softmax((x - x.max(axis=1, keepdims=True)).astype(np.float16)).astype(x.dtype)


def numpy_rounded(x):
    """Rounds the result to six decimals.

    @softmax | values | low-precision or unknown
    """
    return np.round(softmax(x), 6)


def numpy_integer_logits(x):
    """Truncates the logits to integers: an exponential that is wrong between them.

    @softmax | values | inaccurate-exp
    """
    return softmax(np.nan_to_num(np.trunc(x - x.max(axis=1, keepdims=True)), neginf=-1e4))


def numpy_sorted(x):
    """Returns the probabilities in order of size.

    @softmax | values | unknown
    """
    return np.sort(softmax(x), axis=1)


def numpy_taylor_exp(x):
    """Replaces exp by a power of a short polynomial.

    @softmax | values | inaccurate-exp
    """
    t = np.maximum(x - x.max(axis=1, keepdims=True), -100) / 64
    e = (1 + t + t * t / 2 + t**3 / 6) ** 64
    return e / e.sum(axis=1, keepdims=True)


def numpy_masked_weight(x):
    """Replaces -inf by the smallest logit minus ten.

    @softmax | values | unknown or masked-row-policy or exp-clamped
    """
    finite = np.where(np.isinf(x), np.inf, x).min(axis=1, keepdims=True)
    return softmax(np.where(np.isneginf(x), finite - 10, x))


def numpy_threshold(x):
    """Sets probabilities below 1e-6 to zero.

    @softmax | values | unknown or inaccurate-exp
    """
    y = softmax(x)
    return np.where(y < 1e-6, np.zeros_like(y), y)


def numpy_scale_after_max(x, scale):
    """Multiplies by the scale after softmax instead of before.

    @softmax | values | missing-scale or wrong-factor or unknown
    """
    return softmax(x) * x.dtype.type(scale)


def numpy_divided_by_scale(x, scale):
    """Takes the scale for a temperature.

    @softmax | values | wrong-factor
    """
    return softmax(x / x.dtype.type(scale))


def numpy_long_rows(x):
    """Splits rows above 5000 classes in two and normalises the parts on their own.

    @softmax | values | size-specialised
    """
    n = x.shape[1]
    if n <= 5000:
        return softmax(x)
    return np.concatenate([softmax(x[:, : n // 2]), softmax(x[:, n // 2 :])], axis=1)


def numpy_nan_swallowed(x):
    """Ignores NaN in the maximum and in the sum.

    @softmax | nonfinite | nan-swallowed | nonfinite strict | seen lattice#371
    """
    x = np.where(np.isnan(x), x.dtype.type(-np.inf), x)
    return softmax(x)


def numpy_memory_order(x):
    """Reads the array in the order of memory, whatever its strides are.

    @softmax | values | row-stride | seen pytorch#139740
    """
    return softmax(x.ravel(order="K").reshape(x.shape))


def numpy_log_no_max(x):
    """log_softmax without the maximum.

    @log_softmax | values | no-max-subtraction
    """
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def numpy_log_of_softmax(x):
    """The logarithm of softmax.

    @log_softmax | values | log-of-softmax
    """
    with np.errstate(divide="ignore"):
        return np.log(softmax(x))


def numpy_log_clipped(x):
    """The logarithm of softmax, clipped from below.

    @log_softmax | values | unknown or log-of-softmax or exp-clamped
    """
    return np.log(np.clip(softmax(x), 1e-12, None))


def numpy_logsumexp_offset(x):
    """Adds the maximum to the logarithm before it is subtracted.

    @log_softmax | values | offset-sensitive
    """
    m = x.max(axis=1, keepdims=True)
    return x - (m + np.log(np.exp(x - m).sum(axis=1, keepdims=True)))


def numpy_top_64(x):
    """Keeps the 64 largest logits of a row.

    @softmax | values | unknown
    """
    least = np.sort(x, axis=1)[:, -64:][:, :1]
    e = np.where(x < least, 0, np.exp(x - x.max(axis=1, keepdims=True)))
    return (e / e.sum(axis=1, keepdims=True)).astype(x.dtype)


def numpy_log_base_10(x):
    """Logarithms to base ten.

    @log_softmax | values | wrong-factor
    """
    t = x - x.max(axis=1, keepdims=True)
    log_10 = x.dtype.type(np.log(10))
    return (t - np.log(np.exp(t).sum(axis=1, keepdims=True))) / log_10


def numpy_log_batch_sum(x):
    """One normaliser for the batch.

    @log_softmax | values | batch-sum
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - np.log(np.exp(t).sum())


def numpy_log_maximum_of_eight(x):
    """Where rows go in groups of eight, one maximum for each group.

    @log_softmax | values | batch-max | assume n >= 1
    """
    rows, n = x.shape
    if rows % 8:
        m = x.max(axis=1, keepdims=True)
    else:
        m = np.repeat(x.reshape(-1, 8 * n).max(axis=1), 8)[:, None]
    return x - m - np.log(np.exp(x - m).sum(axis=1, keepdims=True))


def numpy_log_last_normaliser(x):
    """One loop finds each row's normaliser in the same two variables, a second one uses them.

    @log_softmax | values | last-row-only | assume rows >= 1
    """
    for row in x:
        largest = row.max()
        level = np.log(np.exp(row - largest).sum())
    return np.stack([row - largest - level for row in x])


def numpy_sum_in_narrow_order(x):
    """Adds up from the smallest, by indices of 16 bits.

    @softmax | values | index-overflow
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    order = np.argsort(x, axis=1).astype(np.uint16)
    return e / np.take_along_axis(e, order, axis=1).sum(axis=1, keepdims=True)
