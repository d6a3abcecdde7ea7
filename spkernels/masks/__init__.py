"""Attention masks that a rule describes, so that no entry needs to be stored; see `Mask`.

A mask goes to `spkernels.sparse_attention`, which computes the rule's column runs once per mask.
"""

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
