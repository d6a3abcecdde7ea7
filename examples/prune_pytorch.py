"""A trained PyTorch model is pruned and fine-tuned by turns, and then made faster by one line.

It reads scikit-learn's digits.  Run it with a Python that has spkernels, PyTorch and scikit-learn:
``python examples/prune_pytorch.py``.
"""

from timeit import repeat

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn.utils import prune

import spkernels.torch as st

HIDDEN, BATCH = 512, 32
#: The share of the weights that are zero after each round.
ROUNDS = (0.5, 0.75, 0.9)

torch.manual_seed(0)
torch.set_num_threads(1)  # The layers are small.
digits, labels = load_digits(return_X_y=True)
parts = train_test_split(digits / 16, labels, test_size=0.3, random_state=0, stratify=labels)
X, X_test = (torch.tensor(part, dtype=torch.float32) for part in parts[:2])
y, y_test = map(torch.tensor, parts[2:])

model = nn.Sequential(
    nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10)
)
layers = [(model[place], "weight") for place in (0, 2, 4)]


def train(epochs, rate):
    """Train the weights that were not pruned."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[batch]), y[batch]).backward()
            optimizer.step()


def accuracy():
    """Return the share of test images that the model names rightly."""
    with torch.no_grad():
        return (model(X_test).argmax(1) == y_test).float().mean().item()


def milliseconds():
    """Return the time of a call with a batch, by the minimum."""
    with torch.inference_mode():
        return 1e3 * min(repeat(lambda: model(X_test[:BATCH]), number=5, repeat=30)) / 5


train(epochs=8, rate=1e-3)
before = accuracy()
print(f"dense        {before:.1%}  {milliseconds():.3f} ms for {BATCH} images")

done = 0.0
for share in ROUNDS:
    # The share of what is left, as PyTorch counts.
    amount = (share - done) / (1 - done)
    prune.global_unstructured(layers, prune.L1Unstructured, amount=amount)
    train(epochs=5, rate=1e-3)
    done = share
    print(f"{share:4.0%} pruned  {accuracy():.1%}")

model.eval()
pruned, expected, slow = accuracy(), model(X_test), milliseconds()
print(f"pruned       {pruned:.1%}  {slow:.3f} ms: zeros alone save no time")

report = st.sparsify_(model, example_inputs=X_test[:BATCH])
print(report)
fast = milliseconds()
print(f"sparsified   {accuracy():.1%}  {fast:.3f} ms")

assert before > 0.95 and accuracy() > before - 0.01, (before, accuracy())
torch.testing.assert_close(model(X_test), expected, rtol=1e-3, atol=1e-3)
assert fast < slow or not report.replaced, (fast, slow)
