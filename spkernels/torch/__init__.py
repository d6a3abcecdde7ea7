"""Pruned PyTorch models on sparse kernels, on CPUs.

`sparsify_` replaces the modules of a model that a sparse kernel makes faster, in place, and reports
what it did and why; `densify_` gives the original back.  `advise` predicts what pruning would
bring.  `SparseLinear` trains sparse weights.
``torch.ops.spkernels`` has the operators: they are differentiable, and can be compiled and
exported.  This needs PyTorch, which the extra ``torch`` of the package installs.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("spkernels.torch needs PyTorch: pip install torch") from error


from . import _ops  # noqa: F401
from ._advice import Advice, AdvisedLayer, Outcome
from ._advise import advise
from ._modules import (
    SparseConv1d,
    SparseConv2d,
    SparseGRU,
    SparseGRUCell,
    SparseInt8Linear,
    SparseLinear,
    SparseLSTM,
    SparseLSTMCell,
    SparseMultiheadAttention,
    SparseRNN,
    SparseRNNCell,
    SparseSequential,
    SparseTransformerDecoderLayer,
    SparseTransformerEncoderLayer,
)
from ._modules.family import Original
from ._modules.fused import Fused, FusedNorm, identity
from ._report import Layer, Report
from ._sparsify import densify_, sparsify_
from ._weights import Csr

__all__ = [
    "Advice",
    "AdvisedLayer",
    "Layer",
    "Outcome",
    "Report",
    "SparseConv1d",
    "SparseConv2d",
    "SparseGRU",
    "SparseGRUCell",
    "SparseInt8Linear",
    "SparseLSTM",
    "SparseLSTMCell",
    "SparseLinear",
    "SparseMultiheadAttention",
    "SparseRNN",
    "SparseRNNCell",
    "SparseSequential",
    "SparseTransformerDecoderLayer",
    "SparseTransformerEncoderLayer",
    "advise",
    "densify_",
    "sparsify_",
]

# Pickles of models hold these names, so classes can move to other private modules.
for _one in (*map(globals().get, __all__), Csr, Fused, FusedNorm, Original, identity):
    _one.__module__ = __name__
