"""torch's compiled flex_attention with a block mask (by default of blocks of 128 x 128)."""

import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from . import torch_sdpa

versions = torch_sdpa.versions
to_numpy = torch_sdpa.to_numpy
compiled = torch.compile(flex_attention)


def bind(problem):
    if problem.product != "attention":
        raise NotImplementedError("attention only")
    q, k, v = torch_sdpa.arrays(problem)
    mask = torch.from_numpy(problem.dense() != 0)

    def attends(batch, head, query, key):
        return mask[query, key]

    blocks = create_block_mask(attends, None, None, *mask.shape, device="cpu")
    return torch.inference_mode()(lambda: compiled(q, k, v, block_mask=blocks))
