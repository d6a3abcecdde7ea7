"""Attention with sparse projections, layers of transformers, and the operator of sparse masks."""

import copy
import io
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed.")
from torch import nn  # noqa: E402
from torch.nn.utils import prune  # noqa: E402
from torch_models import bits, same_bits  # noqa: E402

import spkernels.torch as spt  # noqa: E402
from spkernels.torch._measure import Times  # noqa: E402
from spkernels.torch._modules import FAMILIES, Options  # noqa: E402
from spkernels.torch._modules import attention as attention_module  # noqa: E402
from spkernels.torch._record import Call  # noqa: E402
from spkernels.torch._weights import csr_of, read_weight  # noqa: E402

#: Every module is replaced, as no test may depend on times.
ALL = {"min_speedup": 1e-9}
E, HEADS = 24, 4


def prune_(module, name, amount=0.7):
    prune.l1_unstructured(module, name, amount=amount)
    prune.remove(module, name)


def pruned_attention(amount=0.7, **options):
    torch.manual_seed(1)
    attention = nn.MultiheadAttention(E, HEADS, **options).eval()
    for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
        if getattr(attention, name) is not None:
            prune_(attention, name, amount)
    prune_(attention.out_proj, "weight", amount)
    for bias in (attention.in_proj_bias, attention.out_proj.bias):
        if bias is not None:
            nn.init.normal_(bias)
    return attention


def check(found, expected, dtype=torch.float32):
    """Check a result against one in float64, and that both have the same shape."""
    assert found.dtype is dtype and found.shape == expected.shape
    bound = 40 * torch.finfo(dtype).eps * max(1.0, expected.abs().max())
    assert (found.double() - expected).abs().max() <= bound


def doubled(values):
    """Return arguments whose floats are float64; what is the same tensor stays one."""
    seen = {}

    def one(value):
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        return seen.setdefault(id(value), value.double())

    if isinstance(values, dict):
        return {name: one(value) for name, value in values.items()}
    return [one(value) for value in values]


class Holder(nn.Module):
    """Calls the attention with what it is given, as `sparsify_` needs a parent."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, *args, **kwargs):
        return self.attention(*args, **kwargs)


def tensors(batch, rows, cols, attention, kind):
    """Return query, key and value; of the same objects if `kind` says so."""
    def made(length, width):
        shape = (length, width)
        if batch is not None:
            shape = (batch, *shape) if attention.batch_first else (length, batch, width)
        return torch.randn(shape)

    query = made(rows, E)
    if kind == "self":
        return query, query, query
    key = made(cols, attention.kdim)
    return query, key, key if kind == "memory" else made(cols, attention.vdim)


@pytest.mark.parametrize("kind", ["self", "memory"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mask", [None, "causal", "bool", "trained", "padding"])
def test_long_sequences(monkeypatch, kind, dtype, mask):
    calls = []
    own = attention_module.spkernels.sparse_attention
    monkeypatch.setattr(
        attention_module.spkernels, "sparse_attention",
        lambda *args, **options: (calls.append(1), own(*args, **options))[1],
    )  # fmt: skip
    attention = pruned_attention(batch_first=True).to(dtype)
    args = [x.to(dtype) for x in tensors(2, 40, 50, attention, kind)]
    args = [args[0]] * 3 if kind == "self" else [args[0], args[1], args[1]]
    rows, cols = args[0].shape[1], args[1].shape[1]
    options = {"need_weights": False}
    if mask == "padding":
        options["key_padding_mask"] = torch.arange(cols) > torch.tensor([20, cols])[:, None]
    elif mask == "trained":
        options["attn_mask"] = torch.randn(rows, cols, dtype=dtype, requires_grad=True)
    elif mask is not None:
        hidden = torch.rand(rows, cols) < 0.5 if mask == "bool" else torch.ones(rows, cols).triu(1)
        hidden[:, 0] = 0
        options |= {"attn_mask": hidden.bool(), "is_causal": mask == "causal"}
    holder, reference = Holder(attention), copy.deepcopy(attention).double()
    report = spt.sparsify_(holder, example_inputs=tuple(args), **ALL)
    assert report.layers[0].replaced
    if kind == "memory":
        options.pop("is_causal", None)  # PyTorch's own paths differ where rows and columns do
    calls.clear()
    with torch.no_grad():
        found = holder(*args, **options)[0]
        expected = reference(*doubled(args), **doubled(options))[0]
    assert bool(calls) == (dtype is not torch.bfloat16)
    check(found, expected, dtype)


@given(
    batch=st.sampled_from([None, 1, 3]), batch_first=st.booleans(), bias=st.booleans(),
    rows=st.integers(1, 6), cols=st.integers(1, 6), kind=st.sampled_from(["self", "memory", "all"]),
    widths=st.sampled_from([None, (24, 10), (7, 24), (7, 10)]), bias_kv=st.booleans(),
    zero=st.booleans(), weights=st.booleans(), average=st.booleans(),
    mask=st.sampled_from([None, "bool", "float", "bool 3-D", "float 3-D", "causal"]),
    padding=st.sampled_from([None, "bool", "float"]), seed=st.integers(0, 2**20),
    seen_kind=st.sampled_from([None, "self", "memory", "all"]),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
def test_attention_is_that_of_pytorch(batch, batch_first, bias, rows, cols, kind, widths, bias_kv,
                                      zero, weights, average, mask, padding, seed,
                                      seen_kind):  # fmt: skip
    kdim, vdim = widths if widths and kind == "all" else (None, None)
    attention = pruned_attention(
        bias=bias, batch_first=batch_first, add_bias_kv=bias_kv, add_zero_attn=zero, kdim=kdim,
        vdim=vdim,
    )  # fmt: skip
    torch.manual_seed(seed)
    cols = rows if kind == "self" or mask == "causal" else cols
    seen_kind = None if kdim or (seen_kind == "self" and rows != cols) else seen_kind
    args = tensors(batch, rows, cols, attention, kind)
    options = {"need_weights": weights, "average_attn_weights": average}
    count = 1 if batch is None else batch
    if mask is not None:
        shape = (count * HEADS, rows, cols) if mask.endswith("3-D") else (rows, cols)
        if mask == "causal":
            options["attn_mask"] = torch.ones(shape).triu(1).bool()
            options["is_causal"] = True
        elif mask.startswith("bool"):
            options["attn_mask"] = torch.rand(shape) < 0.3
            options["attn_mask"][..., 0] = False  # PyTorch's paths differ where all is masked
        else:
            options["attn_mask"] = torch.randn(shape)
    if padding is not None:
        hidden = torch.rand(() if batch is None else (batch,))[..., None] * cols
        found = torch.arange(cols) > hidden
        options["key_padding_mask"] = found
        if padding == "float":
            options["key_padding_mask"] = torch.zeros(found.shape).masked_fill_(found, -3.0)
    family = FAMILIES[nn.MultiheadAttention]
    csrs = [csr_of(read_weight(attention, name)) for name in family.weights(attention)]
    found_in = tensors(batch, rows, cols, attention, seen_kind) if seen_kind else args
    sparse = family.make_for(attention, csrs, [Call(tuple(found_in))], 1e-9, Options()).eval()
    reference = copy.deepcopy(attention).double()
    with torch.no_grad():
        expected = reference(*doubled(args), **doubled(options))
    for grad in (torch.no_grad, torch.no_grad, torch.enable_grad):  # the second call packs
        with grad():
            found = sparse(*args, **options)
        check(found[0], expected[0])
        assert (found[1] is None) == (expected[1] is None)
        if found[1] is not None:
            check(found[1], expected[1])


def layer_inputs():
    x, memory = torch.randn(2, 5, E), torch.randn(2, 3, E)
    return {"self": (x, x, x), "memory": (x, memory, memory)}


@pytest.mark.parametrize("kind", ["self", "memory"])
def test_attention_is_replaced_copied_saved_compiled_and_exported(kind):
    holder = Holder(pruned_attention(batch_first=True))
    args = layer_inputs()[kind]
    expected, before = holder(*args)[0], bits(holder)
    report = spt.sparsify_(holder, example_inputs=args, **ALL)
    assert [layer.name for layer in report.layers if layer.replaced] == ["attention"]
    assert len(report.layers) == 1
    assert holder.attention.counts == {"self": (3,), "memory": (1, 2)}[kind]
    torch.testing.assert_close(holder(*args)[0], expected)
    stored = io.BytesIO()
    torch.save(holder, stored)
    stored.seek(0)
    copies = [copy.deepcopy(holder), torch.load(stored, weights_only=False)]
    for made in [*copies, torch.compile(holder, fullgraph=True, backend="aot_eager"),
                 torch.export.export(holder, args).module()]:  # fmt: skip
        torch.testing.assert_close(made(*args)[0], expected)
    for made in [holder, *copies]:
        assert same_bits(spt.densify_(made), before)
        torch.testing.assert_close(made(*args)[0], expected)


@pytest.mark.parametrize("faster", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("masked", [False, True])
def test_each_weight_is_sparse_where_that_is_faster(monkeypatch, faster, masked):
    pairs = [(1.0, 0.5) if one else (1e-12, 1.0) for one in faster]
    answers = iter([Times(pair, pair) for pair in pairs])
    monkeypatch.setattr(attention_module, "times_of", lambda *_: next(answers))
    attention = pruned_attention()
    if masked:
        prune.random_unstructured(attention, "in_proj_weight", amount=0.5)
        prune.random_unstructured(attention.out_proj, "weight", amount=0.5)
    holder, x = Holder(attention), torch.randn(5, 2, E)
    expected, before = holder(x, x, x)[0], bits(holder)
    spt.sparsify_(holder, example_inputs=(x, x, x), **ALL)
    sparse = holder.attention
    kinds = [isinstance(layer, spt.SparseLinear) for layer in (sparse.inputs[0], sparse.out_proj)]
    assert kinds == (list(faster) if any(faster) else [True, True])
    torch.testing.assert_close(holder(x, x, x)[0], expected)
    assert spt.sparsify_(holder, example_inputs=(x, x, x), **ALL).layers == ()
    assert holder.attention is sparse
    sparse.in_proj_bias.data += 1  # parameters are those of the dense module
    after = holder(x, x, x)[0]
    spt.densify_(holder)
    torch.testing.assert_close(holder(x, x, x)[0], after)
    holder.attention.in_proj_bias.data -= 1
    found = bits(holder)
    assert found.pop("attention.in_proj_bias").shape == before.pop("attention.in_proj_bias").shape
    assert all(torch.equal(found[name], before[name]) for name in before)


def test_gradients_reach_inputs_and_biases():
    attention = pruned_attention(add_bias_kv=True)
    sparse_holder, dense = Holder(attention), Holder(copy.deepcopy(attention))
    args = torch.randn(4, 2, E), torch.randn(3, 2, E), torch.randn(3, 2, E)
    spt.sparsify_(sparse_holder, example_inputs=args, **ALL)
    found = []
    for holder in (sparse_holder, dense):
        inputs = [arg.clone().requires_grad_() for arg in args]
        holder(*inputs, need_weights=False)[0].square().sum().backward()
        module = holder.attention
        found.append([*(x.grad for x in inputs), module.in_proj_bias.grad, module.bias_k.grad,
                      module.out_proj.bias.grad])  # fmt: skip
    torch.testing.assert_close(*found)


def test_dropout_is_that_of_training():
    attention = pruned_attention(dropout=0.5)
    holder, x = Holder(attention), torch.randn(6, 1, E)
    spt.sparsify_(holder, example_inputs=(x, x, x), **ALL)
    holder.train()
    for weights in (True, False):
        first, second = (holder(x, x, x, need_weights=weights)[0] for _ in range(2))
        assert not torch.equal(first, second)
    dropped = holder(x, x, x, average_attn_weights=False)[1]
    assert 0.2 < (dropped == 0).float().mean() < 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"query": torch.ones(5, 2, 3)}, r"query must have shape \(..., ..., 24\), got \(5,"),
        ({"value": torch.ones(4, 2, E)}, r"value must have the leading dimensions \(5, 2\)"),
        ({"attn_mask": torch.ones(2, 5)}, r"attn_mask must have shape \(5, 5\), got \(2, 5\)"),
        ({"key_padding_mask": torch.ones(2, 4)}, r"key_padding_mask must have shape \(2, 5\)"),
        ({"is_causal": True}, "attn_mask must be given"),
        ({"query": torch.ones(1, 5, 2, E)}, "query must have two dimensions, or three with"),
        ({"key": torch.ones(5, E)}, r"key must have shape \(..., ..., 24\), got \(5, 24\)"),
        ({"key": torch.ones(5, 3, E), "value": torch.ones(5, 3, E)}, "the batch of query, 2, got"),
        ({"attn_mask": torch.ones(5, 5, dtype=torch.int32)}, "attn_mask must hold booleans or"),
    ],
)
def test_errors_name_the_argument(change, words):
    holder, x = Holder(pruned_attention()), torch.randn(5, 2, E)
    spt.sparsify_(holder, example_inputs=(x, x, x), **ALL)
    with pytest.raises((TypeError, ValueError), match=words):
        holder(**{"query": x, "key": x, "value": x, **change})


def test_nested_tensors_are_refused():
    holder, x = Holder(pruned_attention(batch_first=True)), torch.randn(2, 5, E)
    spt.sparsify_(holder, example_inputs=(x, x, x), **ALL)
    nested = torch.nested.nested_tensor([x[0], x[1, :3]])
    with pytest.raises(TypeError, match="must not be nested"):
        holder(nested, nested, nested)


def test_batch_sizes_stand_for_lengths():
    for options in ({}, {"batch_first": True}, {"kdim": 7, "vdim": 5}):
        holder = Holder(pruned_attention(**options))
        report = spt.sparsify_(holder, example_inputs=[1, 4], **ALL)
        assert report.layers[0].replaced and report.layers[0].calls == 2


def test_tied_projections_stay_dense():
    attention = pruned_attention()
    model = nn.ModuleList([attention, nn.Linear(E, E)])
    model[1].weight = attention.out_proj.weight
    reasons = {layer.name: layer.reason for layer in spt.sparsify_(model, **ALL).layers}
    assert reasons == {
        "0": "its weight is tied to that of 1", "1": "its weight is tied to that of 0.out_proj"
    }  # fmt: skip
