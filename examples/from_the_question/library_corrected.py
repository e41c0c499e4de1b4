"""The same library with a pull-back in the place of `delta`: now softmax fits as well.

An activation's pull-back takes its result y and the loss's slope dy, and gives the derivative
with respect to the logits. For an element-wise activation that is a product; for softmax it is
the product with the whole Jacobian, which needs no matrix.
"""

import numpy as np


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_pull_back(y, dy):
    return y * (dy - (y * dy).sum(axis=-1, keepdims=True))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def sigmoid_pull_back(y, dy):
    return y * (1 - y) * dy


# activation -> (value, pull-back); loss -> (value, slope)
ACTIVATIONS = {
    "sigmoid": (sigmoid, sigmoid_pull_back),
    "softmax": (softmax, softmax_pull_back),
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
    """The derivative of the loss with respect to the logits."""
    value, pull_back = ACTIVATIONS[activation]
    _, slope = LOSSES[loss]
    y = value(x)
    return pull_back(y, slope(y, target))
