#!/usr/bin/env bash
# torch 2.13.0, CPU: the fused path of torch.nn.TransformerEncoderLayer takes float masks for
# boolean ones.
#
# The documentation says that a float mask is added to the scores.  In evaluation mode without
# gradients, a layer with batch_first=True takes a fused path, where every element that is not 0
# hides a position, whatever its value.  A mask without zeros hides all positions, which gives NaN.
# torch.nn.MultiheadAttention leaves its own fused path out for float masks, and adds them.
#
# Seen (the largest difference between the fused and the plain path):
#   mask of zeros and -2: 0.083
#   mask without zeros: nan
#   the attention module alone: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 torch==2.13.0
cd "$folder"
env/bin/python - <<'PYTHON'
import math

import torch
from torch import nn

torch.manual_seed(0)
layer = nn.TransformerEncoderLayer(16, 2, 40, batch_first=True).eval()
x = torch.randn(3, 5, 16)
some = torch.zeros(5, 5)
some[:, 1::2] = -2.0
full = torch.randn(5, 5)


def difference(call):
    found = []
    for fused in (True, False):
        torch.backends.mha.set_fastpath_enabled(fused)
        with torch.no_grad():
            found.append(call())
    return (found[0] - found[1]).abs().max().item()


by_some = difference(lambda: layer(x, src_mask=some))
by_full = difference(lambda: layer(x, src_mask=full))
alone = difference(lambda: layer.self_attn(x, x, x, attn_mask=some, need_weights=False)[0])
print(f"mask of zeros and -2: {by_some:.2g}")
print(f"mask without zeros: {by_full:.2g}")
print(f"the attention module alone: {alone:.2g}")
assert by_some > 0.01, by_some
assert math.isnan(by_full), by_full
assert alone < 1e-6, alone
PYTHON
