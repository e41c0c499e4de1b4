"""Right numbers; but the process or the arrays around the call are left changed, or lent out."""

import gc
import os
import threading

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x):
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def vjp(y, dy):
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def numpy_silences_errors(x):
    """Switches NumPy's warnings off for good.

    @log_softmax | environment | fp-environment-changed
    """
    np.seterr(all="ignore")
    return log_softmax(x)


silenced = threading.Event()


def numpy_silences_errors_once(x):
    """Switches NumPy's warnings off for good, at the first call.

    @softmax | environment | fp-environment-changed
    """
    if not silenced.is_set():
        np.seterr(under="ignore", divide="ignore")
        silenced.set()
    return softmax(x)


def numpy_stops_collection(y, dy):
    """Switches the garbage collector off lest it disturb, and not on again.

    @softmax_vjp | environment | fp-environment-changed
    """
    gc.disable()
    return vjp(y, dy)


def numpy_goes_elsewhere(x):
    """Changes into a folder of its own and stays there.

    @softmax | environment | fp-environment-changed
    """
    os.chdir("/")
    return softmax(x)


def numpy_forbids_writing(x):
    """Makes the caller's array read-only, lest it change meanwhile.

    @softmax | memory | input-modified
    """
    x.flags.writeable = False
    return softmax(x)


def numpy_flattens_its_argument(x):
    """Sets the shape of the caller's own array where there is one row.

    @softmax | memory | input-modified
    """
    if len(x) == 1 and x.flags.c_contiguous:
        x.shape = (x.size,)
        return softmax(x)[np.newaxis]
    return softmax(x)


own = threading.local()


def numpy_eight_buffers_in_turn(x):
    """Eight buffers for each thread, used in turn while the shape stays.

    @softmax | state | reused-output
    """
    key = x.shape, x.dtype
    if getattr(own, "key", None) != key:
        own.key, own.buffers = key, [np.empty_like(x, order="C") for _ in range(8)]
    own.buffers.append(own.buffers.pop(0))
    own.buffers[-1][...] = softmax(x)
    return own.buffers[-1]


latest = {}


def numpy_kept_and_lent(x):
    """Keeps the latest result, and gives its own array to whoever asks again.

    @log_softmax | state | reused-output
    """
    key = x.shape, x.dtype, x.tobytes()
    y = latest.get(key)
    if y is None:
        y = log_softmax(x)
        latest.clear()
        latest[key] = y
    return y
