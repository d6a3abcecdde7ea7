"""Draw the figure of doc/torch.rst: ``python doc/advice.py`` with PyTorch and matplotlib."""

from pathlib import Path

import torch
from torch import nn

import spkernels.torch as st

torch.manual_seed(0)
sizes = (784, 1024, 1024, 1024, 10)
layers = [(nn.Linear(*pair), nn.ReLU()) for pair in zip(sizes, sizes[1:], strict=False)]
model = nn.Sequential(*sum(layers, ())[:-1]).eval()
advice = st.advise(model, torch.randn(32, 784))
print(advice)
ax = advice.plot()
ax.figure.savefig(Path(__file__).parent / "_static" / "advice.png", dpi=100)
