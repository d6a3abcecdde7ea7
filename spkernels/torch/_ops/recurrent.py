"""The operators ``lstm``, ``gru`` and ``rnn``: a recurrent layer, in one direction, over sequences.

A weight is sparse, in three tensors, or dense: a matrix, without columns and offsets.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

import spkernels

from .._library import register
from .._packed import STORAGE, array_of, weight_of
from .activation import ACTIVATIONS
from .checks import check_dense, check_sparse
from .linear import linear, linear_now

__all__ = ["gru", "gru_now", "lstm", "lstm_now", "rnn", "rnn_now"]

_WEIGHTS = (
    "Tensor ih, Tensor? ih_columns, Tensor? ih_offsets, "
    "Tensor hh, Tensor? hh_columns, Tensor? hh_offsets, "
    "Tensor? bias_ih=None, Tensor? bias_hh=None, bool reverse=False, int? workers=None"
)
_NONLINEARITIES = ("tanh", "relu")
#: The most elements of a call that PyTorch does not share among its threads: waking them takes
#: longer than the sigmoids of a step.
_SERIAL = 32767
#: The number of steps from which on a first call packs its weight.
_MANY_STEPS = 8


class _Weight(NamedTuple):
    """A weight as the operators take it, and the number of its columns."""

    values: torch.Tensor
    columns: torch.Tensor | None
    offsets: torch.Tensor | None
    width: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self.values.shape[0] if self.offsets is None else self.offsets.shape[0] - 1

    @property
    def sparse(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
        """The arguments of `linear` for a sparse weight."""
        assert self.columns is not None and self.offsets is not None
        return self.values, self.columns, self.offsets, self.width

    def check(self, name: str, rows: int) -> None:
        """Raise an error unless this can be a weight of `rows` rows."""
        if (self.columns is None) != (self.offsets is None):
            raise ValueError(f"{name}_columns and {name}_offsets must both be tensors or None")
        if self.columns is not None and self.offsets is not None:
            check_sparse(self.values, self.columns, self.offsets)
        elif self.values.dtype not in STORAGE or self.values.dim() != 2:
            raise ValueError(
                f"{name} must be a matrix of float32, float64, float16 or bfloat16 if it has no "
                f"columns, got {self.values.dtype} of shape {tuple(self.values.shape)}"
            )
        shape = (self.rows, self.width if self.columns is not None else self.values.shape[1])
        if shape != (rows, self.width):
            raise ValueError(f"{name} must have shape ({rows}, {self.width}), got {shape}")

    def linear(self, x: torch.Tensor, bias: torch.Tensor | None, workers: int | None):
        """Return the product with the rows of `x`, by operators that are differentiable."""
        if self.columns is None:
            bias = None if bias is None else bias.to(x.dtype)
            return F.linear(x, self.values.to(x.dtype), bias)
        return linear(x, *self.sparse, bias, workers=workers)


class _Dense:
    """The product with a dense matrix, by PyTorch, with the arguments that a prepared one has."""

    def __init__(self, matrix: torch.Tensor):
        self._transpose = matrix.mT

    def spmm(self, B, *, out, beta=0.0, bias=None, activation=None, workers=None):
        """Write ``activation(W @ B + beta * out + bias)`` to `out`."""
        into = torch.from_numpy(out.T)
        into.addmm_(torch.from_numpy(B.T), self._transpose, beta=beta)
        if bias is not None:
            into += torch.from_numpy(bias[:, 0])
        if activation is not None:
            into.copy_(ACTIVATIONS[activation](into))


def _wide(tensor):
    """Return a tensor in the dtype that sums have."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _wide_products():
    """Return a context in which `torch.autocast` rounds no product: states are sums."""
    return torch.autocast("cpu", enabled=False)


def _sum(first, second):
    if first is None or second is None:
        return second if first is None else first
    return _wide(first) + _wide(second)


class _Layer(NamedTuple):
    """What a call computes with: weights, biases, and options of products."""

    ih: _Weight
    hh: _Weight
    bias_ih: torch.Tensor | None
    bias_hh: torch.Tensor | None
    reverse: bool
    workers: int | None
    pack: bool
    pattern: str | None

    def projected(self, x: torch.Tensor, bias: torch.Tensor | None) -> np.ndarray:
        """Return the part of all steps that the inputs give: one product."""
        wide, weight = _wide(x), self.ih
        if weight.columns is None:
            bias = None if bias is None else _wide(bias).detach()
            return F.linear(wide.detach(), _wide(weight.values).detach(), bias).numpy()
        made = linear_now(
            wide, *weight.sparse, bias, workers=self.workers, pack=self.pack, pattern=self.pattern
        )
        return made.numpy()

    def product(self, steps: int, batch: int) -> Callable[..., Any]:
        """Return the function that multiplies a state, as ``PreparedMatrix.spmm`` does."""
        weight, workers = self.hh, self.workers
        if weight.columns is None:
            return _Dense(_wide(weight.values).detach()).spmm
        held = weight_of(*weight.sparse)
        matrix = None
        if self.pack and batch > 0:
            matrix = held.packed
            if matrix is None and steps >= _MANY_STEPS:
                matrix = held.pack(batch, workers, self.pattern)
            elif matrix is None:
                matrix = held.matrix(batch, workers, self.pattern)
        if matrix is None:
            return functools.partial(spkernels.spmm, held.csr, workers=workers)
        return functools.partial(matrix.spmm, workers=workers)

    def order(self, steps: int) -> range:
        """Return the steps in the order in which they are computed."""
        return range(steps - 1, -1, -1) if self.reverse else range(steps)


def _sigmoids(gates: np.ndarray, *ranges: tuple[int, int]) -> list[list[torch.Tensor]]:
    """Return the parts of the gates of each step that sigmoids replace in place."""
    steps, batch, _ = gates.shape
    tensor = torch.from_numpy(gates)
    parts = []
    for start, stop in ranges:
        rows = max(1, _SERIAL // max(1, stop - start))
        for row in range(0, batch, rows):
            parts.append(tensor[:, row : row + rows, start:stop].unbind(0))
    return [list(of_step) for of_step in zip(*parts, strict=True)] if parts else [[]] * steps


def _lstm_steps(layer, x, h, c):
    """Return the outputs and the last cell."""
    gates = layer.projected(x, _sum(layer.bias_ih, layer.bias_hh))
    (steps, batch), size = gates.shape[:2], h.shape[1]
    product = layer.product(steps, batch)
    sigmoids = _sigmoids(gates, (0, 2 * size), (3 * size, 4 * size))
    out = spkernels.empty((steps, batch, size), gates.dtype)
    c, held = c.copy(), np.empty_like(c)
    for t in layer.order(steps):
        gate = gates[t]
        product(h.T, out=gate.T, beta=1.0)
        for part in sigmoids[t]:
            part.sigmoid_()
        new = gate[:, 2 * size : 3 * size]
        np.tanh(new, out=new)
        np.multiply(gate[:, :size], new, out=new)
        np.multiply(gate[:, size : 2 * size], c, out=c)
        np.add(c, new, out=c)
        np.tanh(c, out=held)
        h = np.multiply(gate[:, 3 * size :], held, out=out[t])
    return out, c


def _gru_steps(layer, x, h):
    """Return the outputs."""
    gates = layer.projected(x, layer.bias_ih)
    (steps, batch), size = gates.shape[:2], h.shape[1]
    product = layer.product(steps, batch)
    sigmoids = _sigmoids(gates, (0, 2 * size))
    out = spkernels.empty((steps, batch, size), gates.dtype)
    states, held = np.empty((batch, 3 * size), gates.dtype), np.empty_like(h)
    both, new = states[:, : 2 * size], states[:, 2 * size :]
    bias = None if layer.bias_hh is None else array_of(layer.bias_hh).astype(gates.dtype)[:, None]
    for t in layer.order(steps):
        product(h.T, out=states.T, bias=bias)
        gate = gates[t]
        np.add(gate[:, : 2 * size], both, out=gate[:, : 2 * size])
        for part in sigmoids[t]:
            part.sigmoid_()
        np.multiply(new, gate[:, :size], out=new)
        np.add(new, gate[:, 2 * size :], out=new)
        np.tanh(new, out=new)
        np.subtract(h, new, out=held)
        np.multiply(held, gate[:, size : 2 * size], out=held)
        h = np.add(new, held, out=out[t])
    return out


def _rnn_steps(layer, x, h, activation):
    """Return the outputs, which take the place of what the inputs gave."""
    out = layer.projected(x, _sum(layer.bias_ih, layer.bias_hh))
    product = layer.product(*out.shape[:2])
    for t in layer.order(len(out)):
        product(h.T, out=out[t].T, beta=1.0, activation=activation)
        h = out[t]
    return out


def _lstm_graph(layer, x, h, c):
    """Return the outputs and the last cell, by operators that are differentiable."""
    given = layer.ih.linear(x, _sum(layer.bias_ih, layer.bias_hh), layer.workers)
    outs = []
    for t in layer.order(x.shape[0]):
        i, f, g, o = (given[t] + layer.hh.linear(h, None, layer.workers)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outs.append(h)
    return _stacked(outs, layer, given, h.shape), c


def _gru_graph(layer, x, h):
    given = layer.ih.linear(x, layer.bias_ih, layer.workers)
    outs = []
    for t in layer.order(x.shape[0]):
        own = layer.hh.linear(h, layer.bias_hh, layer.workers)
        (r, z, n), (own_r, own_z, own_n) = given[t].chunk(3, 1), own.chunk(3, 1)
        n = (n + (r + own_r).sigmoid() * own_n).tanh()
        h = n + (z + own_z).sigmoid() * (h - n)
        outs.append(h)
    return _stacked(outs, layer, given, h.shape)


def _rnn_graph(layer, x, h, activation):
    given = layer.ih.linear(x, _sum(layer.bias_ih, layer.bias_hh), layer.workers)
    outs = []
    for t in layer.order(x.shape[0]):
        h = ACTIVATIONS[activation](given[t] + layer.hh.linear(h, None, layer.workers))
        outs.append(h)
    return _stacked(outs, layer, given, h.shape)


def _stacked(outs, layer, like, shape):
    if not outs:
        return like.new_empty(0, *shape)
    return torch.stack(outs[::-1] if layer.reverse else outs)


def _checked(gates, x, states, ih, ih_columns, ih_offsets, hh, hh_columns, hh_offsets,
             bias_ih=None, bias_hh=None, reverse=False, workers=None, *, pack=False,
             pattern=None):  # fmt: skip
    """Check the arguments, and return the layer."""
    if x.dim() != 3:
        raise ValueError(f"x must have shape (steps, batch, inputs), got {tuple(x.shape)}")
    size = states[0].shape[-1] if states[0].dim() else 0
    layer = _Layer(
        _Weight(ih, ih_columns, ih_offsets, x.shape[2]),
        _Weight(hh, hh_columns, hh_offsets, size),
        bias_ih, bias_hh, reverse, workers, pack, pattern,
    )  # fmt: skip
    layer.ih.check("ih", gates * size)
    layer.hh.check("hh", gates * size)
    check_dense("x", x, ih.dtype)
    check_dense("hh", hh, ih.dtype)
    for name, state in zip(("h", "c"), states, strict=False):
        check_dense(name, state, ih.dtype)
        if state.shape != (x.shape[1], size):
            raise ValueError(
                f"{name} must have shape ({x.shape[1]}, {size}), got {tuple(state.shape)}"
            )
    for name, bias in (("bias_ih", bias_ih), ("bias_hh", bias_hh)):
        if bias is not None:
            check_dense(name, bias, ih.dtype)
            if bias.shape != (gates * size,):
                raise ValueError(
                    f"{name} must have shape ({gates * size},), got {tuple(bias.shape)}"
                )
    return layer


class _Cell(NamedTuple):
    """A kind of recurrent layer: how many gates and states, and what computes it."""

    gates: int
    states: int
    steps: Callable[..., Any]
    graph: Callable[..., Any]
    named: bool = False  # whether an activation is the first argument after the states

    def split(self, args):
        """Return the states, the weights and what follows, and the activation if there is one."""
        end = 1 + self.states
        if not self.named:
            return args[1:end], args[end:], ()
        if args[end] not in _NONLINEARITIES:
            raise ValueError(
                f"activation must be one of {', '.join(_NONLINEARITIES)}, got {args[end]!r}"
            )
        return args[1:end], args[end + 1 :], (args[end],)

    def layer(self, args, **options):
        """Check the arguments of a call, and return the layer, the states and the activation."""
        states, rest, extra = self.split(args)
        return _checked(self.gates, args[0], states, *rest, **options), states, extra

    def now(self, *args, pack=True, pattern=None):
        """Compute the operator for CPU tensors, without PyTorch's dispatcher."""
        layer, states, extra = self.layer(args, pack=pack, pattern=pattern)
        x = args[0]
        found = self.steps(layer, x, *map(array_of, states), *extra)
        if self.states == 1:
            return torch.from_numpy(found).to(x.dtype)
        return tuple(torch.from_numpy(array).to(x.dtype) for array in found)

    def compute(self, *args):
        """Compute the operator; trained values are not packed, as in `linear`."""
        _, (ih, _, _, hh, *_), _ = self.split(args)
        with _wide_products():
            return self.now(*args, pack=not (ih.requires_grad or hh.requires_grad))

    def fake(self, *args):
        """Return empty results."""
        _, states, _ = self.layer(args)
        x = args[0]
        out = x.new_empty((*x.shape[:2], states[0].shape[1]))
        return out if self.states == 1 else (out, x.new_empty(states[1].shape))

    def graphed(self, *args):
        """Compute the same by a graph of PyTorch's operators and ``linear``."""
        layer, states, extra = self.layer(args)
        x = args[0]
        found = self.graph(layer, _wide(x), *map(_wide, states), *extra)
        if self.states == 1:
            return found.to(x.dtype)
        return tuple(each.to(x.dtype) for each in found)

    def function(self, args, places):
        """Return the graph as a function of the arguments at some places, and these arguments."""

        def call(*values):
            given = list(args)
            for place, value in zip(places, values, strict=True):
                given[place] = value
            return self.graphed(*given)

        return call, [args[place] for place in places]

    def setup_context(self, ctx, inputs, output):
        """Keep the inputs."""
        tensors = [each if isinstance(each, torch.Tensor) else None for each in inputs]
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.others = [None if isinstance(each, torch.Tensor) else each for each in inputs]

    def backward(self, ctx, *gradients):
        """Compute once more by a graph, and go back through that."""
        args, results = _kept(ctx), [None] * len(ctx.others)
        places = [place for place, needed in enumerate(ctx.needs_input_grad) if needed]
        call, values = self.function(args, places)
        with _wide_products():
            _, pull = torch.func.vjp(call, *values)
            made = pull(gradients[0] if self.states == 1 else gradients)
        for place, gradient in zip(places, made, strict=True):
            results[place] = gradient
        return tuple(results)

    def jvp(self, ctx, *changes):
        """Compute the change of the results, by a graph.

        Forward mode does not nest in itself.  But the gradients are linear in those of the results,
        so that going back through them gives the change.
        """
        places = [place for place, change in enumerate(changes) if change is not None]
        call, values = self.function(_kept(ctx), places)
        with _wide_products():
            results, pull = torch.func.vjp(call, *values)
            one = self.states == 1
            zeros = torch.zeros_like(results) if one else tuple(map(torch.zeros_like, results))
            _, push = torch.func.vjp(pull, zeros)
            return push(tuple(changes[place] for place in places))[0]

    def register(self, schema):
        """Register the operator."""
        return register(
            schema, self.compute, self.fake, self.setup_context, self.backward, jvp=self.jvp
        )


def _kept(ctx):
    """Return the arguments of the call."""
    pairs = zip(ctx.saved_tensors, ctx.others, strict=True)
    return [other if tensor is None else tensor for tensor, other in pairs]


_LSTM = _Cell(4, 2, _lstm_steps, _lstm_graph)
_GRU = _Cell(3, 1, _gru_steps, _gru_graph)
_RNN = _Cell(1, 1, _rnn_steps, _rnn_graph, named=True)

lstm = _LSTM.register(f"lstm(Tensor x, Tensor h, Tensor c, {_WEIGHTS}) -> (Tensor, Tensor)")
gru = _GRU.register(f"gru(Tensor x, Tensor h, {_WEIGHTS}) -> Tensor")
rnn = _RNN.register(f"rnn(Tensor x, Tensor h, str activation, {_WEIGHTS}) -> Tensor")

lstm_now, gru_now, rnn_now = _LSTM.now, _GRU.now, _RNN.now
