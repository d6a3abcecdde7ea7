"""A network in torch whose layers are made sparse where that is faster."""

import os

import torch

import spkernels.torch

from .. import networks

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))


def bind(problem):
    network = networks.build(problem)
    x = torch.from_numpy(problem.operands["x"])
    spkernels.torch.sparsify_(network, example_inputs=(x,))
    return networks.bind(problem, network)
