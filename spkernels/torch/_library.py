"""The operators ``torch.ops.spkernels.*``, which tracing, export and autograd know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.library import Library

__all__ = ["register"]

_LIBRARY = Library("spkernels", "DEF")


def register(
    schema: str,
    compute: Callable[..., Any],
    fake: Callable[..., Any],
    setup_context: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
) -> Any:
    """Register an operator, and return it.

    Parameters
    ----------
    schema : str
        The name and the arguments, in PyTorch's notation.
    compute : callable
        Computes the result from CPU tensors that need no gradient.
    fake : callable
        Returns an empty result of the right shape, dtype and strides, and checks shapes and dtypes.
    setup_context, backward : callable, optional
        What `torch.library.register_autograd` takes.  Without them, a gradient is an error.
    """
    name = schema.partition("(")[0]
    # This costs 6 microseconds a call; the decorator `torch.library.custom_op` costs 11.
    _LIBRARY.define(schema, tags=torch.Tag.pt2_compliant_tag)
    _LIBRARY.impl(name, compute, "CPU")
    torch.library.register_fake(f"spkernels::{name}", fake, lib=_LIBRARY)
    if backward is None:
        backward = _no_gradient(name)
    torch.library.register_autograd(
        f"spkernels::{name}", backward, setup_context=setup_context, lib=_LIBRARY
    )
    return getattr(torch.ops.spkernels, name).default


def _no_gradient(name):
    def backward(ctx, *gradients):
        raise NotImplementedError(f"torch.ops.spkernels.{name} has no gradient")

    return backward
