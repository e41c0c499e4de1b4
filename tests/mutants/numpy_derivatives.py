"""Jacobians, VJPs and JVPs in NumPy, each with one mistake in its numbers."""

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def numpy_vjp_diagonal(y, dy):
    """The derivative of the sigmoid.

    @softmax_vjp | values | diagonal-only | seen ML-From-Scratch#71
    """
    return y * (1 - y) * dy


def numpy_vjp_no_dot(y, dy):
    """The sum forgotten.

    @softmax_vjp | values | missing-dot
    """
    return y * dy


def numpy_vjp_dot_added(y, dy):
    """The sum added.

    @softmax_vjp | values | dot-sign
    """
    return y * (dy + (y * dy).sum(axis=1, keepdims=True))


def numpy_vjp_batch_dot(y, dy):
    """One sum for the batch.

    @softmax_vjp | values | batch-reduced
    """
    return y * (dy - (y * dy).sum())


def numpy_vjp_axis_0(y, dy):
    """Sums of columns.

    @softmax_vjp | values | wrong-axis
    """
    return y * (dy - (y * dy).sum(axis=0))


def numpy_vjp_keepdims_lost(y, dy):
    """Forgets keepdims.

    @softmax_vjp | values | raises
    """
    return y * (dy - (y * dy).sum(axis=1))


def numpy_vjp_flattened_jacobian(y, dy):
    """One Jacobian for the flattened batch, as if it were a single row.

    @softmax_vjp | values | batch-reduced | assume rows * n <= 2048
    """
    column = y.reshape(-1, 1)
    jacobian = np.diagflat(column) - column @ column.T
    return (jacobian @ dy.reshape(-1)).reshape(y.shape)


def numpy_vjp_last_jacobian(y, dy):
    """Keeps the Jacobian of the last row only.

    @softmax_vjp | values | last-row-only | assume n <= 512 and rows >= 1
    """
    for row in y:
        jacobian = np.diag(row) - np.outer(row, row)
    return dy @ jacobian


def numpy_vjp_mean(y, dy):
    """The mean for the sum.

    @softmax_vjp | values | mean-for-sum
    """
    return y * (dy - (y * dy).mean(axis=1, keepdims=True))


def numpy_vjp_cross_entropy(y, dy):
    """Probabilities minus targets.

    @softmax_vjp | values | fused-cross-entropy
    """
    return y - dy


def numpy_vjp_cross_entropy_averaged(y, dy):
    """Probabilities minus targets, averaged over the batch.

    @softmax_vjp | values | fused-cross-entropy or unknown
    """
    return (y - dy) / y.dtype.type(len(y))


def numpy_vjp_swapped(y, dy):
    """y and dy exchanged.

    @softmax_vjp | values | swapped-arguments
    """
    return dy * (y - (y * dy).sum(axis=1, keepdims=True))


def numpy_vjp_softmax_again(y, dy):
    """Softmax of the probabilities.

    @softmax_vjp | values | softmax-twice
    """
    p = softmax(y)
    return p * (dy - (p * dy).sum(axis=1, keepdims=True))


def numpy_vjp_negative(y, dy):
    """The sign flipped.

    @softmax_vjp | values | sign-flipped
    """
    return y * ((y * dy).sum(axis=1, keepdims=True) - dy)


def numpy_vjp_batch_mean(y, dy):
    """Divided by the number of rows.

    @softmax_vjp | values | wrong-factor
    """
    return y * (dy - (y * dy).sum(axis=1, keepdims=True)) / y.dtype.type(max(len(y), 1))


def numpy_vjp_zero(y, dy):
    """Zeros.

    @softmax_vjp | values | all-zero
    """
    return np.zeros_like(dy)


def numpy_vjp_differences(x, dy):
    """Central differences with step 1e-3, one logit at a time.

    @softmax_vjp | values | unknown or low-precision | assume n <= 256
    """
    step = x.dtype.type(1e-3)
    dx = np.empty_like(dy)
    for i in range(x.shape[1]):
        e = np.zeros_like(x)
        e[:, i] = step
        dx[:, i] = ((softmax(x + e) - softmax(x - e)) / (2 * step) * dy).sum(axis=1)
    return dx


def numpy_vjp_largest_only(y, dy):
    """Takes the cotangent of the largest probability for the sum.

    @softmax_vjp | values | unknown
    """
    top = y.argmax(axis=1)
    return y * (dy - np.take_along_axis(dy, top[:, None], axis=1))


def numpy_vjp_scale_forgotten(y, dy, scale):
    """The scale of the chain rule forgotten.

    @softmax_vjp | values | missing-scale
    """
    return y * (dy - (y * dy).sum(axis=1, keepdims=True))


def numpy_jvp_diagonal(y, x_dot):
    """The diagonal of the Jacobian alone, in double precision.

    @softmax_jvp | values | diagonal-only | dtype float64
    """
    return (y - y**2) * x_dot


def numpy_jvp_no_factor(y, x_dot):
    """The factor y lost.

    @softmax_jvp | values | missing-probability-factor
    """
    return x_dot - (y * x_dot).sum(axis=1, keepdims=True)


def numpy_jvp_einsum_index(y, x_dot):
    """An einsum that repeats an index: the sum never happens.

    @softmax_jvp | values | diagonal-only
    """
    return y * x_dot - np.einsum("ri,ri,ri->ri", y, y, x_dot)


def numpy_log_vjp_softmax(y, dy):
    """Softmax's formula for log_softmax.

    @log_softmax_vjp | values | softmax-formula
    """
    p = np.exp(y)
    return p * (dy - (p * dy).sum(axis=1, keepdims=True))


def numpy_log_vjp_mean(y, dy):
    """The mean of the cotangents for their sum.

    @log_softmax_vjp | values | mean-for-sum
    """
    return dy - np.exp(y) * dy.mean(axis=1, keepdims=True)


def numpy_log_vjp_transposed(y, dy):
    """The JVP's formula.

    @log_softmax_vjp | values | transposed
    """
    return dy - (np.exp(y) * dy).sum(axis=1, keepdims=True)


def numpy_log_vjp_batch(y, dy):
    """One sum for the batch.

    @log_softmax_vjp | values | batch-reduced
    """
    return dy - np.exp(y) * dy.sum()


def numpy_log_jvp_transposed(y, x_dot):
    """The VJP's formula.

    @log_softmax_jvp | values | transposed
    """
    return x_dot - np.exp(y) * x_dot.sum(axis=1, keepdims=True)


def numpy_log_jvp_zero(y, x_dot):
    """Zeros.

    @log_softmax_jvp | values | all-zero
    """
    return np.zeros_like(x_dot)


def numpy_log_jvp_first_row(y, x_dot):
    """The first row's probabilities for every row.

    @log_softmax_jvp | values | first-row-only
    """
    return x_dot - (np.exp(y[:1]) * x_dot).sum(axis=1, keepdims=True)


def numpy_vjp_sums_along_classes(y, dy):
    """The rows' sums are right, and laid along the classes, again and again.

    @softmax_vjp | values | wrong-axis
    """
    return y * (dy - np.resize((y * dy).sum(axis=1), y.shape[1]))


def numpy_vjp_products_reshaped(y, dy):
    """Brings the products into the shape (n, rows) and adds them up along the first axis.

    @softmax_vjp | values | wrong-axis
    """
    rows, n = y.shape
    s = (y * dy).reshape(n, rows).sum(axis=0)
    return y * (dy - s[:, None])


def numpy_vjp_degrees_of_freedom(y, dy):
    """The sum times n / (n - 1), as an unbiased estimate has it.

    @softmax_vjp | values | wrong-factor
    """
    n = y.shape[1]
    s = (y * dy).sum(axis=1, keepdims=True)
    return y * (dy - s * y.dtype.type(n / max(n - 1, 1)))


def numpy_vjp_probabilities_clipped(y, dy):
    """Probabilities are kept off 0 and 1, for a logarithm that is not taken here.

    @softmax_vjp | values | unknown
    """
    kept = np.clip(y, 1e-7, 1 - 1e-7)
    return kept * (dy - (kept * dy).sum(axis=1, keepdims=True))


def numpy_jacobian_diagonal(y):
    """The diagonal alone.

    @softmax_jacobian | values | diagonal-only
    """
    return np.eye(y.shape[1], dtype=y.dtype) * (y * (1 - y))[:, :, None]


def numpy_jacobian_outer(y):
    """diag(y) + y y^T.

    @softmax_jacobian | values | dot-sign
    """
    return np.eye(y.shape[1], dtype=y.dtype) * y[:, :, None] + y[:, :, None] * y[:, None, :]


def numpy_jacobian_neighbour(y):
    """The outer product of a row with the next row of the batch.

    @softmax_jacobian | values | unknown
    """
    other = np.roll(y, 1, axis=0)
    return np.eye(y.shape[1], dtype=y.dtype) * y[:, :, None] - y[:, :, None] * other[:, None, :]


def numpy_jacobian_batch_summed(y):
    """The outer product of a row with the sum of all rows: an index of the batch too many.

    @softmax_jacobian | values | batch-reduced
    """
    return np.eye(y.shape[1], dtype=y.dtype) * y[:, :, None] - np.einsum("ri,sj->rij", y, y)


def numpy_jacobian_outer_of_first(y):
    """Each row's diagonal, and the first row's outer product for all.

    @softmax_jacobian | values | first-row-only | assume rows >= 1
    """
    return np.eye(y.shape[1], dtype=y.dtype) * y[:, :, None] - np.outer(y[0], y[0])


def numpy_log_jacobian_diagonal_of_first(y):
    """Right off the diagonal, the first row's on it.

    @log_softmax_jacobian | values | first-row-only | assume rows >= 1
    """
    p = np.exp(y)
    jacobian = np.repeat(-p[:, None, :], y.shape[1], axis=1)
    np.einsum("rii->ri", jacobian)[...] = 1 - p[0]
    return jacobian


def numpy_log_jacobian_transposed(y):
    """delta_ij - p_i in place of delta_ij - p_j.

    @log_softmax_jacobian | values | transposed
    """
    n = y.shape[1]
    return np.broadcast_to(np.eye(n, dtype=y.dtype) - np.exp(y)[:, :, None], (len(y), n, n)).copy()


def numpy_log_jacobian_softmax(y):
    """Softmax's Jacobian.

    @log_softmax_jacobian | values | softmax-formula
    """
    p = np.exp(y)
    return np.eye(y.shape[1], dtype=y.dtype) * p[:, :, None] - p[:, :, None] * p[:, None, :]


def numpy_log_jacobian_minus(y):
    """The sign flipped.

    @log_softmax_jacobian | values | sign-flipped
    """
    return np.exp(y)[:, None, :] - np.eye(y.shape[1], dtype=y.dtype)


def numpy_vjp_largest_off(x, dy):
    """From 500 logits on, adds a little of the row's size to the element of the largest.

    As much as the rounding may come to where a library derives x - max(x); this is none.

    @softmax_vjp | values | size-specialised or unknown
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    y = e / e.sum(axis=1, keepdims=True)
    dx = y * (dy - (y * dy).sum(axis=1, keepdims=True))
    if x.shape[1] > 500:
        size = np.abs(dx).sum(axis=1)
        dx[np.arange(len(x)), x.argmax(axis=1)] += np.float32(3e-5) * size
    return dx


def numpy_vjp_whole_vectors(y, dy):
    """Stores vectors of 8 classes into a new array, and nothing of what is left over.

    @softmax_vjp | values | tail-not-written
    """
    dx = np.empty_like(y)
    s = np.einsum("ij,ij->i", y, dy)
    for start in range(0, y.shape[1] - 7, 8):
        part = slice(start, start + 8)
        dx[:, part] = y[:, part] * (dy[:, part] - s[:, None])
    return dx
