"""`SparseMultiheadAttention`, which stands for `torch.nn.MultiheadAttention`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import spkernels
from spkernels import masks

from .._eager import is_plain
from .._measure import times_of, total
from .._ops import step_of
from .._packed import array_of
from .._record import Call, ranges_over, union
from .._weights import Csr, bias_of, joined, rows_of
from .family import Family, Options
from .linear import SparseLinear
from .linear_int8 import SparseInt8Linear, check_float32

__all__ = ["ATTENTION", "SparseMultiheadAttention"]


class SparseMultiheadAttention(nn.Module):
    """Multi-head attention, as `torch.nn.MultiheadAttention`, some of whose weights are sparse.

    `sparsify_` makes it.  Attention itself is `spkernels.sparse_attention` in float32 and float64,
    `torch.nn.functional.scaled_dot_product_attention` for gradients, dropout, tracing and other
    dtypes, and PyTorch's formula where weights of attention are wanted.

    Attributes
    ----------
    inputs : ModuleList
        The projections of queries, keys and values, without their biases: one for all three, one
        for queries and one for the two others, or three.  Each is a `SparseLinear`, a
        `SparseInt8Linear` or a dense one.
    counts : tuple of int
        How many of queries, keys and values each projection makes.
    out_proj : SparseLinear, SparseInt8Linear or torch.nn.Linear
        The projection of the result.
    workers : int or None
        The largest number of threads.
    in_proj_bias, bias_k, bias_v, embed_dim, kdim, vdim, num_heads, head_dim, dropout, batch_first,
    add_zero_attn
        As in `torch.nn.MultiheadAttention`.
    """

    in_proj_bias: torch.Tensor | None
    bias_k: torch.Tensor | None
    bias_v: torch.Tensor | None
    embed_dim: int
    kdim: int
    vdim: int
    num_heads: int
    head_dim: int
    dropout: float
    batch_first: bool
    add_zero_attn: bool
    _qkv_same_embed_dim: bool

    def __init__(
        self,
        dense: nn.MultiheadAttention,
        inputs: Sequence[nn.Module],
        counts: Sequence[int],
        out_proj: nn.Module,
        workers: int | None = None,
    ):
        super().__init__()
        for name in _FACTS:
            setattr(self, name, getattr(dense, name))
        for name in _BIASES:
            self.register_parameter(name, bias_of(dense, name))
        self.inputs = nn.ModuleList(inputs)
        self.counts = tuple(counts)
        self.out_proj = out_proj
        self.workers = workers

    @property
    def in_proj_weight(self) -> torch.Tensor | None:
        """The weights of all input projections as a dense tensor; None if their widths differ."""
        if not self._qkv_same_embed_dim:
            return None
        weights: list[Any] = [layer.weight for layer in self.inputs]
        return torch.cat(weights)

    def weights(self) -> tuple[Csr | None, ...]:
        """Return the weights in the order of the family's names; None for a dense one."""
        *inputs, out = [
            layer.weights()[0] if isinstance(layer, _SPARSE) else None
            for layer in (*self.inputs, self.out_proj)
        ]
        if self._qkv_same_embed_dim:
            parts = [csr for csr in inputs if csr is not None]
            return joined(parts) if parts else None, out
        return (*inputs, out)

    def describe(self) -> tuple[str, str]:
        """Return the patterns of the packed weights, and their kernels."""
        layers = [*self.inputs, self.out_proj]
        facts = [layer.describe() for layer in layers if isinstance(layer, _SPARSE)]
        if len(facts) < len(layers):
            facts.append(("", "dense"))
        patterns, kernels = (dict.fromkeys(filter(None, each)) for each in zip(*facts, strict=True))
        return " / ".join(patterns), " / ".join(kernels)

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what `torch.nn.MultiheadAttention` returns for these arguments."""
        result, weights = self.attend(
            query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights,
            is_causal,
        )  # fmt: skip
        return _linear(self.out_proj, result, self.out_proj.bias), weights

    def attend(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        key_padding_mask: torch.Tensor | None = None,
        need_weights: bool = True,
        attn_mask: torch.Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return what `forward` returns, before the projection of the result."""
        if query.is_nested or key.is_nested or value.is_nested:
            raise TypeError(
                "query, key and value must not be nested tensors, which a torch.nn."
                "TransformerEncoder makes if its use_nested_tensor is True"
            )
        self._check(query, key, value)
        batched = query.dim() == 3
        q, k, v = (self._heads(x, batched) for x in self.project((query, key, value)))
        mask = self._mask(q, k, key_padding_mask, attn_mask, is_causal, need_weights)
        causal = is_causal and mask is None
        k, v, mask = self._extended(k, v, mask)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            result, weights = _attention(q, k, v, mask, dropout)
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights.squeeze(0)
        else:
            result = self._attend(q, k, v, mask, causal, dropout)
        if not batched:
            result = result.squeeze(0).transpose(0, 1)
        elif self.batch_first:
            result = result.transpose(1, 2)
        else:
            result = result.permute(2, 0, 1, 3)
        return result.flatten(-2), weights

    def project(self, sources: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return the queries, keys and values of three tensors, of which some may be the same.

        The same tensor is multiplied once by a projection.
        """
        found: list[torch.Tensor] = []
        for layer, count in zip(self.inputs, self.counts, strict=True):
            first = len(found)
            bias = self.in_proj_bias
            if bias is not None and count < 3:
                bias = bias.narrow(0, first * self.embed_dim, count * self.embed_dim)
            mine = sources[first : first + count]
            found += _projected(layer, mine, bias, self.embed_dim)
        return found

    def _attend(self, q, k, v, mask, causal, dropout):
        """Return the result of all heads, a view of what has the heads of a query side by side."""
        plain = is_plain(q, k, v, mask) and type(k) is type(v) is torch.Tensor
        rows, cols = q.shape[2], k.shape[2]
        # A trace must not depend on sizes.
        own = plain and not dropout and q.dtype in _OWN and (rows == cols or not causal)
        if not own or q.shape[0] * q.shape[1] * rows * cols < _MIN_SCORES:
            return F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
        # A mask that leaves out nothing makes a dense product: this kernel takes 0.6 times as long
        # as PyTorch's for float32 (12 heads of 64, 128 and 384 tokens).
        shape = q.shape[0], rows, *q.shape[1::2]
        result = torch.from_numpy(spkernels.empty(shape, q.numpy().dtype)).transpose(1, 2)
        spkernels.sparse_attention(
            q.numpy(), k.numpy(), v.numpy(), _pattern(rows, cols, causal),
            bias=None if mask is None else array_of(mask), out=result.numpy(), workers=self.workers,
        )  # fmt: skip
        return result

    def _check(self, query, key, value):
        if query.dim() not in (2, 3):
            raise ValueError(
                f"query must have two dimensions, or three with a batch, got {tuple(query.shape)}"
            )
        for name, tensor, width in (
            ("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)
        ):  # fmt: skip
            if tensor.dim() != query.dim() or tensor.shape[-1] != width:
                lead = "..., " * (query.dim() - 1)
                raise ValueError(
                    f"{name} must have shape ({lead}{width}), got {tuple(tensor.shape)}"
                )
        if key.shape[:-1] != value.shape[:-1]:
            raise ValueError(
                f"value must have the leading dimensions {tuple(key.shape[:-1])} of key, got shape "
                f"{tuple(value.shape)}"
            )
        batch = 0 if self.batch_first else 1
        if query.dim() == 3 and query.shape[batch] != key.shape[batch]:
            raise ValueError(
                f"key must have the batch of query, {query.shape[batch]}, got shape "
                f"{tuple(key.shape)}"
            )

    def _heads(self, x, batched):
        """Return the heads of a projection, as a view of shape (batch, heads, length, width)."""
        x = x.unflatten(-1, (self.num_heads, self.head_dim))
        if not batched:
            return x.transpose(0, 1).unsqueeze(0)
        return x.transpose(1, 2) if self.batch_first else x.permute(1, 2, 0, 3)

    def _mask(self, q, k, key_padding_mask, attn_mask, is_causal, need_weights):
        """Return what is added to the scores, of a shape that broadcasts, or None."""
        if is_causal and attn_mask is None:
            raise ValueError("attn_mask must be given if is_causal says that it is causal")
        if is_causal and key_padding_mask is None and not need_weights:
            return None
        (batch, heads, rows), cols = q.shape[:3], k.shape[2]
        mask = None
        if attn_mask is not None:
            shape = (rows, cols) if attn_mask.dim() == 2 else (batch * heads, rows, cols)
            if attn_mask.shape != shape:
                raise ValueError(f"attn_mask must have shape {shape}, got {tuple(attn_mask.shape)}")
            mask = _added("attn_mask", attn_mask, q.dtype)
            if mask.dim() == 3:
                mask = mask.view(batch, heads, rows, cols)
        if key_padding_mask is not None:
            if key_padding_mask.shape not in ((batch, cols), (cols,) * (batch == 1)):
                raise ValueError(
                    f"key_padding_mask must have shape {(batch, cols)}, got "
                    f"{tuple(key_padding_mask.shape)}"
                )
            padding = _added("key_padding_mask", key_padding_mask, q.dtype)
            padding = padding.view(batch, 1, 1, cols)
            mask = padding if mask is None else mask + padding
        return mask

    def _extended(self, k, v, mask):
        """Return keys, values and mask with those that `bias_k` and `add_zero_attn` append."""
        batch, heads, cols, width = k.shape
        if self.bias_k is not None and self.bias_v is not None:
            shape = (1, heads, 1, width)
            k = torch.cat([k, self.bias_k.view(shape).expand(batch, -1, -1, -1)], 2)
            v = torch.cat([v, self.bias_v.view(shape).expand(batch, -1, -1, -1)], 2)
        if self.add_zero_attn:
            zeros = k.new_zeros(batch, heads, 1, width)
            k, v = torch.cat([k, zeros], 2), torch.cat([v, zeros], 2)
        if mask is not None and k.shape[2] > cols:
            mask = F.pad(mask, (0, k.shape[2] - cols))
        return k, v, mask

    def extra_repr(self) -> str:
        """Return the facts that ``print(model)`` shows."""
        return (
            f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, "
            f"batch_first={self.batch_first}"
        )


_FACTS = ("embed_dim", "kdim", "vdim", "_qkv_same_embed_dim", "num_heads", "head_dim", "dropout",
          "batch_first", "add_zero_attn")  # fmt: skip
_BIASES = ("in_proj_bias", "bias_k", "bias_v")
_SPARSE = (SparseLinear, SparseInt8Linear)


#: The dtypes of which `spkernels.sparse_attention` has kernels.
_OWN = (torch.float32, torch.float64)
#: For fewer scores PyTorch's function is faster, which takes 10 microseconds less to call.
_MIN_SCORES = 4096


@lru_cache(maxsize=64)
def _pattern(rows, cols, causal):
    """Return a mask that is inspected once: of all keys, or of those that are not later."""
    return masks.causal(rows) if causal else masks.full(rows, cols)


def _added(name, mask, dtype):
    """Return what a mask adds to scores: -infinity where it is True."""
    if mask.dtype is torch.bool:
        return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask, -math.inf)
    if not mask.is_floating_point():
        raise TypeError(f"{name} must hold booleans or floats, got {mask.dtype}")
    return mask.to(dtype)


def _attention(q, k, v, mask, dropout):
    """Return the result and the weights of attention, by PyTorch's formula."""
    scores = (q * math.sqrt(1 / q.shape[-1])) @ k.mT
    weights = F.softmax(scores if mask is None else scores + mask, -1)
    if dropout:
        weights = F.dropout(weights, dropout)
    return weights @ v, weights


def _linear(layer, x, bias):
    if isinstance(layer, _SPARSE):
        return layer.product(x, bias)
    return F.linear(x, layer.weight, bias)


def _projected(layer, sources, bias, width):
    """Return a part of the layer's result for each source, which is computed once for each."""
    first = sources[0]
    if all(source is first for source in sources):
        return _linear(layer, first, bias).split(width, -1)
    parts = []
    for place, source in enumerate(sources):
        rows = slice(place * width, (place + 1) * width)
        if isinstance(layer, _SPARSE):
            # Rows of a packed weight are not multiplied alone.
            parts.append(_linear(layer, source, bias)[..., rows])
        else:
            added = None if bias is None else bias[rows]
            parts.append(F.linear(source, layer.weight[rows], added))
    return parts


def _names(module):
    if module._qkv_same_embed_dim:
        return ("in_proj_weight", "out_proj.weight")
    return ("q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight")


def _refuse(module):
    return None


def _make(module, weights, activation, options: Options):
    return _made(module, weights, (3,), options)


def _made(module, weights, counts, options, ranges=(None,) * 4):
    """Return the module with the weights given sparse, and those dense for which None is given.

    If queries, keys and values have one weight, it is divided by `counts`.  Weights are of int8
    where there are ranges: those of the query, of the key, of the value and of the result.
    """
    *inputs, out = weights
    names = _names(module)
    if not module._qkv_same_embed_dim:
        counts = (1, 1, 1)
    elif inputs[0] is None:
        counts = (3,)
    elif len(counts) > 1:
        ends = [sum(counts[: place + 1]) * module.embed_dim for place in range(len(counts))]
        inputs = [rows_of(inputs[0], *pair) for pair in zip([0, *ends], ends, strict=False)]
    layers, first = [], 0
    for place, (csr, count) in enumerate(zip(inputs, counts, strict=True)):
        mine = ranges[first : first + count]
        first += count
        if csr is None:
            layers.append(_dense(module, names[place]))
        else:
            layers.append(_sparse(csr, None, options, None if None in mine else union(*mine)))
    out_proj = module.out_proj
    if out is not None:
        out_proj = _sparse(out, bias_of(module, "out_proj.bias"), options, ranges[3])
    return SparseMultiheadAttention(module, layers, counts, out_proj, options.workers)


def _sparse(csr, bias, options, inputs):
    if inputs is not None:
        return SparseInt8Linear(csr, bias, *step_of(*inputs), None, options.workers)
    return SparseLinear.of(csr, bias, None, options.workers, options.pattern, trained=False)


def _dense(module, name):
    """Return a layer without a bias that shares a weight of the module."""
    weight = getattr(module, name)
    layer = nn.utils.skip_init(
        nn.Linear, weight.shape[1], weight.shape[0], bias=False, device=weight.device
    )
    # A weight with a mask of pruning is no parameter of the module.
    layer.weight = weight if isinstance(weight, nn.Parameter) else nn.Parameter(weight.detach())
    return layer


def _make_for(module, weights, calls: Sequence[Call], min_speedup, options: Options):
    """Return the module with those weights sparse that are faster so; all of them if none is."""
    return _fastest(module, weights, calls, min_speedup, options, None)


def _make_int8(module, weights, calls: Sequence[Call], min_speedup, activation, options: Options):
    """Return the module with each weight in the fastest of its forms, of which one is of int8."""
    check_float32("in_proj_bias", module.in_proj_bias)
    check_float32("out_proj.bias", module.out_proj.bias)
    ranges = ranges_over(call.ranges for call in calls)
    return _fastest(module, weights, calls, min_speedup, options, ranges)


def _fastest(module, weights, calls, min_speedup, options, ranges):
    """Return the module with each weight in the fastest of its forms, dense ones included.

    All are in the last of the forms if no form is faster than the dense one.
    """
    sources = [_sources(call) for call in calls]
    counts = _counts(sources)
    made = partial(_made, module, counts=counts, options=options)
    forms = [made([None] * len(weights)).eval(), made(weights).eval()]
    if ranges is not None:
        forms.append(made(weights, ranges=ranges).eval())
    modules = [part for form in forms[1:] for part in form.modules()]
    outputs = [three[0].new_zeros((*three[0].shape[:-1], module.embed_dim)) for three in sources]
    if module._qkv_same_embed_dim:
        choices = [([form.project for form in forms], sources)]
    else:
        choices = [
            ([partial(_linear, form.inputs[place], bias=None) for form in forms],
             [three[place] for three in sources])
            for place in range(3)
        ]  # fmt: skip
    bias = module.out_proj.bias
    choices.append(([partial(_linear, form.out_proj, bias=bias) for form in forms], outputs))
    best = [_best(*choice, modules, calls, min_speedup) for choice in choices]
    if not any(best):
        return forms[-1]
    if len(set(best)) == 1:
        return forms[best[0]]
    kept = [csr if place else None for csr, place in zip(weights, best, strict=True)]
    *inputs, out = best
    places = [*(inputs * 3 if len(inputs) == 1 else inputs), out]
    bounds = [pair if place == 2 else None
              for pair, place in zip(ranges or [None] * 4, places, strict=True)]  # fmt: skip
    return made(kept, ranges=bounds)


def _observe(module):
    """Return a function that returns what the projections multiply."""
    dense = _made(module, [None] * len(_names(module)), (3,), Options()).eval()

    def observed(*args, **kwargs):
        return *_sources(Call(args, kwargs)), dense.attend(*args, **kwargs)[0]

    return observed


def _sources(call):
    """Return the query, the key and the value of a call."""
    names = ("query", "key", "value")
    known = {**dict(zip(names, call.args, strict=False)), **call.kwargs}
    return [known[name] for name in names]


def _counts(sources):
    """Return how to divide the input projections, so that no call multiplies what it drops."""
    if all(query is key is value for query, key, value in sources):
        return (3,)
    return (1, 2) if all(key is value for _, key, value in sources) else (1, 1, 1)


def _best(functions, inputs, modules, calls, min_speedup):
    """Return the place of the fastest of some functions, of which the first one is dense."""
    parts = [
        (times_of([partial(function, x) for function in functions], modules), call.count)
        for x, call in zip(inputs, calls, strict=True)
    ]
    dense, *sparse = total(parts).seconds
    return 1 + sparse.index(min(sparse)) if dense >= min_speedup * min(sparse) else 0


def _example(module, batch):
    """Return the arguments of self-attention of one sequence whose length is the batch."""
    shape = (1, batch) if module.batch_first else (batch, 1)
    like = module.out_proj.weight

    def drawn(width):
        return torch.randn(*shape, width, device=like.device).to(like.dtype)

    query = drawn(module.embed_dim)
    if module._qkv_same_embed_dim:
        return query, query, query
    return query, drawn(module.kdim), drawn(module.vdim)


ATTENTION = Family(
    (nn.MultiheadAttention,), _names, lambda module: (*_BIASES, "out_proj.bias"), _refuse, _make,
    _example, make_int8=_make_int8, observe=_observe, make_for=_make_for,
)  # fmt: skip
