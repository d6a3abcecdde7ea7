"""spkernels.cuda.sparse_attention: against float64, and what the library is told."""

import math
import types

import numpy as np
import pytest
import scipy.sparse as sp
from arrays import Tensor

import spkernels.cuda
from spkernels import masks
from spkernels.cuda import _library

torch = pytest.importorskip("torch", reason="torch is not installed.")
pytestmark = pytest.mark.usefixtures("maker")

QUERIES, KEYS = 5, 7


@pytest.fixture
def told(monkeypatch):
    """A handle, and what the library was called with: attention is not carried out."""
    rng = np.random.default_rng(0)
    mask = sp.random(QUERIES, KEYS, 0.5, "csr", rng=rng)
    packed = types.SimpleNamespace(
        shape=mask.shape, dtype="float16", device=0, operations=("attention",)
    )
    calls = []

    def attend(pointer, task, stream):
        calls.append((task, stream))
        return _library.OK

    packed.library = types.SimpleNamespace(spk_cuda_attend=attend)
    packed.pointer = 1
    source = types.SimpleNamespace(
        packed=lambda transposed: packed, shape=mask.shape, dtype="float16", nnz=mask.nnz
    )
    return spkernels.cuda.CudaMatrix(source), calls


def halves(*shape):
    # From 16 bytes on, as the device's memory is.
    size = math.prod(shape)
    room = np.zeros(size + 8, np.float16)
    offset = -room.ctypes.data % 16 // 2
    return room[offset : offset + size].reshape(shape)


def test_what_the_library_is_told(told):
    mask, calls = told
    Q, K, V = halves(2, 6, QUERIES, 16), halves(2, KEYS, 16), halves(2, KEYS, 24)
    out, lse = mask.attend(Tensor(Q), Tensor(K), Tensor(V), return_lse=True, stream=3)
    assert out.array.shape == (2, 6, QUERIES, 24) and out.array.dtype == np.float16
    assert lse.array.shape == (2, 6, QUERIES) and lse.array.dtype == np.float32
    ((task, stream),) = calls
    assert stream == 3
    numbers = (task.dtype, task.batch, task.heads, task.kv_heads, task.d, task.dv, task.scale)
    assert numbers == (2, 2, 6, 2, 16, 24, 0.25)
    pointers = [array.ctypes.data for array in (Q, K, V, out.array, lse.array)]
    assert [task.Q, task.K, task.V, task.out, task.lse] == pointers
    rows = QUERIES * 16
    assert tuple(task.q_strides) == (6 * rows, rows, 16)
    assert tuple(task.k_strides) == (0, KEYS * 16, 16)  # the same for each batch
    assert tuple(task.v_strides) == (0, KEYS * 24, 24)
    assert tuple(task.out_strides) == (6 * QUERIES * 24, QUERIES * 24, 24)


def test_heads_that_lie_side_by_side(told):
    """As projections leave them: (batch, rows, heads, d)."""
    mask, calls = told
    Q, K = halves(QUERIES, 3, 8).transpose(1, 0, 2), halves(KEYS, 1, 8).transpose(1, 0, 2)
    into = halves(QUERIES, 3, 8).transpose(1, 0, 2)
    result = Tensor(into)
    assert mask.attend(Tensor(Q), Tensor(K), Tensor(K), out=result, scale=2) is result
    ((task, _),) = calls
    assert (task.batch, task.heads, task.kv_heads, task.scale) == (1, 3, 1, 2.0)
    assert tuple(task.q_strides) == tuple(task.out_strides) == (0, 8, 24)
    assert tuple(task.k_strides) == (0, 0, 8)
    assert task.out == into.ctypes.data and not task.lse


BAD = {
    "one dimension": ((halves(8), None, None), {}, "Q must have 2 to 4 dimensions"),
    "rows": ((halves(4, 8), None, None), {}, "Q must have 5 rows, as the mask of shape .* has qu"),
    "keys": (
        (None, halves(5, 8), None),
        {},
        "K must have 7 rows, as the mask of .* has keys",
    ),
    "width": ((halves(5, 12), None, None), {}, "Q must have rows of a multiple of 8 elements"),
    "d": ((None, halves(KEYS, 16), None), {}, "K must have rows of 8 elements as Q has"),
    "rows apart": (
        (halves(5, 9)[:, :8], None, None),
        {},
        "Q must have rows that are aligned",
    ),
    "columns": ((halves(8, 5).T, None, None), {}, "Q must have contiguous rows"),
    "heads": (
        (halves(3, 5, 8), halves(2, 7, 8), halves(2, 7, 8)),
        {},
        "K must have leading dimensions that broadcast with",
    ),
    "values": (
        (halves(4, 5, 8), halves(2, 7, 8), halves(4, 7, 8)),
        {},
        "V must have leading dimensions",
    ),
    "out": ((None, None, None), {"out": Tensor(halves(6, 8))}, "out must have shape"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(told, case):
    operands, options, text = BAD[case]
    usual = halves(QUERIES, 8), halves(KEYS, 8), halves(KEYS, 8)
    operands = [Tensor(u if o is None else o) for o, u in zip(operands, usual, strict=True)]
    with pytest.raises(ValueError, match=text):
        told[0].attend(*operands, **options)


def test_dtypes(told):
    mask, _ = told
    float32 = [Tensor(np.ones(size, np.float32)) for size in ((QUERIES, 8), (KEYS, 8), (KEYS, 8))]
    with pytest.raises(TypeError, match="Q must have dtype float16"):
        mask.attend(*float32)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_values(dtype):
    mask = masks.causal_window(70, 9) | masks.global_tokens(70, 2)
    generator = torch.Generator().manual_seed(0)
    kind = getattr(torch, dtype)
    Q = torch.randn(2, 4, 70, 16, generator=generator).to(kind)
    K, V = torch.randn(2, 2, 2, 70, 16, generator=generator).to(kind)
    W = spkernels.cuda.prepare(mask, dtype, op="attention")
    out, lse = spkernels.cuda.sparse_attention(Q, K, V, W, return_lse=True)
    allowed = torch.from_numpy(mask.toarray())
    K, V = (part.double().repeat_interleave(2, 1) for part in (K, V))
    scores = (Q.double() @ K.mT / 4).masked_fill(~allowed, -torch.inf)
    exact = scores.softmax(-1) @ V
    unit = 2.0**-11 if dtype == "float16" else 2.0**-8
    # Probabilities and the result are rounded to the dtype.
    bound = 4 * unit * (scores.softmax(-1) @ V.abs())
    assert ((out.double() - exact).abs() <= bound).all()
    assert ((lse.double() - scores.logsumexp(-1)).abs() <= 1e-4).all()
    again = spkernels.cuda.sparse_attention(Q, *_halved(K, V, kind), mask)
    assert torch.equal(again, out)


def _halved(*parts):
    *parts, kind = parts
    return [part[:, ::2].to(kind).contiguous() for part in parts]
