"""Functions in PyTorch whose derivatives, or results, are wrong."""

import torch


class Diagonal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.softmax(x, dim=-1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return y * (1 - y) * dy


def torch_vjp_diagonal(x):
    """A backward with the diagonal alone.

    @softmax_vjp | values | diagonal-only | autodiff | array torch
    """
    return Diagonal.apply(x)


class InPlace(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        y = torch.softmax(x, dim=-1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        dy -= (y * dy).sum(dim=-1, keepdim=True)
        return y * dy


def torch_vjp_modifies_cotangent(x):
    """A backward that subtracts in place from the cotangent it was given.

    @softmax_vjp | output | input-modified | autodiff | array torch | seen apex#1430
    """
    return InPlace.apply(x)


def torch_sum_detached(x):
    """The normaliser is detached.

    @softmax_vjp | values | missing-dot | autodiff | array torch
    """
    e = torch.exp(x - x.detach().amax(dim=-1, keepdim=True))
    return e / e.sum(dim=-1, keepdim=True).detach()


def torch_dim_0(x):
    """softmax along the wrong dimension.

    @softmax | values | wrong-axis | array torch
    """
    return torch.softmax(x, dim=0)


def torch_log_of_softmax(x):
    """The logarithm of softmax.

    @log_softmax | values | log-of-softmax | array torch
    """
    return torch.log(torch.softmax(x, dim=-1))
