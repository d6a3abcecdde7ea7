"""The operator ``sparse_attention``: attention of queries to the keys that a mask names."""

from __future__ import annotations

import math

import torch

import spkernels

from .._library import register
from .._packed import array_of, mask_of
from .._threads import threads_of
from .checks import check_dense, check_structure
from .sddmm import sddmm
from .spmm import spmm

__all__ = ["sparse_attention"]

_SCHEMA = (
    "sparse_attention(Tensor q, Tensor k, Tensor v, Tensor columns, Tensor offsets, "
    "Tensor? bias=None, float? scale=None, int? workers=None) -> Tensor"
)


def _lead(q, k, v, columns, offsets, bias):
    """Check the arguments, and return the leading dimensions of the result."""
    check_structure(columns, offsets)
    for name, tensor in (("q", q), ("k", k), ("v", v), ("bias", bias)):
        if tensor is not None:
            check_dense(name, tensor, q.dtype)
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if tensor.dim() < 2:
            raise ValueError(f"{name} must have shape (..., n, d), got {tuple(tensor.shape)}")
    rows = offsets.shape[0] - 1
    if q.shape[-2] != rows:
        raise ValueError(f"q must have shape (..., {rows}, d), got {tuple(q.shape)}")
    if k.shape[-1] != q.shape[-1]:
        raise ValueError(f"k must have shape (..., m, {q.shape[-1]}), got {tuple(k.shape)}")
    if v.shape[-2] != k.shape[-2]:
        raise ValueError(f"v must have shape (..., {k.shape[-2]}, d), got {tuple(v.shape)}")
    lead = q.shape[:-2]
    for name, tensor in (("k", k), ("v", v)):
        theirs = tensor.shape[:-2]
        if _shares(theirs, lead) > 1:
            theirs = (*theirs[:-1], lead[-1])
        try:
            lead = torch.broadcast_shapes(lead, theirs)
        except RuntimeError:
            raise ValueError(
                f"{name} must have leading dimensions that broadcast with {tuple(lead)}, or a "
                f"number of heads that divides q's, got shape {tuple(tensor.shape)}"
            ) from None
    if bias is not None:
        shape = (*lead, rows, k.shape[-2])
        try:
            fits = torch.broadcast_shapes(bias.shape, shape) == torch.Size(shape)
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(f"bias must broadcast to {tuple(shape)}, got {tuple(bias.shape)}")
    return lead


def _shares(few, many):
    """Return how many heads of `many` share one of `few`; 1 if they only broadcast."""
    if not few or not many or not 1 < few[-1] < many[-1] or many[-1] % few[-1]:
        return 1
    return many[-1] // few[-1]


def _compute(q, k, v, columns, offsets, bias=None, scale=None, workers=None):
    _lead(q, k, v, columns, offsets, bias)
    mask = mask_of(columns, offsets, k.shape[-2])
    added = None if bias is None else array_of(bias)
    workers = threads_of(workers)
    result = spkernels.sparse_attention(
        array_of(q), array_of(k), array_of(v), mask, scale=scale, bias=added, workers=workers
    )
    return torch.from_numpy(result).to(q.dtype)


def _fake(q, k, v, columns, offsets, bias=None, scale=None, workers=None):
    lead = _lead(q, k, v, columns, offsets, bias)
    return q.new_empty((*lead, q.shape[-2], v.shape[-1]))


def _setup_context(ctx, inputs, output):
    q, k, v, columns, offsets, bias, scale, workers = inputs
    ctx.save_for_backward(q, k, v, columns, offsets, bias)
    ctx.save_for_forward(q, k, v, columns, offsets, bias)
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    ctx.scale, ctx.workers, ctx.lead = scale, workers, output.shape[:-2]


def _backward(ctx, gradient):
    q, k, v, columns, offsets, bias = ctx.saved_tensors
    lead = ctx.lead
    mask = _Mask(columns, offsets, k.shape[-2], ctx.workers)
    made = [
        _head_backward(mask, ctx.scale, *head)
        for head in zip(*_heads((q, k, v, gradient), lead), _biases(bias, q, k, lead), strict=True)
    ]
    results = [None, None, None, None]
    for place, tensor in enumerate((q, k, v, bias)):
        if tensor is None:
            continue
        if made:
            parts = torch.stack([gradients[place] for gradients in made])
            by = _summed(parts.reshape(*lead, *parts.shape[1:]), tensor.shape)
            results[place] = by.to(tensor.dtype)
        else:  # there is no head
            results[place] = torch.zeros_like(tensor)
    by_q, by_k, by_v, by_bias = results
    return by_q, by_k, by_v, None, None, by_bias, None, None


class _Mask:
    """The entries of a mask, and the products of a head with them; all are differentiable."""

    def __init__(self, columns, offsets, width, workers):
        self.structure = columns, offsets
        self.width, self.workers = width, workers
        self.rows = torch.repeat_interleave(offsets.diff().long(), output_size=columns.shape[0])
        self.entries = self.rows, columns.long()

    def sampled(self, x, y):
        """Return ``x @ y.T`` at the entries."""
        return sddmm(*self.structure, x, y.mT, self.workers)

    def times(self, values, x, transpose=False):
        """Return the product of the matrix of the values, or of its transpose, and `x`."""
        return spmm(values, *self.structure, self.width, x, transpose, self.workers)

    def summed(self, values):
        """Return the sum of the values of each row, at every entry of the row."""
        count = self.structure[1].shape[0] - 1
        return values.new_zeros(count).index_add(0, self.rows, values)[self.rows]

    def softmax(self, scores):
        """Return the softmax of each row; zeros for a row whose scores are all -infinity."""
        count = self.structure[1].shape[0] - 1
        largest = scores.detach().new_full((count,), -math.inf)
        largest = largest.scatter_reduce(0, self.rows, scores.detach(), "amax")
        largest = largest.masked_fill(largest == -math.inf, 0.0)
        powers = (scores - largest[self.rows]).exp()
        total = self.summed(powers)
        return powers / total.masked_fill(total == 0, 1.0)


def _weights(mask, scale, q, k, bias):
    scores = scale * mask.sampled(q, k)
    return mask.softmax(scores if bias is None else scores + bias[mask.entries])


def _head_backward(mask, scale, q, k, v, gradient, bias):
    """Return the gradients by the matrices of a head."""
    weights = _weights(mask, scale, q, k, bias)
    by_weights = mask.sampled(gradient, v)
    by_scores = weights * (by_weights - mask.summed(weights * by_weights))
    by_q = scale * mask.times(by_scores, k)
    by_k = scale * mask.times(by_scores, q, transpose=True)
    by_v = mask.times(weights, gradient, transpose=True)
    if bias is None:
        return by_q, by_k, by_v, None
    return by_q, by_k, by_v, torch.zeros_like(bias).index_put(mask.entries, by_scores)


def _jvp(ctx, d_q, d_k, d_v, _columns, _offsets, d_bias, _scale, _workers):
    q, k, v, columns, offsets, bias = ctx.saved_tensors
    lead = ctx.lead
    changes = [
        torch.zeros_like(tensor) if change is None else change
        for tensor, change in ((q, d_q), (k, d_k), (v, d_v))
    ]
    mask = _Mask(columns, offsets, k.shape[-2], ctx.workers)
    heads = _heads((q, k, v, *changes), lead)
    made = [
        _head_jvp(mask, ctx.scale, *head)
        for head in zip(*heads, _biases(bias, q, k, lead), _biases(d_bias, q, k, lead), strict=True)
    ]
    shape = (*lead, q.shape[-2], v.shape[-1])
    return torch.stack(made).reshape(shape).to(q.dtype) if made else q.new_zeros(shape)


def _head_jvp(mask, scale, q, k, v, d_q, d_k, d_v, bias, d_bias):
    """Return the change of the result of a head."""
    weights = _weights(mask, scale, q, k, bias)
    d_scores = scale * (mask.sampled(d_q, k) + mask.sampled(q, d_k))
    if d_bias is not None:
        d_scores = d_scores + d_bias[mask.entries]
    d_weights = weights * (d_scores - mask.summed(weights * d_scores))
    return mask.times(d_weights, v) + mask.times(weights, d_v)


def _heads(tensors, lead):
    """Return the matrices of all heads of the result, in one dimension, for each of the tensors."""
    found = []
    for tensor in tensors:
        share = _shares(tensor.shape[:-2], lead)
        if share > 1:
            tensor = tensor.repeat_interleave(share, -3)
        shape = tensor.shape[-2:]
        wide = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
        found.append(wide.expand(*lead, *shape).reshape(math.prod(lead), *shape))
    return found


def _biases(bias, q, k, lead):
    """Return the bias of each head, or None for each."""
    if bias is None:
        return [None] * math.prod(lead)
    return _heads([bias.expand(*lead, q.shape[-2], k.shape[-2])], lead)[0]


def _summed(gradient, shape):
    """Return the gradient by a tensor of this shape, which several heads may have shared."""
    share = _shares(shape[:-2], gradient.shape[:-2])
    if share > 1:
        gradient = gradient.unflatten(-3, (shape[-3], share)).sum(-3)
    return gradient.sum_to_size(shape)


sparse_attention = register(
    _SCHEMA, _compute, _fake, _setup_context, _backward, jvp=_jvp, autocast=True
)
