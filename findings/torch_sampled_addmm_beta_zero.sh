#!/usr/bin/env bash
# torch 2.13.0, CPU: torch.sparse.sampled_addmm with beta=0 still multiplies the old values by 0.
#
# A NaN or an infinity among the values of the sparse input therefore reaches the result, where
# torch.addmm documents that beta=0 ignores its input.  The default of beta is 1, not 0.
#
# Seen:
#   beta=0:  [6.0, nan, nan]
#   default: [7.0, nan, inf]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 torch==2.13.0
cd "$folder"
env/bin/python - <<'PYTHON'
import math
import warnings

import torch

warnings.simplefilter("ignore")  # torch calls its CSR a beta
old = torch.tensor([1.0, math.nan, math.inf])
P = torch.sparse_csr_tensor(torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2]), old, (3, 3))
X, Y = torch.full((3, 2), 1.0), torch.full((2, 3), 3.0)
zero = torch.sparse.sampled_addmm(P, X, Y, beta=0).values().tolist()
default = torch.sparse.sampled_addmm(P, X, Y).values().tolist()
print("beta=0: ", zero)
print("default:", default)
assert zero[0] == 6 and math.isnan(zero[1]) and math.isnan(zero[2]), zero
assert default[0] == 7 and math.isnan(default[1]) and default[2] == math.inf, default
assert torch.addmm(torch.full((3, 3), math.nan), X, Y, beta=0).isfinite().all()
PYTHON
