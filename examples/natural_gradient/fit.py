"""Natural gradient: fit the logits of a categorical distribution, 10,000 classes.

    python fit.py

The Fisher information of softmax(x) in its logits is the Jacobian J = diag(y) - y yᵀ. The natural
direction J⁺ (y - target) needs J solved, once a step: as `softjac.JacobianOperator` that costs
what a sum costs, and J, here of 100 million elements, is never there.
"""

import jax
import jax.numpy as jnp

import softjac

CLASSES, STEPS = 10_000, 40


def divergence(x: jax.Array, target: jax.Array) -> jax.Array:
    """Kullback-Leibler, from the target to softmax(x)."""
    return jnp.sum(target * (jnp.log(target) - softjac.log_softmax(x)))


def plain(x: jax.Array, target: jax.Array) -> jax.Array:
    """A step of gradient descent: the gradient is y - target, of Lipschitz constant 1/2."""
    return x - 2 * (softjac.softmax(x) - target)


def natural(x: jax.Array, target: jax.Array) -> jax.Array:
    """A step along the natural gradient, no logit by more than 1."""
    y = softjac.softmax(x)
    direction = softjac.JacobianOperator(y).solve(y - target)
    return x - direction / jnp.maximum(1, jnp.max(jnp.abs(direction)))


def main() -> None:
    target = 1 / jnp.arange(1.0, CLASSES + 1)  # Zipf's law
    target = target / target.sum()
    for step in (plain, natural):
        x = jnp.zeros(CLASSES)
        for count in range(STEPS + 1):
            if count % 10 == 0:
                print(f"{step.__name__}: {divergence(x, target):.1e} after {count} steps")
            x = jax.jit(step)(x, target)


if __name__ == "__main__":
    main()
