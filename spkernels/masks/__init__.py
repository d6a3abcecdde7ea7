"""Masks of attention that are described instead of stored; see `Mask`."""

from ._kinds import (
    bigbird,
    blocks,
    causal,
    causal_window,
    dilated,
    from_sparse,
    full,
    global_tokens,
    random,
    window,
)
from ._mask import Mask

__all__ = [
    "Mask",
    "bigbird",
    "blocks",
    "causal",
    "causal_window",
    "dilated",
    "from_sparse",
    "full",
    "global_tokens",
    "random",
    "window",
]
