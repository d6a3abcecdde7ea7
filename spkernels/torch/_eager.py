"""Whether a module may call its kernel directly, without the dispatcher of PyTorch."""

from __future__ import annotations

import torch
from torch.autograd import forward_ad

__all__ = ["is_plain", "is_watched"]

_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_transforms = torch._C._functorch.peek_interpreter_stack
_tracing = torch._C._get_tracing_state
_profiling = torch._C._autograd._profiler_enabled
_autocasts = torch.is_autocast_enabled


def is_plain(x: torch.Tensor, *weights: torch.Tensor | None) -> bool:
    """Return whether nothing but the result of a product with `x` is wanted.

    The operator costs 4 microseconds more, and is needed for gradients, tracing, compilation,
    transforms, profiles, autocast, other devices and subclasses of tensors.
    """
    if torch.compiler.is_compiling() or type(x) is not torch.Tensor or not x.is_cpu:
        return False
    if torch.is_grad_enabled() and (
        x.requires_grad or any(w is not None and w.requires_grad for w in weights)
    ):
        return False
    return not (_tracing() is not None or is_watched())


def is_watched() -> bool:
    """Return whether other code is to see each operation, beyond gradients and traces."""
    return (
        _dispatch_modes() > 0
        or _function_modes() > 0
        or _transforms() is not None
        or _profiling()
        or forward_ad._current_level >= 0
        or _autocasts("cpu")
    )
