#!/usr/bin/env bash
# torch 2.13.0, CPU: fused optimizers change parameters and do not count it.
#
# A change of a tensor in place adds to its `_version`, by which a cache of something that was
# computed from it can tell that it is old.  The steps of the plain loop add to it, and those of
# fused=True leave it as it is.
#
# Seen (optimizer: versions that a fused step added, versions that a plain step added):
#   SGD: 0, 1
#   Adam: 0, 1
#   AdamW: 0, 2
#   Adagrad: 0, 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 torch==2.13.0
cd "$folder"
env/bin/python - <<'PYTHON'
import torch
from torch import optim


def added(cls, fused):
    parameter = torch.nn.Parameter(torch.ones(5))
    parameter.grad = torch.ones(5)
    options = {"fused": True} if fused else {"fused": False, "foreach": False}
    step = cls([parameter], lr=0.1, **options)
    before, value = parameter._version, parameter.detach().clone()
    step.step()
    assert not torch.equal(parameter.detach(), value)
    return parameter._version - before


for cls in (optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad):
    fused, plain = added(cls, True), added(cls, False)
    print(f"{cls.__name__}: {fused}, {plain}")
    assert fused == 0 < plain, (cls, fused, plain)
PYTHON
