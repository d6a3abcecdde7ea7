"""`Fused`, which stands where an activation was."""

from __future__ import annotations

from torch import nn

from .family import Original

__all__ = ["Fused"]


class Fused(nn.Identity):
    """Stands where an activation was that the layer before it computes now."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        # A plain attribute: the activation is no longer among the modules of the model.
        self.__dict__["original"] = Original(activation, ())
