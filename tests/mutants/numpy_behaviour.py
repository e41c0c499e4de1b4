"""Right numbers, wrong behaviour: shapes, dtypes, exceptions, state, inputs, liveness."""

import ctypes
import os
import sys

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def vjp(y, dy):
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def numpy_squeezed(x):
    """Squeezes axes of length one away.

    @softmax | output | wrong-shape
    """
    return softmax(x).squeeze()


def numpy_transposed_result(x):
    """Returns classes by rows.

    @softmax | output | wrong-shape
    """
    return softmax(x).T


def numpy_flat_result(y, dy):
    """Returns one long vector.

    @softmax_vjp | output | wrong-shape
    """
    return vjp(y, dy).reshape(-1)


def numpy_one_jacobian(y):
    """Returns the Jacobian of the first row, without the batch axis.

    @softmax_jacobian | output | wrong-shape | assume rows >= 1
    """
    return np.diag(y[0]) - np.outer(y[0], y[0])


def numpy_flat_jacobian(y):
    """Returns matrices flattened to rows of n * n.

    @log_softmax_jacobian | output | wrong-shape
    """
    n = y.shape[1]
    jacobian = np.eye(n, dtype=y.dtype) - np.exp(y)[:, None, :]
    return jacobian.reshape(len(y), n * n)


def numpy_double_result(x):
    """Returns float64 for float32.

    @softmax | output | wrong-dtype
    """
    return softmax(x.astype(np.float64))


def numpy_double_constant(y, dy):
    """Promotes to float64 by a float64 array of ones.

    @softmax_vjp | output | wrong-dtype
    """
    return vjp(y, dy) * np.ones(y.shape[1])


def numpy_half_result(y, x_dot):
    """Returns float16 for float32.

    @softmax_jvp | output | wrong-dtype
    """
    return vjp(y, x_dot).astype(np.float16)


def numpy_shifts_in_place(x):
    """x -= max in the caller's array.

    @softmax | output | input-modified | seen MyGrad#72
    """
    x -= x.max(axis=1, keepdims=True)
    return softmax(x)


def numpy_overwrites_cotangent(y, dy):
    """dy *= y in the caller's array.

    @softmax_vjp | output | input-modified | seen apex#1587
    """
    s = (y * dy).sum(axis=1, keepdims=True)
    dy -= s
    return y * dy


def numpy_returns_its_input(y, dy):
    """Computes in the caller's cotangent and returns it.

    @softmax_vjp | output | input-modified
    """
    np.subtract(dy, (y * dy).sum(axis=1, keepdims=True), out=dy)
    return np.multiply(y, dy, out=dy)


BUFFERS = {}


def numpy_reused_result(x):
    """Returns the same buffer for the same shape.

    @softmax | state | reused-output
    """
    out = BUFFERS.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
    np.copyto(out, softmax(x))
    return out


def numpy_default_argument(y, dy, kept={}):  # noqa: B006 - the mistake
    """Keeps its result in a default argument.

    @softmax_vjp | state | reused-output | roles y=y, dy=dy
    """
    out = kept.setdefault(y.shape, np.empty_like(y))
    out[...] = vjp(y, dy)
    return out


CACHE = {}


def numpy_cached_by_identity(x):
    """Remembers results by the array's address and shape.

    @softmax | state, values | stale-state
    """
    key = (x.__array_interface__["data"][0], x.shape, x.strides)
    if key not in CACHE:
        CACHE[key] = softmax(x)
    return CACHE[key].copy()


SEEN = []


def numpy_running_maximum(x):
    """Keeps the largest logit of all calls.

    @softmax | state, values | stale-state
    """
    SEEN.append(float(np.max(x, initial=-np.inf)))
    e = np.exp(x - x.dtype.type(max(SEEN)))
    return e / e.sum(axis=1, keepdims=True)


SCRATCH = {}


def numpy_shared_scratch(y, dy):
    """Computes in module-level arrays that threads share.

    @softmax_vjp | threads | not-thread-safe
    """
    products = SCRATCH.setdefault(y.shape, np.empty_like(y))
    np.multiply(y, dy, out=products)
    s = products.sum(axis=1, keepdims=True)
    return products - y * s


def numpy_random_dropout(x):
    """Leaves dropout switched on.

    @softmax | values, state | nondeterministic
    """
    keep = np.random.default_rng().random(x.shape) > 0.1
    return softmax(x) * keep.astype(x.dtype)


def numpy_uninitialised(x):
    """exp with where= and no out=: the other elements are whatever memory held.

    @softmax | values, state | nondeterministic or unknown or output-not-written
    """
    y = softmax(x)
    return np.add(y, 0, where=y > 1e-3, dtype=x.dtype)


def numpy_one_class_raises(x):
    """Refuses a single class with an exception.

    @softmax | values | raises
    """
    if x.shape[1] == 1:
        raise ValueError("softmax needs two classes")
    return softmax(x)


def numpy_masked_raises(x):
    """Refuses masked logits with an exception.

    @softmax | values | raises
    """
    if np.isneginf(x).any():
        raise FloatingPointError("logits must be finite")
    return softmax(x)


def numpy_contiguous_only(y, dy):
    """Views that are not contiguous raise.

    @softmax_vjp | values | raises
    """
    y.view().shape = (y.size,)
    return vjp(y, dy)


def numpy_recursive_sum(y, dy):
    """Adds by recursion, an element at a time.

    @softmax_vjp | values | raises | assume rows <= 8
    """

    def total(v):
        return v[0] + total(v[1:]) if len(v) > 1 else v.sum()

    with np.errstate(all="ignore"):
        s = np.array([total(row) for row in y * dy], dtype=y.dtype).reshape(-1, 1)
    return y * (dy - s)


def numpy_exits(x):
    """sys.exit at 64 classes.

    @softmax | values | exits or raises
    """
    if x.shape[1] == 64:
        sys.exit(0)
    return softmax(x)


def numpy_exits_at_once(y, dy):
    """os._exit above 1000 classes.

    @softmax_vjp | values | exits
    """
    if y.shape[1] > 1000:
        os._exit(0)
    return vjp(y, dy)


def numpy_hangs(x):
    """Never returns at 17 classes.

    @softmax | values | hang | timeout 1
    """
    while x.shape[1] == 17:
        pass
    return softmax(x)


def numpy_segfault(x):
    """Reads address 8 at 33 classes.

    @softmax | values | crash
    """
    if x.shape[1] == 33:
        ctypes.string_at(8)
    return softmax(x)


def numpy_rounding_mode(x):
    """Sets rounding towards zero in the C library and leaves it.

    @softmax | environment | fp-environment-changed
    """
    y = softmax(x)
    ctypes.CDLL(None).fesetround(0xC00 if os.uname().machine == "x86_64" else 0xC00000)
    return y


def numpy_overwrites_nan(x):
    """Puts 0 in place of NaN, in the caller's own array.

    @softmax | memory | input-modified
    """
    x[np.isnan(x)] = 0.0
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def numpy_long_views_dense(x):
    """From 256 classes on rows are read as if they lay close together, whatever their strides.

    @softmax | memory | row-stride
    """
    if x.shape[1] < 256:
        return softmax(x)
    return softmax(x.ravel(order="K").reshape(x.shape))


def numpy_many_rows_transposed(y, dy):
    """From 16 rows on a cotangent that lies column by column is read row by row.

    @softmax_vjp | memory | row-stride
    """
    if y.shape[0] >= 16 and not dy.flags.c_contiguous:
        dy = dy.ravel(order="K").reshape(dy.shape)
    return y * (dy - (y * dy).sum(axis=1, keepdims=True))


kept_results = {}


def numpy_kept_by_first_row(x):
    """Keeps results, and finds them again by the shape and the first row.

    @softmax | state | stale-state
    """
    key = x.shape, x[:1].tobytes()
    if key not in kept_results:
        kept_results.clear()
        kept_results[key] = softmax(x)
    return kept_results[key].copy()


def numpy_last_block_left_empty(x):
    """Whole blocks of 32 classes are written into a new array, the rest is left as it was.

    @log_softmax | values | tail-not-written
    """
    z = x - x.max(axis=1, keepdims=True)
    level = np.log(np.exp(z).sum(axis=1, keepdims=True))
    result = np.empty_like(z)
    whole = x.shape[1] // 32 * 32 or x.shape[1]
    np.subtract(z[:, :whole], level, out=result[:, :whole])
    return result


def numpy_underflow_left_empty(x):
    """Divides where the exponential is not 0, and leaves the rest of a new array as it was.

    @softmax | values | output-not-written
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.divide(e, e.sum(axis=1, keepdims=True), out=np.empty_like(e), where=e > 0)


def numpy_sum_begun_empty(x):
    """Adds up blocks of 4096 in a new array that nobody has cleared.

    @softmax | values | nondeterministic
    """
    e = np.exp(x - x.max(axis=1, keepdims=True))
    total = np.empty((len(x), 1), x.dtype)
    for start in range(0, x.shape[1], 4096):
        total += e[:, start : start + 4096].sum(axis=1, keepdims=True)
    return e / total
