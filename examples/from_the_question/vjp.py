"""The vector-Jacobian product of a whole batch, without a Jacobian."""


def batched(y, dy):
    dx = y * dy
    s = dx.sum(axis=-1, keepdims=True)
    dx -= y * s
    return dx
