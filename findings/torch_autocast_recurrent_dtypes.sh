#!/usr/bin/env bash
# torch 2.13.0, CPU: under torch.autocast with bfloat16, recurrent layers and cells return different
# dtypes.
#
# nn.LSTM, nn.RNN and nn.RNNCell return bfloat16; nn.GRU, nn.LSTMCell and nn.GRUCell return float32.
#
# Seen:
#   LSTM: bfloat16
#   GRU: float32
#   RNN: bfloat16
#   LSTMCell: float32
#   GRUCell: float32
#   RNNCell: bfloat16
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 torch==2.13.0
cd "$folder"
env/bin/python - <<'PYTHON'
import torch
from torch import nn

EXPECTED = {
    "LSTM": torch.bfloat16,
    "GRU": torch.float32,
    "RNN": torch.bfloat16,
    "LSTMCell": torch.float32,
    "GRUCell": torch.float32,
    "RNNCell": torch.bfloat16,
}
found = {}
for name in EXPECTED:
    layer = getattr(nn, name)(4, 4)
    x = torch.ones(2, 4) if name.endswith("Cell") else torch.ones(3, 2, 4)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        result = layer(x)
    found[name] = (result[0] if isinstance(result, tuple) else result).dtype
    print(f"{name}: {str(found[name]).removeprefix('torch.')}")
assert found == EXPECTED, found
PYTHON
