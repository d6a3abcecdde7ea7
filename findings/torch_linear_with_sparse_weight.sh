#!/usr/bin/env bash
# torch 2.13.0, CPU: what torch.nn.Linear does with a weight that is a sparse tensor.
#
# CSR and CSC multiply without gradients; inference mode refuses them, unless the weight was made in
# that mode.  COO never multiplies, and BSR only if its blocks are square.  A layer with such a
# weight cannot be copied by copy.deepcopy, and its memory cannot be shared.
#
# Seen:
#   csr no_grad: result
#   csr inference_mode: Cannot set version_counter for inference tensor
#   csc no_grad: result
#   csc inference_mode: Cannot set version_counter for inference tensor
#   coo no_grad: addmm_sparse_dense: expected either 'mat1' to have sparse layout and 'mat2' ...
#   coo inference_mode: Cannot set version_counter for inference tensor
#   bsr 2x2 no_grad: result
#   bsr 1x2 no_grad: MKL Sparse doesn't support matrices with non-square blocks.
#   copy.deepcopy: RuntimeError: unsupported memory format option Preserve
#   share_memory: NotImplementedError: Cannot access storage of SparseCsrTensorImpl
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 torch==2.13.0
cd "$folder"
env/bin/python - <<'PYTHON'
import copy
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")  # torch calls its CSR a beta


def layer(convert):
    made = nn.Linear(4, 4)
    made.weight = nn.Parameter(convert(made.weight.detach()), requires_grad=False)
    return made


def outcome(convert, mode):
    made = layer(convert)
    try:
        with mode():
            made(torch.ones(2, 4))
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return "result"


def failure(call):
    try:
        call()
    except (RuntimeError, NotImplementedError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return "done"


INFERENCE = "Cannot set version_counter for inference tensor"
for name in ("csr", "csc", "coo"):
    convert = getattr(torch.Tensor, "to_sparse" if name == "coo" else f"to_sparse_{name}")
    plain, inference = outcome(convert, torch.no_grad), outcome(convert, torch.inference_mode)
    print(f"{name} no_grad:", plain)
    print(f"{name} inference_mode:", inference)
    assert inference == INFERENCE, inference
    assert plain.startswith("addmm_sparse_dense: expected") if name == "coo" else plain == "result"
for block, seen in (((2, 2), "result"), ((1, 2), "MKL Sparse doesn't support")):
    found = outcome(lambda weight: weight.to_sparse_bsr(block), torch.no_grad)
    print("bsr {}x{} no_grad:".format(*block), found)
    assert found.startswith(seen), found
csr = layer(torch.Tensor.to_sparse_csr)
copied, shared = failure(lambda: copy.deepcopy(csr)), failure(csr.share_memory)
print("copy.deepcopy:", copied)
print("share_memory:", shared)
assert copied == "RuntimeError: unsupported memory format option Preserve", copied
assert shared == "NotImplementedError: Cannot access storage of SparseCsrTensorImpl", shared
PYTHON
