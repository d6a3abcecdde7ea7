"""Pickles of sparse models name public modules, so that they load after classes have moved."""

import io
import pickle
import pickletools

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch_models import pruned  # noqa: E402

import spkernels.torch as st  # noqa: E402


class Everything(nn.Module):
    """A model with a layer of every kind, and what is fused with it."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(pruned(nn.Conv2d(2, 8, 3, padding=1)), nn.ReLU())
        self.line = nn.Sequential(pruned(nn.Conv1d(8, 8, 3, padding=1)), nn.ReLU())
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.steps = nn.ModuleList([nn.LSTM(8, 8), nn.GRU(8, 8), nn.RNN(8, 8)])
        self.cells = nn.ModuleList([nn.LSTMCell(8, 8), nn.GRUCell(8, 8), nn.RNNCell(8, 8)])
        for parameter in self.parameters():
            if parameter.dim() == 2:
                parameter.data[::2] = 0

    def forward(self, x):
        x = self.line(self.first(x).flatten(2)).mT
        x = self.encoder(x)
        for layer in self.steps:
            x = layer(x)[0]
        for cell in self.cells:
            found = cell(x[0])
            x = (found[0] if isinstance(found, tuple) else found)[None]
        return x


def names_of(stored):
    """Return the modules of the package that a pickle names."""
    texts = (argument for _, argument, _ in pickletools.genops(stored))
    words = (text.split()[0] for text in texts if isinstance(text, str) and text.strip())
    return {word for word in words if word.startswith("spkernels")}


def test_a_pickle_of_every_module_names_the_public_one():
    torch.manual_seed(0)
    model, x = Everything().eval(), torch.randn(2, 2, 4, 4)
    expected = model(x)
    report = st.sparsify_(model, example_inputs=x, min_speedup=1e-9)
    assert {layer.kind for layer in report.replaced} >= {
        "Conv2d", "Conv1d", "MultiheadAttention", "Linear", "LSTM", "GRU", "RNN", "LSTMCell",
        "GRUCell", "RNNCell",
    }  # fmt: skip
    for protocol in (2, pickle.HIGHEST_PROTOCOL):
        stored = pickle.dumps(model, protocol)
        assert names_of(stored) == {"spkernels.torch"}
        torch.testing.assert_close(pickle.loads(stored)(x), expected)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = st.densify_(torch.load(file, weights_only=False))
    torch.testing.assert_close(loaded(x), expected)
