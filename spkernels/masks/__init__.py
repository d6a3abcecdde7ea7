"""Masks of attention that are described instead of stored; see `Mask`."""

from .._runtime.public import publish
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

publish(__name__, *map(globals().get, __all__))
