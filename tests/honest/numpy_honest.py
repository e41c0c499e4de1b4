"""Right implementations in NumPy and SciPy, in the ways people write them."""

import math
import threading

import numpy as np


def numpy_softmax(x):
    """The textbook.

    @softmax | nonfinite strict
    """
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def numpy_softmax_transposed(x):
    """Works on columns of the transposed array instead of keepdims.

    @softmax
    """
    e = np.exp((x.T - x.max(axis=1)).T)
    return (e.T / e.sum(axis=1)).T


def numpy_softmax_loops(x):
    """A loop over rows and elements, with math.exp.

    @softmax | assume rows * n <= 20000
    """
    y = np.empty_like(x)
    for r, row in enumerate(x):
        m = row.max(initial=-np.inf)
        e = [math.exp(v - m) if v - m == v - m else math.nan for v in row.astype(np.float64)]
        s = math.fsum(e)
        y[r] = [v / s if s else math.nan for v in e]
    return y


def numpy_softmax_double_inside(x):
    """float64 inside, float32 outside.

    @softmax
    """
    e = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    return (e / e.sum(axis=1, keepdims=True)).astype(x.dtype)


def numpy_softmax_double(x):
    """float64 throughout.

    @softmax | dtype float64
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def numpy_softmax_in_chunks(x):
    """The sum added in chunks of a thousand.

    @softmax
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    s = np.zeros((len(x), 1), x.dtype)
    for i in range(0, x.shape[1], 1000):
        s += e[:, i : i + 1000].sum(axis=1, keepdims=True)
    return e / s


def numpy_softmax_scaled(x, scale):
    """A scale on the logits.

    @softmax
    """
    t = x * x.dtype.type(scale)
    e = np.exp(t - t.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def numpy_softmax_fortran(x):
    """Returns the result in column order.

    @softmax
    """
    return np.asfortranarray(numpy_softmax(x))


def scipy_softmax(x):
    """SciPy's own.

    @softmax
    """
    from scipy.special import softmax

    return softmax(x, axis=-1)


def scipy_log_softmax(x):
    """SciPy's own.

    @log_softmax
    """
    from scipy.special import log_softmax

    return log_softmax(x, axis=-1)


def numpy_log_softmax(x):
    """The textbook.

    @log_softmax
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - np.log(np.exp(t).sum(axis=1, keepdims=True))


def numpy_log_softmax_double(x):
    """float64 throughout.

    @log_softmax | dtype float64
    """
    t = x - x.max(axis=1, keepdims=True)
    return t - np.log(np.exp(t).sum(axis=1, keepdims=True))


def numpy_vjp(y, dy):
    """The textbook.

    @softmax_vjp
    """
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def numpy_vjp_einsum(y, dy):
    """The sum by einsum.

    @softmax_vjp
    """
    return y * dy - y * np.einsum("ri,ri->r", y, dy)[:, None]


def numpy_vjp_jacobian(y, dy):
    """The Jacobian of each row and a product with it.

    @softmax_vjp | assume n <= 512
    """
    jacobian = np.eye(y.shape[1], dtype=y.dtype) * y[:, :, None] - y[:, :, None] * y[:, None, :]
    return np.einsum("rij,ri->rj", jacobian, dy)


def numpy_vjp_loop(y, dy):
    """diag(y) - outer(y, y) a row at a time.

    @softmax_vjp | assume n <= 512 and rows <= 512
    """
    dx = np.empty_like(dy)
    for r in range(len(y)):
        dx[r] = (np.diag(y[r]) - np.outer(y[r], y[r])) @ dy[r]
    return dx


def numpy_vjp_from_logits(x, dy):
    """From the logits.

    @softmax_vjp
    """
    y = numpy_softmax(x)
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def numpy_vjp_double(y, dy):
    """float64 throughout.

    @softmax_vjp | dtype float64
    """
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def numpy_vjp_other_names(probabilities, upstream):
    """Other names for the roles.

    @softmax_vjp | roles probabilities=y, upstream=dy
    """
    dot = np.sum(probabilities * upstream, axis=1, keepdims=True)
    return probabilities * (upstream - dot)


def numpy_jvp(y, x_dot):
    """The textbook.

    @softmax_jvp
    """
    return y * (x_dot - (y * x_dot).sum(axis=-1, keepdims=True))


def numpy_log_vjp(y, dy):
    """The textbook.

    @log_softmax_vjp
    """
    return dy - np.exp(y) * dy.sum(axis=-1, keepdims=True)


def numpy_log_jvp(y, x_dot):
    """The textbook.

    @log_softmax_jvp
    """
    return x_dot - (np.exp(y) * x_dot).sum(axis=-1, keepdims=True)


def numpy_jacobian(y):
    """diag(y) - y y^T by broadcasting.

    @softmax_jacobian
    """
    return y[:, :, None] * (np.eye(y.shape[1], dtype=y.dtype) - y[:, None, :])


def numpy_jacobian_double(y):
    """One matrix at a time.

    @softmax_jacobian | dtype float64
    """
    n = y.shape[1]
    jacobian = np.empty((len(y), n, n), y.dtype)
    for r, row in enumerate(y):
        jacobian[r] = np.diagflat(row) - np.outer(row, row)
    return jacobian


def numpy_log_jacobian(y):
    """I - 1 y^T by broadcasting.

    @log_softmax_jacobian
    """
    return np.eye(y.shape[1], dtype=y.dtype) - np.repeat(np.exp(y)[:, None, :], y.shape[1], axis=1)


def numpy_log_vjp_own_and_rest(y, dy):
    """The element's own term and the others', as a row of the Jacobian has them.

    @log_softmax_vjp
    """
    p = np.exp(y)
    return (1 - p) * dy - p * (dy.sum(axis=-1, keepdims=True) - dy)


def numpy_vjp_short_by_jacobian(y, dy):
    """The Jacobian of short rows and a product with it; the textbook for long ones.

    @softmax_vjp
    """
    if y.shape[1] > 32:
        return numpy_vjp(y, dy)
    jacobian = y[:, :, None] * (np.eye(y.shape[1], dtype=y.dtype) - y[:, None, :])
    return np.einsum("rij,rj->ri", jacobian, dy)


class Layer:
    """A layer whose backward uses what its forward left."""

    def forward(self, x):
        """Keeps the probabilities."""
        self.y = numpy_softmax(x)

    def backward(self, dy):
        """The cotangent of the logits."""
        return numpy_vjp(self.y, dy)


layer, turn = Layer(), threading.Lock()
layers = threading.local()


def numpy_layer_under_a_lock(x, dy):
    """One layer for all callers, one caller at a time.

    @softmax_vjp
    """
    with turn:
        layer.forward(x)
        return layer.backward(dy)


def numpy_layer_for_each_thread(x, dy):
    """A layer for each thread.

    @softmax_vjp
    """
    if not hasattr(layers, "own"):
        layers.own = Layer()
    layers.own.forward(x)
    return layers.own.backward(dy)


def numpy_result_kept_and_copied(x):
    """Finds the latest results again by all of their logits, and gives copies.

    @softmax
    """
    kept = layers.__dict__.setdefault("results", {})
    key = x.shape, x.tobytes()
    if key not in kept:
        kept.clear()
        kept[key] = numpy_softmax(x)
    return kept[key].copy()


def numpy_result_kept_to_be_read(x):
    """Finds the latest results again by all of their logits; nobody may write to them.

    @softmax
    """
    kept = layers.__dict__.setdefault("readable", {})
    key = x.shape, x.tobytes()
    if key not in kept:
        kept.clear()
        kept[key] = numpy_softmax(x)
        kept[key].flags.writeable = False
    return kept[key]


def numpy_errors_silenced_meanwhile(x):
    """Silences NumPy's warnings, and puts back what was there.

    @softmax
    """
    before = np.seterr(all="ignore")
    try:
        return numpy_softmax(x)
    finally:
        np.seterr(**before)
