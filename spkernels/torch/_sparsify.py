"""`sparsify_`, which replaces the modules that a sparse kernel makes faster, and `densify_`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import torch
from torch import nn

from ._arguments import check_callable, checked_workers
from ._candidates import candidates_of, evaluating, find_calls, is_sparse, strided
from ._followers import try_followers
from ._modules import Options
from ._modules.family import Original
from ._modules.layer import SparseLayer
from ._record import eager, example_calls
from ._report import Report, count_of
from ._swap import places_of, restore
from ._trial import try_candidate
from ._whole import leave_needed, measure_whole, swap_of

__all__ = ["densify_", "sparsify_"]

#: A whole model that is slower than before by less than this share is slower by noise alone.
_NOISE = 0.03
#: The batches that modules are measured with if no inputs are given.
_DEFAULT_BATCHES = (1,)


def sparsify_(
    model: nn.Module,
    *,
    example_inputs: Any = None,
    filter_fn: Callable[[nn.Module, str], bool] | None = None,
    min_speedup: float = 1.05,
    dtype: str | torch.dtype | None = None,
    pattern: str | None = "auto",
    workers: int | None = None,
) -> Report:
    """Replace the modules of a pruned model that a sparse kernel makes faster, in place.

    Parameters
    ----------
    model : torch.nn.Module
        A model on the CPU whose weights hold zeros: dense tensors, weights with a mask of
        `torch.nn.utils.prune`, or sparse tensors.
    example_inputs : tensor, tuple, dict, list of these, or int or list of int, optional
        The arguments of a call of the model: a tensor, a tuple of arguments, or a dict of keyword
        arguments.  A list holds several calls.  Each module is measured at the shapes that these
        calls produce, and so is the whole model.  Integers are batch sizes, 1 by default: linear
        layers, attention and recurrent layers are then measured with random inputs, other modules
        stay dense, and the model is not called.
    filter_fn : callable, optional
        ``filter_fn(module, name)`` returns whether a module may be replaced.
    min_speedup : float, optional
        A module stays dense unless it becomes faster by this factor.
    dtype : {None, "int8"}, optional
        The dtype of products.  None keeps that of the weights.  With "int8", the weights of linear
        layers and of the projections of attention are rounded to bytes with a scale for each row,
        and so are their inputs, by the range that the example inputs produce.  This is done where
        bytes are faster than floats; the report has the error that it makes.  Other modules stay in
        floats.
    pattern : str, optional
        The pattern of the weights, as in `spkernels.prepare`.
    workers : int, optional
        The largest number of threads of the new modules; by default `torch.get_num_threads` at each
        call.

    Returns
    -------
    Report
        What was done with each module, and why; ``print`` shows a table.

    Raises
    ------
    TypeError, ValueError
        If an argument has a wrong type or value.  The model is then as it was.

    See Also
    --------
    densify_ : gives the original model back.
    SparseLinear : a layer that trains sparse weights.

    Notes
    -----
    The dense weights are freed, except the parts from which a mask of pruning makes one.  New
    modules are for inference: their weights are buffers in CSR, which no optimizer sees, and
    gradients flow to their inputs and biases.  They can be saved, loaded, copied, compiled and
    exported as others can.

    The model is called many times, in evaluation mode and without gradients.  A module stays dense
    if it has hooks, a method ``forward`` or parameters of its own, if other code of the model reads
    its weight, or if the model fails with the sparse one.

    Linear layers that follow each other in a `torch.nn.Sequential` are called together, so one that
    is slower on its own is measured with the sparse one before it as well.

    In `torch.nn.MultiheadAttention` each weight is measured on its own, and so are the linear
    layers of `torch.nn.TransformerEncoderLayer`.  The fused path of that layer reads dense weights,
    and is left out where one became sparse.  It is part of the time of the whole model before, and
    not of the times of modules.

    In `torch.nn.LSTM`, `GRU`, `RNN` and their cells each weight is measured on its own as well.

    A batch size as `example_inputs` is the number of rows that a linear layer multiplies.  For
    attention it is the length of one sequence, whose tokens are these rows, and for recurrent
    layers the number of sequences of 32 steps.

    A linear layer or a convolution computes the activation that follows it as well: ReLU, GELU,
    SiLU, Tanh, Sigmoid, LeakyReLU, ELU, Hardswish, Hardsigmoid or ReLU6.  So does a convolution
    that a batch norm in evaluation mode follows: its weights are multiplied by the scales of the
    norm, so that the model is for evaluation alone, and a call in training mode is an error.  What
    follows is the next module of a `torch.nn.Sequential`, the activation of a Transformer's layer,
    or what `torch.fx` finds in the `forward` of other modules, if it calls both modules once.  This
    is not done if other code calls the layer, or if a module that follows has hooks.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> model = torch.nn.Sequential(torch.nn.Linear(1024, 1024), torch.nn.ReLU()).eval()
    >>> _ = torch.nn.utils.prune.l1_unstructured(model[0], "weight", amount=0.95)
    >>> report = st.sparsify_(model, example_inputs=torch.randn(8, 1024))
    >>> [layer.name for layer in report.layers]
    ['0']
    """
    options = _checked(model, filter_fn, min_speedup, dtype, pattern, workers)
    calls, batches = _inputs(example_inputs)
    if options.int8 and not calls:
        raise ValueError("example_inputs must be inputs for dtype 'int8', which they calibrate")
    # Tensors that are made in inference mode count no changes, so they could not be packed.
    with torch.inference_mode(False), torch.no_grad(), eager():
        return _sparsify(model, filter_fn, min_speedup, options, calls, batches)


def densify_(model: nn.Module) -> nn.Module:
    """Give a model that `sparsify_` changed its dense modules back, in place.

    Weights have the bits that they had, unless values of the sparse modules were changed since.
    Changes of a convolution that computes a batch norm as well are lost.

    Parameters
    ----------
    model : torch.nn.Module
        The model.  One that `sparsify_` did not change stays as it is.

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    TypeError, ValueError
        If `model` is no module, or if ``columns`` and ``offsets`` of a layer were changed and are
        no structure any more.  The model is then as it was.

    Examples
    --------
    >>> import torch
    >>> import spkernels.torch as st
    >>> model = torch.nn.Sequential(torch.nn.Linear(1024, 1024)).eval()
    >>> _ = torch.nn.utils.prune.l1_unstructured(model[0], "weight", amount=0.95)
    >>> _ = st.sparsify_(model, example_inputs=torch.randn(8, 1024))
    >>> st.densify_(model)
    Sequential(
      (0): Linear(in_features=1024, out_features=1024, bias=True)
    )
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    for name, module in model.named_modules():
        if isinstance(module, SparseLayer):
            module.check_structure(name)
    for module, places in places_of(model).items():
        original = module.__dict__.get("original")
        if isinstance(original, Original):
            dense = original.restore(module)
            dense.train(module.training)
            for place in places:
                place.parent._modules[place.name] = dense
    for module in model.modules():
        restore(module)
    return model


def _sparsify(model, filter_fn, min_speedup, options, calls, batches):
    """Measure, replace and report, with arguments that were checked."""
    candidates, layers = candidates_of(model, filter_fn, bool(calls))
    with evaluating(model), strided(candidates):
        find_calls(model, candidates, calls, batches, options.int8)
        for candidate in candidates:
            try_candidate(candidate, options, min_speedup)
        leave_needed(model, calls, candidates)
        # Chains are of layers that stay sparse.
        if try_followers(candidates, min_speedup):
            leave_needed(model, calls, candidates)
        swap = swap_of(model, candidates)
        report = measure_whole(model, swap, calls, min(min_speedup, 1 - _NOISE), candidates)
    swap.copy_modes()
    for candidate in candidates:
        if candidate.sparse is not None:
            _finish(candidate)
    known = {candidate.layer.name: candidate.layer for candidate in candidates}
    return replace(
        report,
        layers=tuple(known.get(layer.name, layer) for layer in layers),
        notes=_notes(model, candidates, options, bool(calls)),
    )


def _checked(model, filter_fn, min_speedup, dtype, pattern, workers):
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("model must not be TorchScript, whose layers cannot be replaced")
    check_callable("filter_fn", filter_fn)
    number = isinstance(min_speedup, Real) and not isinstance(min_speedup, bool)
    if not number or not min_speedup > 0:
        raise ValueError(f"min_speedup must be a positive number, got {min_speedup!r}")
    if dtype not in (None, "int8", torch.int8):
        raise ValueError(f"dtype must be None or 'int8', got {dtype!r}")
    return Options(dtype is not None, pattern, checked_workers(workers))


def _inputs(example_inputs):
    """Return the calls of the model, or the batch sizes if there are none."""
    if example_inputs is None:
        return [], _DEFAULT_BATCHES
    many = example_inputs if isinstance(example_inputs, list | tuple) else [example_inputs]
    integers = [isinstance(one, Integral) and not isinstance(one, bool) for one in many]
    if many and all(integers):
        if min(many) < 1:
            raise ValueError(f"example_inputs must be positive batch sizes, got {min(many)}")
        return [], tuple(map(int, many))
    if isinstance(example_inputs, list) and any(integers):
        raise TypeError("example_inputs must be inputs or batch sizes, got a list of both")
    return example_calls(example_inputs), ()


def _finish(candidate):
    """Free the dense weights of a module that was replaced."""
    module, sparse = candidate.module, candidate.sparse
    names = [
        name
        for name, csr in zip(candidate.family.weights(module), sparse.weights(), strict=True)
        if csr is not None
    ]
    sparse.__dict__["original"] = original = Original(module, names)
    original.free()


def _notes(model, candidates, options, called):
    notes = [note for candidate in candidates for note in candidate.notes]
    swapped = sum(candidate.sparse is not None for candidate in candidates)
    if candidates and not called:
        notes.append("the model was not called: example inputs show whether the whole is faster")
    floats = sum(
        candidate.sparse is not None and candidate.family.make_int8 is None
        for candidate in candidates
    )
    if options.int8 and floats:
        others = count_of(floats, "other module")
        notes.append(f"int8 is for linear layers and attention: {others} in floats")
    standing = (module for module in model.modules() if is_sparse(module))
    before = sum(bool(module.original.names) for module in standing) - swapped
    if before:
        notes.append(f"{count_of(before, 'module')} of the model became sparse before")
    if isinstance(getattr(model, "_orig_mod", None), nn.Module):
        notes.append("what torch.compile made of the model was left out of all measurements")
    if model.training and swapped:
        notes.append("the model is in training mode: call model.eval() for inference")
    return tuple(notes)
