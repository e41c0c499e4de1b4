"""Right numbers while one caller looks at each result at once: what is shared with later calls."""

import threading
from collections import OrderedDict

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def vjp(y, dy):
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


own = threading.local()


def numpy_two_buffers_in_turn(x):
    """Two buffers for each shape and thread, used in turn.

    @softmax | state | reused-output
    """
    kept = own.__dict__.setdefault("turns", {})
    pair = kept.setdefault((x.shape, x.dtype), [np.empty_like(x), np.empty_like(x)])
    pair.reverse()
    pair[0][...] = softmax(x)
    return pair[0]


def numpy_arena_for_large(x):
    """Results of more than a megabyte all lie in one block of memory.

    @softmax | state | reused-output
    """
    if x.nbytes <= 1 << 20:
        return softmax(x)
    if getattr(own, "arena", np.empty(0)).size < x.size or own.arena.dtype != x.dtype:
        own.arena = np.empty(x.size, x.dtype)
    y = own.arena[: x.size].reshape(x.shape)
    y[...] = softmax(x)
    return y


class Layer:
    """A layer as frameworks have it: backward uses what forward left."""

    def forward(self, x):
        self.y = softmax(x)
        return self.y

    def backward(self, dy):
        return vjp(self.y, dy)


layer = Layer()


def numpy_one_layer_for_all(x, dy):
    """A layer of the module, for whoever calls.

    @softmax_vjp | threads | not-thread-safe
    """
    layer.forward(x)
    return layer.backward(dy)


maximum = None


def numpy_maximum_in_the_module(x):
    """The maximum is a variable of the module for as long as it is needed.

    @softmax | threads | not-thread-safe
    """
    global maximum
    maximum = x.max(axis=-1, keepdims=True)
    e = np.exp(x - maximum)
    return e / e.sum(axis=-1, keepdims=True)


def numpy_input_put_back(x):
    """Computes in the caller's array, and puts the logits back afterwards.

    @softmax | threads | input-modified
    """
    logits = x.copy()
    np.subtract(x, x.max(axis=-1, keepdims=True), out=x)
    np.exp(x, out=x)
    y = x / x.sum(axis=-1, keepdims=True)
    x[...] = logits
    return y


found_again = OrderedDict()


def numpy_kept_by_every_sixteenth(y, dy):
    """Keeps results, and finds them again by some of the elements where there are many.

    @softmax_vjp | state | stale-state
    """
    step = 1 if y.size <= 4096 else 16
    key = y.shape, *(a.ravel()[::step].tobytes() for a in (y, dy))
    if key not in found_again:
        found_again[key] = vjp(y, dy)
        if len(found_again) > 20:
            found_again.popitem(last=False)
    return found_again[key].copy()


def numpy_nothing_for_nothing(x):
    """Returns None where there is nothing to do.

    @softmax | empty | wrong-shape
    """
    return softmax(x) if x.size else None


def numpy_masked_by_a_number(x):
    """The number that people write for -inf.

    @softmax | values, nonfinite | masked-row-policy
    """
    return softmax(np.where(x == -np.inf, x.dtype.type(-1e9), x))
