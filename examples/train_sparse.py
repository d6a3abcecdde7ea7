"""A sparse network trained from scratch: 90% of the weights are zero from first to last.

It reads scikit-learn's digits, and reaches what the dense network does.  Run it with a Python that
has spkernels, PyTorch and scikit-learn: ``python examples/train_sparse.py``.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import spkernels.torch as st

HIDDEN, SPARSITY, EPOCHS = 256, 0.9, 25

torch.manual_seed(0)
torch.set_num_threads(1)  # The layers are small.
digits, labels = load_digits(return_X_y=True)
parts = train_test_split(digits / 16, labels, test_size=0.3, random_state=0, stratify=labels)
X, X_test = (torch.tensor(part, dtype=torch.float32) for part in parts[:2])
y, y_test = map(torch.tensor, parts[2:])


def train(model):
    """Train a model, and return the share of test images that it names rightly."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(X)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[batch]), y[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        return (model.eval()(X_test).argmax(1) == y_test).float().mean().item()


def network(linear):
    """Return a network whose two large layers are made by `linear`."""
    return nn.Sequential(
        linear(64, HIDDEN), nn.ReLU(), linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10)
    )


# Each layer draws the places of its weights once; they stay where they are.
sparse = network(lambda inputs, outputs: st.SparseLinear(inputs, outputs, sparsity=SPARSITY))
dense = network(nn.Linear)
print(sparse)
masks = [sparse[place].mask for place in (0, 2)]

accuracy = {"dense": train(dense), "sparse": train(sparse)}
for name, model in (("dense", dense), ("sparse", sparse)):
    numbers = sum(parameter.numel() for parameter in model.parameters())
    print(f"{name:6}  {numbers:7} trained numbers  {accuracy[name]:.1%} of the test images")

assert all(torch.equal(sparse[place].mask, mask) for place, mask in zip((0, 2), masks, strict=True))
assert accuracy["sparse"] > accuracy["dense"] - 0.01, accuracy
