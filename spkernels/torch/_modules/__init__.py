"""Modules with sparse weights, one file for each kind of layer."""

from .attention import ATTENTION, SparseMultiheadAttention
from .conv import CONV, SparseConv1d, SparseConv2d
from .family import Family, Options
from .linear import LINEAR, SparseLinear
from .linear_int8 import SparseInt8Linear
from .recurrent import (
    CELL,
    RECURRENT,
    SparseGRU,
    SparseGRUCell,
    SparseLSTM,
    SparseLSTMCell,
    SparseRNN,
    SparseRNNCell,
)
from .sequential import SparseSequential
from .transformer import SparseTransformerDecoderLayer, SparseTransformerEncoderLayer

__all__ = ["FAMILIES", "Family", "Options", "SparseConv1d", "SparseConv2d", "SparseGRU",
           "SparseGRUCell", "SparseInt8Linear", "SparseLSTM", "SparseLSTMCell", "SparseLinear",
           "SparseMultiheadAttention", "SparseRNN", "SparseRNNCell",
           "SparseSequential", "SparseTransformerDecoderLayer",
           "SparseTransformerEncoderLayer"]  # fmt: skip

#: What can be replaced: by the exact type of the module, as a subclass may compute something else.
FAMILIES: dict[type, Family] = {
    kind: family
    for family in (LINEAR, CONV, ATTENTION, RECURRENT, CELL)
    for kind in family.kinds
}
