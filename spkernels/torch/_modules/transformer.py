"""Layers of Transformers whose two linear layers pass arrays to each other."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from .._kept import has_hooks
from .chain import call_modules, may_chain
from .fused import Fused, identity
from .linear import SparseLinear

__all__ = ["SparseTransformerDecoderLayer", "SparseTransformerEncoderLayer"]


class SparseTransformerEncoderLayer(nn.TransformerEncoderLayer):
    """What `sparsify_` makes of a `torch.nn.TransformerEncoderLayer` with sparse parts.

    Its modules stay as they are.  Without gradients, hooks and tracing, its two linear layers are a
    `spkernels.Chain` if both are sparse: what is between them is as long as four results, and stays
    in caches so.
    """

    def _ff_block(self, x: torch.Tensor) -> torch.Tensor:
        if _is_chain(self):
            return self.dropout2(call_modules((self.linear1, self.linear2), x))
        return super()._ff_block(x)


class SparseTransformerDecoderLayer(nn.TransformerDecoderLayer):
    """What `sparsify_` makes of a `torch.nn.TransformerDecoderLayer` with sparse parts.

    Its linear layers are called as those of `SparseTransformerEncoderLayer`.
    """

    def _ff_block(self, x: torch.Tensor) -> torch.Tensor:
        if _is_chain(self):
            return self.dropout3(call_modules((self.linear1, self.linear2), x))
        return super()._ff_block(x)


def _is_chain(layer: Any) -> bool:
    """Return whether nothing is between the two linear layers, and both are sparse."""
    if not may_chain():
        return False
    first, second, activation, dropout = (
        layer.linear1, layer.linear2, layer.activation, layer.dropout
    )  # fmt: skip
    return (
        type(first) is type(second) is SparseLinear
        and (activation is identity or (type(activation) is Fused and not has_hooks(activation)))
        and type(dropout) is nn.Dropout
        and not (dropout.training or any(map(has_hooks, (first, second, dropout))))
    )
