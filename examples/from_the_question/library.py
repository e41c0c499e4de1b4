"""The question's library: pure activations and losses, any pair of which can be combined.

Each activation brings an element-wise `delta`, each loss a slope, and the error at the output is
their product. That is right for every activation but softmax: its outputs depend on all logits,
so its derivative is a matrix, and `delta` is the diagonal of it.
"""

import numpy as np


def softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=-1, keepdims=True)


def softmax_delta(x):
    e = np.exp(x)
    o = e.sum(axis=-1, keepdims=True) - e
    return 1 / (2 + e / o + o / e)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_delta(x):
    return sigmoid(x) * (1 - sigmoid(x))


# activation -> (value, delta); loss -> (value, slope)
ACTIVATIONS = {
    "sigmoid": (sigmoid, sigmoid_delta),
    "softmax": (softmax, softmax_delta),
}
LOSSES = {
    "squared error": (
        lambda y, t: 0.5 * ((y - t) ** 2).sum(),
        lambda y, t: y - t,
    ),
    "cross-entropy": (
        lambda y, t: -(t * np.log(y)).sum(),
        lambda y, t: -t / y,
    ),
}


def output_error(activation, loss, x, target):
    """The derivative of the loss with respect to the logits, as the library takes it."""
    value, delta = ACTIVATIONS[activation]
    _, slope = LOSSES[loss]
    return slope(value(x), target) * delta(x)


def vjp(x, dy):
    """What the library multiplies the loss's slope by, as a candidate for the oracle.

    A common offset changes neither softmax nor `delta`; taking it off keeps exp within range, so
    that the formula alone is on trial.
    """
    return dy * softmax_delta(x - x.max(axis=-1, keepdims=True))
