"""Every activation with every loss, against jax.grad of what jax.nn and optax mean by them."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from softjac import layers
from softjac.oracle import enclosure

MEANT = {
    "identity": lambda x: x,
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "softmax": jax.nn.softmax,
    "log_softmax": jax.nn.log_softmax,
}
PAIRS = {f"{a.name}-{b.name}": (a, b) for a in layers.ACTIVATIONS for b in layers.LOSSES}
SPREADS = {"moderate": 1.0, "saturated": 30.0}
DTYPES = ["float64", "float32"]
UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}

# The same functions of one number, for mpmath.
ELEMENTWISE = {
    "identity": lambda x: x,
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "leaky_relu": lambda x: x if x >= 0 else mpmath.mpf(0.01) * x,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "gelu": lambda x: x * mpmath.ncdf(x),
}
SLOPE = {
    "squared_error": lambda y, t: 2 * (y - t),
    "absolute_error": lambda y, t: mpmath.sign(y - t),
    "huber": lambda y, t: max(min(y - t, 1), -1),
    "cross_entropy": lambda y, t: -t / y if t and y else mpmath.mpf(0),
    "negative_log_likelihood": lambda _y, t: -t,
    "kullback_leibler": lambda _y, t: -t,
}


def samples(spread: float) -> tuple[Any, Any]:
    """Logits of a given spread and targets, soft and hard, some of them 0."""
    rng = np.random.default_rng(int(spread))
    x = np.float32(rng.normal(size=(6, 5)) * spread)
    target = np.float32(rng.dirichlet(np.ones(5), 6))
    target[3:] = np.eye(5, dtype=np.float32)[[0, 2, 4]]
    return x, target


@cache
def found(dtype: str, spread: str) -> dict[str, Any]:
    """By pair: our cotangent, jax.grad's of our value, and jax.grad's of what jax.nn means."""
    x, target = (array.astype(dtype) for array in samples(SPREADS[spread]))
    with jax.enable_x64(dtype == "float64"):
        return everything(x, target)


@jax.jit
def everything(x: Any, target: Any) -> dict[str, Any]:
    """All pairs in one program, which is compiled once for each dtype."""
    results = {}
    for name, (activation, loss) in PAIRS.items():
        ours, meant = layers.output_loss(activation, loss), MEANT[activation.name]
        results[name] = (
            layers.output_cotangent(activation, loss)(x, target),
            jax.grad(lambda x: jnp.sum(ours(x, target)))(x),  # noqa: B023 - called at once
            jax.grad(lambda x: jnp.sum(loss.value(meant(x), target)))(x),  # noqa: B023
        )
    return results


def derivatives(activation: str, x: list[Any]) -> tuple[list[Any], Any, Any]:
    """In mpmath: the value, its Jacobian, and the sizes of the terms that make the Jacobian up."""
    n = len(x)
    if activation in ELEMENTWISE:
        function = ELEMENTWISE[activation]
        y, slopes = [function(u) for u in x], [mpmath.diff(function, u) for u in x]
        if activation == "gelu":  # Φ + x φ, in which exp(-x²/2) magnifies rounding by x²
            sizes = [(1 + u * u) * (mpmath.ncdf(u) + abs(u) * mpmath.npdf(u)) for u in x]
        else:
            sizes = [abs(slope) for slope in slopes]
        return y, mpmath.diag(slopes), mpmath.diag(sizes)
    weights = [mpmath.exp(u) for u in x]
    p = [w / mpmath.fsum(weights) for w in weights]
    rows = [[(i == j) - p[j] for j in range(n)] for i in range(n)]
    if activation == "softmax":
        rows = [[p[i] * element for element in row] for i, row in enumerate(rows)]
    y = p if activation == "softmax" else [mpmath.log(u) for u in p]
    matrix = mpmath.matrix(rows)
    return y, matrix, matrix.apply(abs)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_is_what_jax_grad_says(pair: str, dtype: str, spread: str) -> None:
    """The cotangent is jax.grad's of the composition, as far as that is a number.

    jax.grad of jax.nn loses tails, so rows are compared by their size, not element by element.
    """
    ours, by_ours, by_meaning = (np.asarray(a, float) for a in found(dtype, spread)[pair])
    exact = np.asarray(found("float64", spread)[pair][2])
    known = np.isfinite(exact)
    assert known.any()
    x, target = samples(SPREADS[spread])
    size = np.max(np.where(known, np.abs(exact), 0), -1, keepdims=True)
    size = size + np.abs(target).sum(-1, keepdims=True) + np.abs(x).sum(-1, keepdims=True)
    activation, loss = PAIRS[pair]
    if loss is layers.cross_entropy:  # -t / y, of a y that JAX has within u (1 + |x|)
        with jax.enable_x64(True), np.errstate(divide="ignore", invalid="ignore"):
            y = np.asarray(activation.value(x.astype(float)))
            slopes = np.where(target > 0, target / y**2 * (1 + np.abs(x)), 0)
            size = size + slopes.sum(-1, keepdims=True)
    for got in (ours, by_ours, by_meaning):
        finite = known & np.isfinite(got)
        assert finite.any()
        assert np.all((np.abs(got - exact) <= 64 * UNIT[dtype] * size)[finite])


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("pair", PAIRS)
def test_every_component_of_every_pair(pair: str, spread: str) -> None:
    """Element by element, tails and all, the cotangent is mpmath's, in float32 and float64."""
    activation, loss = PAIRS[pair]
    alone = activation in (layers.softmax, layers.sigmoid)  # -t / y is never formed there
    x, target = samples(SPREADS[spread])
    with mpmath.workdps(80):
        for row in range(len(x)):
            logits, t = ([mpmath.mpf(float(v)) for v in a[row]] for a in (x, target))
            y, jacobian, sizes = derivatives(activation.name, logits)
            dy = mpmath.matrix([SLOPE[loss.name](u, v) for u, v in zip(y, t, strict=True)])
            exact = jacobian.T * dy
            # A difference y - t is rounded by what y and t are; a quotient by what it is.
            doubt = dy.apply(abs)
            if loss.name in ("squared_error", "huber"):
                doubt += 2 * mpmath.matrix([abs(u) + v for u, v in zip(y, t, strict=True)])
            bound = sizes.T * doubt
            for dtype in DTYPES:
                got = np.asarray(found(dtype, spread)[pair][0], float)[row]
                tiny = mpmath.mpf(float(np.finfo(dtype).tiny))
                for i in range(len(got)):
                    if loss.name == "absolute_error" and np.dtype(dtype).type(y[i]) == t[i]:
                        continue  # on the kink, as far as the dtype can tell
                    if loss.name == "cross_entropy" and not alone and t[i] > 0 and abs(y[i]) < tiny:
                        continue  # log 0, as far as the dtype can tell
                    error = abs(float(got[i]) - exact[i])
                    assert error <= 16 * UNIT[dtype] * bound[i] + tiny * (8 + sum(doubt))


@pytest.mark.parametrize("activation", layers.ACTIVATIONS, ids=lambda a: a.name)
def test_activations_are_those_of_jax(activation: layers.Activation) -> None:
    """Values agree with jax.nn, and the pull-back is JAX's of the value."""
    x, dy = samples(3.0)
    meant = MEANT[activation.name]
    with jax.enable_x64(True):
        x, dy = x.astype(float), dy.astype(float)
        np.testing.assert_allclose(activation.value(x), meant(x), rtol=1e-11)
        exact = jax.vjp(meant, x)[1](dy)[0]
        np.testing.assert_allclose(activation.pull_back(x, dy), exact, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("loss", layers.LOSSES, ids=lambda b: b.name)
def test_losses_pull_back_their_own_derivative(loss: layers.Loss) -> None:
    """A loss is one number a row, and its pull-back the derivative of that number."""
    x, target = (array.astype(float) for array in samples(3.0))
    with jax.enable_x64(True):
        y = jnp.abs(x) + 0.1
        assert loss.value(y, target).shape == (6,)
        exact = jax.vmap(jax.grad(loss.value))(y, target)
        np.testing.assert_allclose(loss.pull_back(y, target), exact, rtol=1e-12)


def test_losses_are_those_of_optax() -> None:
    """Where optax has the loss, the values are equal."""
    optax = pytest.importorskip("optax", reason="optax is not installed")
    x, target = samples(3.0)
    logs = layers.log_softmax.value(x)
    for got, exact in [
        (layers.squared_error.value(x, target), optax.squared_error(x, target).sum(-1)),
        (layers.huber.value(x, target), optax.huber_loss(x, target).sum(-1)),
        (layers.kullback_leibler.value(logs, target), optax.kl_divergence(logs, target)),
        (
            layers.output_loss(layers.softmax, layers.cross_entropy)(x, target),
            optax.softmax_cross_entropy(x, target),
        ),
        (
            layers.output_loss(layers.sigmoid, layers.cross_entropy)(x, target),
            optax.sigmoid_binary_cross_entropy(x, target).sum(-1)
            - (jnp.logaddexp(x, 0) * (1 - target)).sum(-1),
        ),
    ]:
        np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "pair", [(layers.softmax, layers.cross_entropy), (layers.sigmoid, layers.cross_entropy)]
)
def test_stable_pairs_equal_the_composition(pair: Any) -> None:
    """Where the composition is accurate, the pair's own formulas give the same."""
    activation, loss = pair
    x, target = (array.astype(float) for array in samples(1.0))
    with jax.enable_x64(True):
        y = activation.value(x)
        np.testing.assert_allclose(
            layers.output_cotangent(*pair)(x, target),
            activation.pull_back(x, loss.pull_back(y, target)),
            rtol=1e-12,
            atol=1e-15,
        )
        np.testing.assert_allclose(
            layers.output_loss(*pair)(x, target), loss.value(y, target), rtol=1e-12
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["cross_entropy", "negative_log_likelihood"])
def test_cross_entropy_keeps_its_tails(loss: str, dtype: str) -> None:
    """p Σt - t is within 8 u C on saturated rows, proven; the value is relative to itself."""
    activation = layers.softmax if loss == "cross_entropy" else layers.log_softmax
    pair = (activation, getattr(layers, loss))
    depth = 80.0 if dtype == "float32" else 700.0
    rng = np.random.default_rng(0)
    with jax.enable_x64(dtype == "float64"):
        for n, at in [(2, 0), (2, 1), (10, 0), (10, 7), (1000, 0)]:
            x = np.r_[0.0, -rng.uniform(0.4, 1, n - 1) * depth].astype(dtype) + np.dtype(
                dtype
            ).type(9)
            for target in (np.eye(n, dtype=dtype)[at], np.full(n, 1 / n, dtype)):
                row, t = x.astype(float).tolist(), target.astype(float)
                got = np.asarray(layers.output_cotangent(*pair)(x, target), float)
                high, low = enclosure.split(enclosure.log_softmax_vjp(x=row, dy=(-t).tolist()))
                p = enclosure.split(enclosure.softmax(row))[0]
                missing = np.r_[math.fsum(p[1:]), 1 - p[1:]]
                others = np.array([math.fsum(np.delete(t, i)) for i in range(n)])
                condition = t * missing + p * others
                floor = float(np.finfo(dtype).tiny)
                error = np.abs((got - high) - low)
                assert np.all(error <= 8 * UNIT[dtype] * condition + 4 * floor)
                value = float(layers.output_loss(*pair)(x, target))
                logs = enclosure.split(enclosure.log_softmax(row))[0]
                exact = -math.fsum(t * logs)
                assert abs(value - exact) <= (8 + math.log2(n)) * UNIT[dtype] * exact + 4 * floor


def test_your_own_layer_is_one_pair_of_functions() -> None:
    """An activation and a loss defined on the spot combine with each other like the rest."""
    cube = layers.Activation("cube", lambda x: x**3, lambda x, dy: 3 * x**2 * dy)
    quartic = layers.Loss(
        "quartic", lambda y, t: jnp.sum((y - t) ** 4, -1), lambda y, t: 4 * (y - t) ** 3
    )
    x, target = jnp.array([1.0, 2.0]), jnp.array([0.5, 7.0])
    for activation in (cube, layers.softmax):
        got = layers.output_cotangent(activation, quartic)(x, target)
        value = layers.output_loss(activation, quartic)
        np.testing.assert_allclose(got, jax.grad(value)(x, target), rtol=1e-5)
