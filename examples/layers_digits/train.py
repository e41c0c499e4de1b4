"""A network on handwritten digits, its derivatives combined by hand from softjac.layers.

    python train.py [--hidden gelu] [--output softmax] [--loss squared_error]

Any hidden activation, any output activation, any loss: the two lines that use them do not change.
The same network is trained with jax.grad beside it, from the same start, on the same data.
"""

import argparse
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from softjac import layers

Parameters = list[tuple[jax.Array, jax.Array]]
SIZES = (64, 48, 10)
STEPS, RATE, MOMENTUM = 400, 0.2, 0.9


def data() -> tuple[np.ndarray, ...]:
    """1,797 images of 8 x 8 pixels: the last 450 are for the test."""
    images, labels = load_digits(return_X_y=True)
    x = np.float32(images / 16 - 0.5)
    target = np.eye(10, dtype=np.float32)[labels]
    return x[:-450], target[:-450], x[-450:], target[-450:]


def start() -> Parameters:
    """Weights and biases of both layers."""
    rng = np.random.default_rng(0)
    return [
        (jnp.float32(rng.normal(size=(m, n)) / np.sqrt(m)), jnp.zeros(n, jnp.float32))
        for m, n in pairwise(SIZES)
    ]


def by_hand(hidden: layers.Activation, output: layers.Activation, loss: layers.Loss) -> Callable:
    """The derivatives of the mean loss: cotangents, layer by layer, from the last to the first."""
    last = layers.output_cotangent(output, loss)

    def gradients(parameters: Parameters, x: jax.Array, target: jax.Array) -> Parameters:
        (w1, b1), (w2, b2) = parameters
        z1 = x @ w1 + b1
        y1 = hidden.value(z1)
        z2 = y1 @ w2 + b2
        dz2 = last(z2, target) / len(x)
        dz1 = hidden.pull_back(z1, dz2 @ w2.T)
        return [(x.T @ dz1, dz1.sum(0)), (y1.T @ dz2, dz2.sum(0))]

    return gradients


def by_jax(hidden: layers.Activation, output: layers.Activation, loss: layers.Loss) -> Callable:
    """The same by jax.grad."""

    def mean_loss(parameters: Parameters, x: jax.Array, target: jax.Array) -> jax.Array:
        (w1, b1), (w2, b2) = parameters
        y = output.value(hidden.value(x @ w1 + b1) @ w2 + b2)
        return jnp.mean(loss.value(y, target))

    return jax.grad(mean_loss)


def train(gradients: Callable, x: np.ndarray, target: np.ndarray) -> Parameters:
    """Gradient descent with momentum, whole batches."""

    def step(_: int, state: Any) -> Any:
        parameters, velocity = state
        found = gradients(parameters, x, target)
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v - RATE * g, velocity, found)
        return jax.tree.map(jnp.add, parameters, velocity), velocity

    parameters = start()
    rest = jax.tree.map(jnp.zeros_like, parameters)
    return jax.jit(lambda s: jax.lax.fori_loop(0, STEPS, step, s))((parameters, rest))[0]


def accuracy(
    parameters: Parameters, hidden: layers.Activation, x: np.ndarray, target: np.ndarray
) -> float:
    """The share of digits whose greatest logit is the right one."""
    (w1, b1), (w2, b2) = parameters
    logits = hidden.value(x @ w1 + b1) @ w2 + b2
    return float(jnp.mean(logits.argmax(-1) == target.argmax(-1)))


def main() -> None:
    named = {item.name: item for item in (*layers.ACTIVATIONS, *layers.LOSSES)}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", default="tanh")
    parser.add_argument("--output", default="softmax")
    parser.add_argument("--loss", default="cross_entropy")
    options = parser.parse_args()
    hidden, output, loss = (named[name] for name in vars(options).values())

    x, target, test_x, test_target = data()
    for name, combine in (("by hand", by_hand), ("jax.grad", by_jax)):
        parameters = train(combine(hidden, output, loss), x, target)
        reached = accuracy(parameters, hidden, test_x, test_target)
        print(f"{hidden.name}, {output.name}, {loss.name}, {name}: {reached:.1%}")


if __name__ == "__main__":
    main()
