"""A network in torch, as it is."""

import os

import torch

from .. import networks

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))


def versions():
    return {"torch": torch.__version__}


def bind(problem):
    return networks.bind(problem, networks.build(problem))


def to_numpy(result, problem):
    return result.numpy()
