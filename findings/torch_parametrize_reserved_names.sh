#!/usr/bin/env bash
# torch 2.13.0, CPU: a tensor named `values` or `keys` cannot be parametrized, and is lost.
#
# torch.nn.utils.parametrize keeps parametrizations in a ModuleDict, by the tensor's name.  A
# ModuleDict refuses the names of its methods, and does so when the tensor is no longer a parameter
# of its module.  `values` is a natural name for the weights of a sparse layer.
#
# Seen (name: parametrized, the error; parameters of the module and what reading the tensor does):
#   weight: parametrized; ['parametrizations.weight.original'], readable
#   values: KeyError "attribute 'values' already exists"; [], KeyError
#   keys: KeyError "attribute 'keys' already exists"; [], KeyError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 torch==2.13.0
cd "$folder"
env/bin/python - <<'PYTHON'
import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization


def seen(name):
    module = nn.Module()
    module.register_parameter(name, nn.Parameter(torch.ones(3)))
    try:
        register_parametrization(module, name, nn.Tanh())
        said = "parametrized"
    except KeyError as error:
        said = f"KeyError {error}"
    try:
        getattr(module, name)
        read = "readable"
    except Exception as error:
        read = type(error).__name__
    return f"{name}: {said}; {[name for name, _ in module.named_parameters()]}, {read}"


found = [seen(name) for name in ("weight", "values", "keys")]
print("\n".join(found))
assert found == [
    "weight: parametrized; ['parametrizations.weight.original'], readable",
    "values: KeyError \"attribute 'values' already exists\"; [], KeyError",
    "keys: KeyError \"attribute 'keys' already exists\"; [], KeyError",
]
PYTHON
