"""`SparseLSTM`, `SparseGRU` and `SparseRNN`, and the modules of their single steps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from .._eager import is_plain
from .._measure import times_of, total
from .._ops import gru, gru_now, lstm, lstm_now, rnn, rnn_now
from .._record import Call
from .._weights import Csr, bias_of
from .family import Family, Options, describe
from .linear import SparseLinear

__all__ = ["CELL", "RECURRENT", "SparseGRU", "SparseGRUCell", "SparseLSTM", "SparseLSTMCell",
           "SparseRNN", "SparseRNNCell"]  # fmt: skip

#: The number of steps of the sequences that a module is measured with if no inputs are given.
_EXAMPLE_STEPS = 32


class _Recurrent(nn.Module):
    """The weights of a recurrent module: sparse ones are modules, dense ones are parameters."""

    #: The number of states: LSTMs have cells, too.
    _count = 1

    def _compute(self, plain, *arguments):
        """Call the operator, or what computes it at once."""
        raise NotImplementedError

    def __init__(self, module: nn.Module, weights: Sequence[Csr | None], options: Options):
        super().__init__()
        self.input_size: int = module.input_size  # type: ignore[assignment]
        self.hidden_size: int = module.hidden_size  # type: ignore[assignment]
        self.bias: bool = module.bias  # type: ignore[assignment]
        self.workers, self.pattern = options.workers, options.pattern
        #: The activation that the operator takes as an argument.
        self._extra = (module.nonlinearity,) if hasattr(module, "nonlinearity") else ()
        self._names = _names(module, "weight")
        for name, csr in zip(self._names, weights, strict=True):
            if csr is None:
                self.register_parameter(name, module._parameters[name])
            else:
                layer = SparseLinear.of(
                    csr, None, None, options.workers, options.pattern, trained=False
                )
                self.add_module(name, layer)
        for name in _names(module, "bias"):
            self.register_parameter(name, bias_of(module, name))

    def _sparse(self):
        return [layer for layer in self._modules.values() if isinstance(layer, SparseLinear)]

    def weights(self) -> tuple[Csr | None, ...]:
        """Return the weights in the order of the family's names; None for a dense one."""
        layers = (self._modules.get(name) for name in self._names)
        return tuple(layer.csr if isinstance(layer, SparseLinear) else None for layer in layers)

    def describe(self) -> tuple[str, str]:
        """Return the patterns of the packed weights, and their kernels."""
        sparse = self._sparse()
        patterns, kernels = describe(*(layer.prepared(1) for layer in sparse))
        return patterns, kernels if len(sparse) == len(self._names) else f"{kernels} / dense"

    def repack(self) -> None:
        """Have the next product read all values anew, after a change through ``.data``."""
        for layer in self._sparse():
            layer.repack()

    def _weight(self, name, plain):
        """Return a weight as the operators take it; in a plain call it may be packed."""
        layer = self._modules.get(name)
        if layer is None:
            return self._parameters[name], None, None
        buffers = layer._buffers
        if plain and buffers["values"].is_inference():
            layer.leave_inference_mode()
        return buffers["values"], buffers["columns"], buffers["offsets"]

    def _call(self, plain, x, states, suffix, reverse):
        """Return the outputs of a layer, and its states after the last step."""
        arguments = [
            x, *states, *self._extra, *self._weight(f"weight_ih{suffix}", plain),
            *self._weight(f"weight_hh{suffix}", plain), self._parameters.get(f"bias_ih{suffix}"),
            self._parameters.get(f"bias_hh{suffix}"), reverse, self.workers,
        ]  # fmt: skip
        found = self._compute(plain, *arguments)
        out, cells = found if isinstance(found, tuple) else (found, None)
        last = out[0 if reverse else -1]
        return out, (last,) if cells is None else (last, cells)

    def _is_plain(self, x, states):
        return is_plain(x, *states, *self.parameters())

    def _given(self, hx):
        """Return the states that were given, as a list; [] if there are none."""
        if hx is None:
            return []
        states = list(hx) if self._count == 2 else [hx]
        if len(states) != self._count or not all(isinstance(s, torch.Tensor) for s in states):
            expected = "a pair of tensors" if self._count == 2 else "a tensor"
            raise TypeError(f"hx must be {expected}, got {type(hx).__name__}")
        return states

    def _result(self, states):
        return tuple(states) if self._count == 2 else states[0]

    def extra_repr(self) -> str:
        """Return the facts that ``print(model)`` shows."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class _Layers(_Recurrent):
    """Layers over sequences."""

    def __init__(self, module: nn.RNNBase, weights: Sequence[Csr | None], options: Options):
        super().__init__(module, weights, options)
        self.mode, self.num_layers = module.mode, module.num_layers
        self.batch_first, self.bidirectional = module.batch_first, module.bidirectional
        self.dropout, self.proj_size = module.dropout, 0
        if self._extra:
            self.nonlinearity = self._extra[0]

    def flatten_parameters(self) -> None:
        """Do nothing, as `torch.nn.RNNBase` does on a CPU."""

    def forward(self, input: torch.Tensor | PackedSequence, hx: Any = None) -> Any:
        """Return the outputs of the last layer, and the states of all layers after the last step.

        Parameters
        ----------
        input : Tensor or PackedSequence
            As in `torch.nn.LSTM`: of shape (steps, batch, input_size), (batch, steps, input_size)
            if `batch_first`, or (steps, input_size).
        hx : Tensor, or pair of tensors for an LSTM, optional
            The first states, of shape (layers * directions, batch, hidden_size), without the batch
            if the input has none; by default zeros.
        """
        if isinstance(input, PackedSequence):
            data, sizes, order, back = input
            lengths = sizes.tolist()
            runs = [(size, len(list(run))) for size, run in itertools.groupby(lengths)]
            ends = itertools.accumulate(size * steps for size, steps in runs)
            parts = [
                data[end - size * steps : end].view(steps, size, -1)
                for (size, steps), end in zip(runs, ends, strict=True)
            ]
            states = self._states(hx, data, lengths[0], True)
            if order is not None:
                states = [state.index_select(1, order) for state in states]
            outs, states = self._forward(parts, states)
            if back is not None:
                states = [state.index_select(1, back) for state in states]
            flat = torch.cat([out.flatten(0, 1) for out in outs])
            return PackedSequence(flat, sizes, order, back), self._result(states)
        if input.dim() not in (2, 3):
            raise ValueError(f"input must be 2-D or 3-D, got {input.dim()}-D")
        batched = input.dim() == 3
        x = input if batched else input[:, None]
        turned = batched and self.batch_first
        if turned:
            x = x.transpose(0, 1)
        (out,), states = self._forward([x], self._states(hx, x, x.shape[1], batched))
        if not batched:
            return out[:, 0], self._result([state[:, 0] for state in states])
        return out.transpose(0, 1) if turned else out, self._result(states)

    def _states(self, hx, x, batch, batched):
        """Return the first states, of shape (layers * directions, batch, hidden_size) each."""
        if x.shape[-1] != self.input_size:
            raise ValueError(
                f"input must have {self.input_size} features, got shape {tuple(x.shape)}"
            )
        if x.shape[0] == 0:
            raise ValueError("input must have at least one step, got none")
        shape = (self.num_layers * (2 if self.bidirectional else 1), batch, self.hidden_size)
        given = self._given(hx)
        if not given:
            return [x.new_zeros(shape)] * self._count
        expected = shape if batched else (shape[0], shape[2])
        for state in given:
            if state.shape != expected:
                raise ValueError(f"hx must have shape {expected}, got {tuple(state.shape)}")
        return given if batched else [state[:, None] for state in given]

    def _forward(self, parts, states):
        """Return the outputs of the parts of the sequences, which have batches of their own."""
        plain = self._is_plain(parts[0], states)
        finals = []
        directions = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                parts = [F.dropout(part, self.dropout) for part in parts]
            outs = []
            for direction in range(directions):
                first = [state[layer * directions + direction] for state in states]
                made, last = self._direction(plain, parts, first, layer, direction == 1)
                outs.append(made)
                finals.append(last)
            parts = outs[0] if directions == 1 else [
                torch.cat(pair, -1) for pair in zip(*outs, strict=True)
            ]  # fmt: skip
        return parts, [torch.stack(of_state) for of_state in zip(*finals, strict=True)]

    def _direction(self, plain, parts, states, layer, reverse):
        """Return the outputs of one direction, and the states of each sequence after its end.

        Batches of later parts are smaller, as sequences have ended.
        """
        suffix = f"_l{layer}_reverse" if reverse else f"_l{layer}"
        outs = []
        for part in reversed(parts) if reverse else parts:
            batch = part.shape[1]
            out, last = self._call(plain, part, [s[:batch] for s in states], suffix, reverse)
            states = [
                new if batch == old.shape[0] else torch.cat([new, old[batch:]])
                for new, old in zip(last, states, strict=True)
            ]
            outs.append(out)
        return outs[::-1] if reverse else outs, states

    def extra_repr(self) -> str:
        """Return the facts that ``print(model)`` shows."""
        facts = [super().extra_repr()]
        for name, usual in (("num_layers", 1), ("batch_first", False), ("dropout", 0.0),
                            ("bidirectional", False)):  # fmt: skip
            if getattr(self, name) != usual:
                facts.append(f"{name}={getattr(self, name)}")
        return ", ".join(facts)


class _Step(_Recurrent):
    """One step of one layer."""

    def forward(self, input: torch.Tensor, hx: Any = None) -> Any:
        """Return the states after a step.

        Parameters
        ----------
        input : Tensor of shape (batch, input_size) or (input_size,)
        hx : Tensor, or pair of tensors for an LSTM, optional
            The states before, of shape (batch, hidden_size) or (hidden_size,); by default zeros.
        """
        if input.dim() not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"input must have shape (batch, {self.input_size}) or ({self.input_size},), got "
                f"{tuple(input.shape)}"
            )
        batched = input.dim() == 2
        shape = (*input.shape[:-1], self.hidden_size)
        states = self._given(hx) or [input.new_zeros(shape)] * self._count
        for state in states:
            if state.shape != shape:
                raise ValueError(f"hx must have shape {tuple(shape)}, got {tuple(state.shape)}")
        x = input[None] if batched else input[None, None]
        rows = states if batched else [state[None] for state in states]
        _, last = self._call(self._is_plain(x, rows), x, rows, "", False)
        return self._result(last if batched else [state[0] for state in last])


class _LSTM(_Recurrent):
    _count = 2

    def _compute(self, plain, *arguments):
        return lstm_now(*arguments, pattern=self.pattern) if plain else lstm(*arguments)


class _GRU(_Recurrent):
    def _compute(self, plain, *arguments):
        return gru_now(*arguments, pattern=self.pattern) if plain else gru(*arguments)


class _RNN(_Recurrent):
    def _compute(self, plain, *arguments):
        return rnn_now(*arguments, pattern=self.pattern) if plain else rnn(*arguments)


class SparseLSTM(_LSTM, _Layers):
    """Stands for `torch.nn.LSTM`; `sparsify_` makes it.

    Each weight is sparse or dense, as is faster.  A sparse one, such as ``weight_hh_l0``, is a
    `SparseLinear` that holds values, columns and offsets; a dense one is the parameter itself.  The
    products of all steps with the input are one product.
    """


class SparseGRU(_GRU, _Layers):
    """Stands for `torch.nn.GRU`, as `SparseLSTM` does for the LSTM."""


class SparseRNN(_RNN, _Layers):
    """Stands for `torch.nn.RNN`, as `SparseLSTM` does for the LSTM."""


class SparseLSTMCell(_LSTM, _Step):
    """Stands for `torch.nn.LSTMCell`; `sparsify_` makes it."""


class SparseGRUCell(_GRU, _Step):
    """Stands for `torch.nn.GRUCell`; `sparsify_` makes it."""


class SparseRNNCell(_RNN, _Step):
    """Stands for `torch.nn.RNNCell`; `sparsify_` makes it."""


_SPARSE: dict[type, type[_Recurrent]] = {
    nn.LSTM: SparseLSTM,
    nn.GRU: SparseGRU,
    nn.RNN: SparseRNN,
    nn.LSTMCell: SparseLSTMCell,
    nn.GRUCell: SparseGRUCell,
    nn.RNNCell: SparseRNNCell,
}


def _names(module, kind):
    """Return the names of the weights, or of the biases, of a module."""
    if isinstance(module, nn.RNNCellBase):
        names = [f"{kind}_ih", f"{kind}_hh"]
    else:
        names = [name for name in module._flat_weights_names if name.startswith(f"{kind}_")]
    return names if kind == "weight" or module.bias else []


def _refuse(module):
    if getattr(module, "proj_size", 0):
        return "its states are projected (proj_size)"
    weights = [module._parameters.get(name) for name in _names(module, "weight")]
    if len({id(weight) for weight in weights if weight is not None}) < sum(
        weight is not None for weight in weights
    ):
        return "two of its weights are one tensor"
    return None


def _make(module, weights, activation, options):
    return _SPARSE[type(module)](module, weights, options)


def _make_for(module, weights, calls: Sequence[Call], min_speedup, options: Options):
    """Return the module with those weights sparse that are faster so; all of them if none is."""
    sparse = _make(module, weights, None, options).eval()
    kept: list[Csr | None] = []
    for name, csr in zip(sparse._names, weights, strict=True):
        weight, layer = module._parameters.get(name), sparse._modules[name]
        if weight is None:  # a mask of torch.nn.utils.prune makes it at each call
            kept.append(csr)
            continue
        parts = []
        for call in calls:
            steps, batch = _extent(module, call)
            rows = batch * steps if name.startswith("weight_ih") else batch
            x = torch.randn(rows, layer.in_features, device=weight.device).to(weight.dtype)
            pair = [partial(F.linear, x, weight), partial(layer, x)]
            parts.append((times_of(pair, [layer]), call.count))
        seconds = total(parts).seconds
        kept.append(csr if seconds[0] >= min_speedup * seconds[1] else None)
    if all(csr is None for csr in kept):
        return sparse
    return _make(module, kept, None, options)


def _extent(module, call):
    """Return the numbers of steps and of sequences of a call."""
    x = call.args[0] if call.args else call.kwargs["input"]
    if isinstance(x, PackedSequence):
        return len(x.batch_sizes), int(x.batch_sizes[0])
    if isinstance(module, nn.RNNCellBase):
        return 1, x.shape[0] if x.dim() == 2 else 1
    if x.dim() == 2:
        return x.shape[0], 1
    return (x.shape[1], x.shape[0]) if module.batch_first else (x.shape[0], x.shape[1])


def _example(module, batch):
    shape = (_EXAMPLE_STEPS, batch, module.input_size)
    if module.batch_first:
        shape = (batch, _EXAMPLE_STEPS, module.input_size)
    return (_drawn(module, shape),)


def _example_step(module, batch):
    return (_drawn(module, (batch, module.input_size)),)


def _drawn(module, shape):
    """Return a random input of a module."""
    like = next(module.parameters())
    return torch.randn(shape, device=like.device).to(like.dtype)


def _weights(module):
    return _names(module, "weight")


def _biases(module):
    return _names(module, "bias")


RECURRENT = Family(
    (nn.LSTM, nn.GRU, nn.RNN), _weights, _biases, _refuse, _make, _example, make_for=_make_for
)
CELL = Family(
    (nn.LSTMCell, nn.GRUCell, nn.RNNCell), _weights, _biases, _refuse, _make, _example_step,
    make_for=_make_for,
)  # fmt: skip
