"""The operators ``torch.ops.spkernels.*``, which tracing, export, autograd and transforms know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import forward_ad
from torch.library import Library

__all__ = ["register"]

_LIBRARY = Library("spkernels", "DEF")
_AUTOCAST = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)


def register(
    schema: str,
    compute: Callable[..., Any],
    fake: Callable[..., Any],
    setup_context: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
    *,
    jvp: Callable[..., Any] | None = None,
    vmap: Callable[..., Any] | None = None,
    autocast: bool = False,
) -> Any:
    """Register an operator, and return it.

    Parameters
    ----------
    schema : str
        The name and the arguments, in PyTorch's notation, without arguments by keyword alone.
    compute : callable
        Computes the result from CPU tensors that need no gradient.
    fake : callable
        Returns an empty result of the right shape, dtype and strides, and checks shapes and dtypes.
    setup_context, backward, jvp : callable, optional
        The static methods of a `torch.autograd.Function`.  Without `backward` a gradient is an
        error, and without `jvp` a derivative in forward mode is one.
    vmap : callable, optional
        ``vmap(info, in_dims, *args)`` returns the result and its batch dimension, or
        `NotImplemented`: then the members of the batch are computed one after the other.
    autocast : bool, optional
        Whether `torch.autocast` rounds the result to its dtype, as those of dense products.  The
        operands keep their dtypes, so that the error is not larger than that of a dense product.
    """
    name = schema.partition("(")[0]
    # This costs 6 microseconds a call; the decorator `torch.library.custom_op` costs 11.
    _LIBRARY.define(schema, tags=torch.Tag.pt2_compliant_tag)
    _LIBRARY.impl(name, compute, "CPU")
    op = getattr(torch.ops.spkernels, name).default
    torch.library.register_fake(f"spkernels::{name}", _on_one_device(op, fake), lib=_LIBRARY)
    # `torch.library.register_autograd` knows no transform: gradients of `torch.func` are errors
    # with it, and derivatives in forward mode are zero without a word.
    forward, differentiable = _differentiable(name, op, setup_context, backward, jvp, vmap)
    _LIBRARY.impl(name, _where_needed(forward, differentiable), "Autograd")
    _LIBRARY.impl(name, differentiable, "FuncTorchDynamicLayerFrontMode")
    if autocast:
        _LIBRARY.impl(name, _rounded(op), "AutocastCPU")
    return op


def _differentiable(name, op, setup_context, backward, jvp, vmap):
    """Return the operator without derivatives, and one that can be differentiated and batched."""

    def forward(*args):
        with torch._C._AutoDispatchBelowAutograd():
            return op(*args)

    def batched(info, in_dims, *args):
        result = NotImplemented if vmap is None else vmap(info, in_dims, *args)
        return _one_by_one(op, info, in_dims, args) if result is NotImplemented else result

    def unknown(ctx, *gradients):
        raise NotImplementedError(f"torch.ops.spkernels.{name} has no gradient")

    methods = {
        "forward": forward,
        "setup_context": setup_context or (lambda ctx, inputs, output: None),
        "backward": backward or unknown,
        "vmap": batched,
    }
    if jvp is not None:
        methods["jvp"] = jvp
    function: Any = type(
        f"spkernels_{name}",
        (torch.autograd.Function,),
        {key: staticmethod(method) for key, method in methods.items()},
    )
    defaults = [argument.default_value for argument in op._schema.arguments]

    def differentiable(*args):
        # The dispatcher leaves out last arguments that equal their defaults.
        return function.apply(*args, *defaults[len(args) :])

    return forward, differentiable


def _where_needed(forward, differentiable):
    def kernel(*args):
        wanted = torch.is_grad_enabled() and any(
            isinstance(value, torch.Tensor) and value.requires_grad for value in args
        )
        return (differentiable if wanted or forward_ad._current_level >= 0 else forward)(*args)

    return kernel


def _on_one_device(op, fake):
    """Return the function with a check: PyTorch calls it if a single tensor has no memory."""
    names = [argument.name for argument in op._schema.arguments]

    def checked(*args, **options):
        given = {**dict(zip(names, args, strict=False)), **options}
        tensors = {key: each for key, each in given.items() if isinstance(each, torch.Tensor)}
        first, *others = tensors
        device = tensors[first].device
        for other in others:
            if tensors[other].device != device:
                raise ValueError(
                    f"{other} must be on the device of {first}, {device}, got one on "
                    f"{tensors[other].device}"
                )
        return fake(*args, **options)

    return checked


def _one_by_one(op, info, in_dims, args):
    if info.batch_size == 0:
        return _of_none(op, in_dims, args)
    results = [
        op(*(
            value.select(dim, place) if isinstance(dim, int) else value  # lists have lists of None
            for value, dim in zip(args, in_dims, strict=True)
        ))
        for place in range(info.batch_size)
    ]  # fmt: skip
    if isinstance(results[0], torch.Tensor):
        return torch.stack(results), 0
    outputs = tuple(map(torch.stack, zip(*results, strict=True)))
    return outputs, (0,) * len(outputs)


def _of_none(op, in_dims, args):
    """Return the results for a batch without members, whose shapes those on no device tell."""
    like = next(value for value in args if isinstance(value, torch.Tensor))
    members = []
    for value, dim in zip(args, in_dims, strict=True):
        if isinstance(value, torch.Tensor):
            shape = list(value.shape)
            if dim is not None:
                del shape[dim]
            value = value.new_empty(shape, device="meta")
        members.append(value)
    found = op(*members)
    single = isinstance(found, torch.Tensor)
    outputs = tuple(
        like.new_empty((0, *each.shape), dtype=each.dtype)
        for each in ((found,) if single else found)
    )
    return (outputs[0], 0) if single else (outputs, (0,) * len(outputs))


def _rounded(op):
    """Return the operator with a result in the dtype of `torch.autocast`."""

    def rounded(*args):
        with torch._C._ExcludeDispatchKeyGuard(_AUTOCAST):
            result = op(*args)
        wide = result.dtype is torch.float64
        return result if wide else result.to(torch.get_autocast_dtype("cpu"))

    return rounded
