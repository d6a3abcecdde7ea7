#!/usr/bin/env bash
# torch 2.13.0: torch.func.jvp of a custom operator with a registered gradient is zero.
#
# An operator of torch.library.custom_op with register_autograd works under torch.autograd.  Under
# torch.func its reverse mode raises an error, and its forward mode returns a tangent of zeros
# without a word, although the derivative is 3.  Operators of torch.library.Library do the same.
#
# Seen:
#   autograd.grad: [3.0, 3.0, 3.0]
#   func.jvp: [0.0, 0.0, 0.0]
#   func.grad: RuntimeError: In order to use an autograd.Function with functorch transforms ...
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 torch==2.13.0
cd "$folder"
env/bin/python - <<'PYTHON'
import torch


@torch.library.custom_op("sample::triple", mutates_args=())
def triple(x: torch.Tensor) -> torch.Tensor:
    return 3 * x


triple.register_autograd(lambda ctx, gradient: 3 * gradient)
x = torch.ones(3)
leaf = x.clone().requires_grad_()
reverse = torch.autograd.grad(triple(leaf).sum(), leaf)[0].tolist()
_, tangent = torch.func.jvp(triple, (x,), (torch.ones(3),))
try:
    torch.func.grad(lambda y: triple(y).sum())(x)
    error = "none"
except RuntimeError as caught:
    error = f"RuntimeError: {caught}"
print("autograd.grad:", reverse)
print("func.jvp:", tangent.tolist())
print("func.grad:", error[:80])
assert reverse == [3.0, 3.0, 3.0], reverse
assert tangent.tolist() == [0.0, 0.0, 0.0], tangent
assert "In order to use an autograd.Function with functorch transforms" in error, error
PYTHON
