"""The VJP of softmax, compiled by PyTorch: one loop over memory instead of three."""

import torch


@torch.compile
def right(y, dy):
    return y * (dy - (y * dy).sum(dim=-1, keepdim=True))


@torch.compile
def over_the_batch(y, dy):
    """The mistake: without `dim` the sum goes over every row of the batch."""
    return y * (dy - (y * dy).sum())
