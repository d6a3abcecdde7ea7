"""A network compiled by torch, whose weights are constants ("freezing")."""

import torch
from torch._inductor import config

from .. import networks
from .torch_eager import to_numpy, versions

__all__ = ["bind", "to_numpy", "versions"]

config.freezing = True


def bind(problem):
    # What was compiled for earlier networks would count against the limit of torch.
    torch.compiler.reset()
    return networks.bind(problem, torch.compile(networks.build(problem)))
