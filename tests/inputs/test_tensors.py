"""Tensors of torch in the place of arrays: the same memory, the same results, tensors back."""

import gc
import warnings
import weakref

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import EXTRA_OPERATIONS, assert_spmm, gamma, terms, to_float64
from strategies import (
    DTYPES,
    INDEX_DTYPES,
    LAYOUTS,
    NATIVE_FORMATS,
    random_dense,
    random_values,
    seeds,
    sparse,
    widths,
)
from verbs import arrays, blocks, whole_numbers

import spkernels
from spkernels import (
    _core,
    formats,
    kwinners,
    masked_softmax,
    masks,
    prepare,
    sddmm,
    sparse_attention,
    spmm,
    spmspm,
    spmspv,
)
from spkernels._inputs import tensors
from spkernels._inputs.foreign import as_sparse
from spkernels._inputs.foreign._torch import dense_of
from spkernels._prepare import matrix as matrix_module

torch = pytest.importorskip("torch", reason="torch is not installed: test_foreign.py stands in.")

SMALL = (torch.bfloat16, torch.float16)
#: Layouts of dense tensors, which have no negative strides.
TENSOR_LAYOUTS = [
    "C", "F", "rows apart", "every other row", "every other column", "columns apart",
]  # fmt: skip
A = whole_numbers()
W, W8, P = prepare(A, tune=False), prepare(A, dtype="int8"), prepare(A, op="sddmm")
NM, OPERATOR = formats.NMArray.from_scipy(A, 4, 4), spkernels.aslinearoperator(A)
MASK = masks.causal_window(6, 3)


def whole(*shape, seed=0):
    """Return whole numbers from -4 to 4, of which float16 and bfloat16 hold all."""
    values = np.random.default_rng(seed).integers(-4, 5, shape)
    return torch.from_numpy(values.astype(np.float32))


def laid_out(array, layout, dtype=None):
    """Copy a matrix or a vector to a tensor of some strides."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    rows, cols = array.shape if array.ndim == 2 else (array.size, 1)
    strides = LAYOUTS[layout](rows, cols)[: array.ndim]
    dtype = tensor.dtype if dtype is None else dtype
    return torch.empty_strided(array.shape, strides, dtype=dtype).copy_(tensor)


def csr_of(matrix, layout="csr", dtype=None):
    """Return a matrix as a sparse tensor."""
    dense = torch.from_numpy(matrix.toarray()).to(dtype)
    block = ((2, 2),) if layout in ("bsr", "bsc") else ()
    return getattr(dense, f"to_sparse_{layout}")(*block)


B, X, Y, V = whole(8, 5), whole(6, 3, seed=1), whole(3, 8, seed=2), whole(6, 3, seed=3)
HEADS = whole(2, 6, 4, seed=4)
BYTES = whole(8, 5).abs().to(torch.uint8)
VECTOR = torch.tensor([0.0, 2, 0, 0, 3, 0, 0, 1])
BIAS = whole(6, seed=5)

#: Every verb with dense operands, and these operands.
DENSE_VERBS = {
    "spmm": (lambda B: spmm(A, B), {"B": B}),
    "spmm, vector": (lambda B: spmm(A, B), {"B": VECTOR}),
    "spmm, on the right": (lambda A: spmm(A, globals()["A"]), {"A": X.T}),
    "spmm, bias": (
        lambda B, bias: spmm(A, B, bias=bias, activation="gelu", alpha=0.5, order="F"),
        {"B": B, "bias": BIAS[:, None]},
    ),
    "spmm, other format": (lambda B: spmm(A.todia(), B), {"B": B}),
    "spmm of prepared": (lambda B: spmm(W, B), {"B": B}),
    "prepared spmm": (
        lambda B, bias: W.spmm(B, bias=bias, activation="relu"), {"B": B, "bias": BIAS[:, None]},
    ),
    "W @ B": (lambda B: W @ B, {"B": B}),
    "W @ stack": (lambda B: W @ B, {"B": B.expand(3, 8, 5)}),
    "X @ W": (lambda X: X @ W, {"X": X.T}),
    "X.T @ W.T": (lambda X: X @ W.T, {"X": B.T}),
    "linear": (lambda X: W.linear(X), {"X": B.T.expand(2, 5, 8)}),
    "linear, bias": (
        lambda X, bias: W.linear(X, bias, activation="relu"), {"X": B.T, "bias": BIAS},
    ),
    "NM @ B": (lambda B: NM @ B, {"B": B}),
    "X @ NM": (lambda X: X @ NM, {"X": X.T}),
    "NM linear": (lambda X: NM.linear(X), {"X": B.T}),
    "operator @ B": (lambda B: OPERATOR @ B, {"B": B}),
    "X @ operator": (lambda X: X @ OPERATOR, {"X": X.T}),
    "sddmm of a stack": (lambda X, Y: sddmm(A, X, Y), {"X": X[None], "Y": Y}),
    "prepared sddmm of a stack": (lambda X, Y: P.sddmm(X, Y), {"X": X[None], "Y": Y}),
    "sparse_attention": (
        lambda Q, K, V: sparse_attention(Q, K, V, MASK), {"Q": HEADS, "K": HEADS, "V": V},
    ),
    "kwinners": (lambda X: kwinners(X, 2), {"X": X}),
    "kwinners, axis": (lambda X: kwinners(X, 2, axis=0), {"X": X}),
    "spmspv": (lambda x: spmspv(A.tocsc(), x), {"x": VECTOR}),
    "spmspv, dense": (lambda A, x: spmspv(A, x), {"A": whole(6, 8), "x": VECTOR}),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("verb", DENSE_VERBS)
def test_every_verb_gives_a_tensor(verb, dtype):
    call, operands = DENSE_VERBS[verb]
    given = {name: value.to(dtype) for name, value in operands.items()}
    result = call(**given)
    expected = call(**{name: value.numpy() for name, value in given.items()})
    assert type(result) is torch.Tensor
    assert not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), expected)
    assert result.numpy().dtype == expected.dtype


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("verb", DENSE_VERBS)
def test_16_bits_are_float32_inside_and_rounded_once(verb, dtype):
    call, operands = DENSE_VERBS[verb]
    result = call(**{name: value.to(dtype) for name, value in operands.items()})
    expected = call(**{name: value.numpy() for name, value in operands.items()})
    assert result.dtype is dtype
    assert torch.equal(result, torch.from_numpy(expected).to(dtype))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("verb", DENSE_VERBS)
def test_a_gradient_is_never_lost_silently(verb, dtype, mode):
    """An error where it is wanted, as with torch's own ``out=``; a result where it is not."""
    call, operands = DENSE_VERBS[verb]
    plain = {name: value.to(dtype) for name, value in operands.items()}
    expected = call(**plain)
    for name in operands:
        given = {**plain, name: torch.nn.Parameter(plain[name].clone())}
        words = rf"^{name} must be .*: the gradient .* spkernels\.torch .*{name}\.detach\(\)"
        for value in (given[name], given[name] * 1):  # a leaf and a result of torch
            with pytest.raises(TypeError, match=words):
                call(**{**given, name: value})
        with mode():
            result = call(**given)
            assert torch.equal(result, expected)
        assert not result.requires_grad


@given(data=st.data(), S=sparse(formats=NATIVE_FORMATS), n=widths, seed=seeds)
def test_any_strides_and_dtypes(data, S, n, seed):
    """Against float64."""
    rng = np.random.default_rng(seed)
    dense_first, vector, wants_out = (data.draw(st.booleans()) for _ in range(3))
    layout, out_layout = (data.draw(st.sampled_from(TENSOR_LAYOUTS)) for _ in range(2))
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64, *SMALL]))
    inner, outer = S.shape if dense_first else S.shape[::-1]
    shape = (inner,) if vector else (n, inner) if dense_first else (inner, n)
    D = laid_out(random_dense(rng, shape, np.float32), layout, dtype)
    before = D.clone()
    values = D.double().numpy()
    pair = (values, S) if dense_first else (S, values)
    options = {"alpha": data.draw(st.sampled_from([1.0, -0.5]))}
    beta, old = 0.0, None
    if wants_out:
        shape = (outer,) if vector else (n, outer) if dense_first else (outer, n)
        beta = data.draw(st.sampled_from([0.0, 2.0]))
        wide = np.result_type(S.dtype, np.float64 if dtype is torch.float64 else np.float32)
        kept = dtype if dtype in SMALL else torch.from_numpy(np.zeros(0, wide)).dtype
        out = laid_out(random_values(rng, int(np.prod(shape)), np.float32).reshape(shape),
                       out_layout, kept)  # fmt: skip
        old = out.double().numpy().copy()
        options |= {"out": out, "beta": beta}
    result = spmm(D, S, **options) if dense_first else spmm(S, D, **options)
    if wants_out:
        assert result is out
    assert torch.equal(D, before)
    if dtype not in SMALL:
        expected = np.result_type(S.dtype, D.numpy().dtype)
        options = {"alpha": options["alpha"], "beta": beta, "before": old, "dtype": expected}
        assert_spmm(result.numpy(), *pair, **options)
        return
    assert result.dtype is dtype
    exact, size = (
        options["alpha"] * (values @ to_float64(S) if dense_first else to_float64(S) @ values),
        np.abs(values) @ to_float64(S, np.abs) if dense_first else
        to_float64(S, np.abs) @ np.abs(values),
    )
    if beta:
        exact, size = exact + beta * old, size + np.abs(beta * old)
    count = terms(S, 0 if dense_first else 1) + EXTRA_OPERATIONS
    error = gamma(count, np.float32) * size + torch.finfo(dtype).smallest_normal
    bound = error + torch.finfo(dtype).eps / 2 * (np.abs(exact) + error)
    bound[np.abs(exact) + bound > torch.finfo(dtype).max] = np.inf
    assert (np.abs(result.double().numpy() - exact) <= bound).all()


@pytest.mark.parametrize("layout", TENSOR_LAYOUTS)
def test_memory_is_shared(layout):
    for dtype in (np.float32, np.float64, np.int64, np.uint8, np.bool_, np.complex64):
        tensor = laid_out(np.ones((4, 6), dtype), layout)
        array = dense_of(tensor, "B")
        assert array.ctypes.data == tensor.data_ptr()
        assert array.strides == tuple(step * array.itemsize for step in tensor.stride())
    images = torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert dense_of(images, "X").ctypes.data == images.data_ptr()
    np.testing.assert_array_equal(
        W.linear(whole(2, 8, 4, 5).to(memory_format=torch.channels_last).permute(0, 2, 3, 1)),
        W.linear(whole(2, 8, 4, 5).permute(0, 2, 3, 1).contiguous().numpy()),
    )


def test_results_own_their_memory():
    for call in (lambda: spmm(A, B), lambda: W.linear(B.T), lambda: B.T @ W.T):
        result = call()
        expected = result.clone()
        gc.collect()
        assert torch.equal(result, expected)
        result += 1  # writeable, and of nobody else
        assert torch.equal(call(), expected)


def test_operands_are_not_kept():
    tensor = B.clone()
    known = weakref.ref(tensor)
    spmm(A, tensor), W @ tensor, tensor.T @ W.T
    del tensor
    gc.collect()
    assert known() is None


def test_ordinary_tensors_take_the_short_way(monkeypatch):
    W.linear(B.T)  # a kernel for five columns is chosen now

    def refuse(*args, **kwargs):
        raise AssertionError("the long way")

    monkeypatch.setattr(tensors, "call", refuse)
    monkeypatch.setattr(matrix_module, "check_inner", refuse)
    monkeypatch.setattr("spkernels._ops.spmm._spmm", refuse)
    out = torch.empty(6, 5)
    bias = torch.nn.Parameter(BIAS, requires_grad=False)
    for call in (
        lambda: spmm(A, B), lambda: spmm(X.T, A), lambda: spmm(A, B, out=out, bias=bias[:, None]),
        lambda: W @ B, lambda: B.T @ W.T, lambda: W.spmm(B, out=out), lambda: W.linear(B.T, bias),
    ):  # fmt: skip
        assert type(call()) is torch.Tensor


def test_views_that_torch_conjugates_or_negates():
    D = (B + 1j * B.flip(0)).to(torch.complex64)
    np.testing.assert_array_equal(spmm(A, D.conj()).numpy(), spmm(A, D.conj().resolve_conj()))
    negative = D.conj().imag
    assert negative.is_neg()
    np.testing.assert_array_equal(spmm(A, negative).numpy(), spmm(A, negative.numpy(force=True)))
    csr = torch.sparse_csr_tensor(
        *map(torch.from_numpy, (A.indptr, A.indices)), torch.ones(A.nnz).mul(1j).conj(), A.shape
    )
    np.testing.assert_array_equal(spmm(csr, B.numpy()), spmm(A.astype(bool), B.numpy()) * -1j)


# Mixtures -----------------------------------------------------------------------------------------


def test_a_mixture_with_arrays_gives_a_tensor():
    expected = spmm(A, B, bias=BIAS[:, None])
    for D, bias in ((B, BIAS.numpy()), (B.numpy(), BIAS)):
        result = spmm(A, D, bias=bias[:, None])
        assert type(result) is torch.Tensor
        assert torch.equal(result, expected)
    assert type(sddmm(A, X[None], Y.numpy())) is torch.Tensor
    assert type(sparse_attention(HEADS.numpy(), HEADS, HEADS.numpy(), MASK)) is torch.Tensor
    for dtype in SMALL:  # float32 is the promotion of 16 bits and an array of it
        assert sparse_attention(HEADS.to(dtype), HEADS.numpy(), V, MASK).dtype is torch.float32
    Q, K = HEADS.bfloat16(), HEADS.half()
    assert sparse_attention(Q, K, Q, MASK).dtype is torch.float32
    assert sparse_attention(Q, Q, Q, MASK, bias=whole(6, 6)).dtype is torch.bfloat16


def test_sparse_tensors_times_arrays_give_arrays():
    for layout in ("csr", "csc", "coo", "bsr", "bsc"):
        result = spmm(csr_of(A, layout), B.numpy())
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, spmm(A, B.numpy()))
        for dtype in (torch.float32, *SMALL):
            result = spmm(csr_of(A, layout, dtype), B.to(dtype))
            assert torch.equal(result, spmm(A, B.to(dtype)))


def test_a_sparse_operand_of_more_bits_keeps_the_dtype_of_16_bits():
    for dtype in SMALL:
        assert spmm(A.astype(np.float64), B.to(dtype)).dtype is dtype
        out = torch.ones(6, 5, dtype=dtype)
        spmm(A.astype(np.float64), B.to(dtype), out=out, beta=1.0)
        assert torch.equal(out, spmm(A, B.to(dtype)) + 1)


def test_numbers_may_be_tensors():
    expected = spmm(A, B, alpha=0.5)
    assert torch.equal(spmm(A, B, alpha=torch.tensor(0.5)), expected)
    assert torch.equal(spmm(A, B, alpha=torch.tensor(0.5, dtype=torch.bfloat16)), expected)
    with pytest.raises(TypeError, match=r"^alpha must be .*: the gradient"):
        spmm(A, B, alpha=torch.tensor(0.5, requires_grad=True))
    with pytest.raises(TypeError, match="^alpha must be a real number"):
        spmm(A, B.numpy(), alpha=torch.tensor(0.5, requires_grad=True))
    with pytest.raises(TypeError, match="^alpha must be a real number"):
        spmm(A, B, alpha=torch.ones(2))


def test_bytes():
    options = {"scale": torch.tensor(0.5), "zero_point": torch.tensor(1), "bias": BIAS[:, None]}
    plain = {name: value.numpy() for name, value in options.items()}
    for values in (BYTES, BYTES.to(torch.int8), BYTES.to(torch.bool)):
        for result, expected in (
            (W8 @ values, W8 @ values.numpy()), (values.T @ W8.T, values.numpy().T @ W8.T),
            (W8.linear(values.T), W8.linear(values.numpy().T)),
        ):  # fmt: skip
            assert result.dtype is torch.int32
            np.testing.assert_array_equal(result.numpy(), expected)
    result = W8.spmm(BYTES, **options)
    np.testing.assert_array_equal(result.numpy(), W8.spmm(BYTES.numpy(), **plain))
    scales = whole(5).abs() + 1
    result = W8.linear(BYTES.T, BIAS, scale=scales.bfloat16(), dtype="int8", out_scale=2.0)
    expected = W8.linear(BYTES.numpy().T, BIAS.numpy(), scale=scales.numpy(), dtype="int8",
                         out_scale=2.0)  # fmt: skip
    np.testing.assert_array_equal(result.numpy(), expected)
    out = torch.empty(6, 5)
    assert W8.spmm(BYTES, out=out) is out
    np.testing.assert_array_equal(out.numpy(), W8.spmm(BYTES.numpy(), dtype=np.float32))
    with pytest.raises(TypeError, match="^scale must be .*: the gradient"):
        W8.spmm(BYTES, scale=torch.tensor(0.5, requires_grad=True))
    with pytest.raises(ValueError, match="^out must have the dtype of the result, got .*float16"):
        W8.spmm(BYTES, out=torch.empty(6, 5, dtype=torch.float16))


# out ----------------------------------------------------------------------------------------------

#: Verbs with `out`, and the shape of that.
OUT_VERBS = {
    "spmm": (lambda out, B: spmm(A, B, out=out), {"B": B}, (6, 5)),
    "spmm, beta": (lambda out, B: spmm(A, B, out=out, beta=2.0), {"B": B}, (6, 5)),
    "prepared spmm": (lambda out, B: W.spmm(B, out=out, beta=2.0), {"B": B}, (6, 5)),
    "linear": (lambda out, X: W.linear(X, out=out), {"X": B.T}, (5, 6)),
    "linear, beta": (
        lambda out, X: W.linear(X, out=out, beta=1.0), {"X": B.T.expand(2, 5, 8)}, (2, 5, 6),
    ),
    "sddmm": (lambda out, X, Y: sddmm(A, X, Y, out=out), {"X": X[None], "Y": Y}, (1, A.nnz)),
    "prepared sddmm": (lambda out, X, Y: P.sddmm(X, Y, out=out), {"X": X[None], "Y": Y},
                       (1, A.nnz)),
    "sparse_attention": (
        lambda out, Q: sparse_attention(Q, Q, Q, MASK, out=out), {"Q": HEADS}, (2, 6, 4),
    ),
    "kwinners": (lambda out, X: kwinners(X, 2, out=out), {"X": X}, (6, 3)),
    "spmspv": (lambda out, x: spmspv(A, x, out=out), {"x": VECTOR}, (6,)),
    "spmspm": (lambda out: spmspm(A, A.T, out=out), {}, (6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, *SMALL])
@pytest.mark.parametrize("verb", OUT_VERBS)
def test_out_is_written_in_place(verb, dtype):
    call, operands, shape = OUT_VERBS[verb]
    dtype = dtype if operands else torch.float32
    given = {name: value.to(dtype) for name, value in operands.items()}
    plain = {name: value.numpy() for name, value in operands.items()}
    expected = call(np.ones(shape, np.float32), **plain)
    for strides in (False, True):
        out = torch.ones(*shape, 2 if strides else 1, dtype=dtype)[..., 0]
        where, version = out.data_ptr(), out._version
        assert call(out, **given) is out
        assert out.data_ptr() == where
        assert torch.equal(out, torch.from_numpy(expected).to(dtype))
        assert out._version > version  # or autograd would use saved values that have changed
    with torch.inference_mode():
        out = torch.ones(shape, dtype=dtype)
        assert torch.equal(call(out, **given), torch.from_numpy(expected).to(dtype))
    mixed = np.ones(shape, np.float32)
    assert call(mixed, **{name: value.float() for name, value in given.items()}) is mixed
    np.testing.assert_array_equal(mixed, expected)


@pytest.mark.parametrize("verb", OUT_VERBS)
def test_out_that_is_refused(verb):
    call, operands, shape = OUT_VERBS[verb]
    gradient = torch.ones(shape, requires_grad=True)
    with pytest.raises(TypeError, match=r"^out must be .*: the gradient"):
        call(gradient, **operands)
    with torch.no_grad():
        assert call(gradient, **operands) is gradient
    for wrong, words in (
        (torch.ones(7, *shape), r"out must have (the format, )?shape"),
        (torch.ones(()).expand(shape), "out must have an element for each position"),
        (torch.ones(shape, dtype=torch.complex64).conj(), "out must hold its own elements"),
        (torch.ones(shape, dtype=torch.float16), "out must have the dtype of the result, got"),
    ):
        before = wrong.clone()
        with pytest.raises(ValueError, match=f"^{words}"):
            call(wrong, **operands)
        assert torch.equal(wrong, before)
    small = {name: value.bfloat16() for name, value in operands.items()}
    if small:
        with pytest.raises(ValueError, match=r"^out must have (the format, )?shape"):
            call(torch.ones((7, *shape), dtype=torch.bfloat16), **small)


def test_an_input_saved_for_a_gradient_is_known_to_have_changed():
    factor, out = torch.ones(6, 5, requires_grad=True), torch.ones(6, 5)
    product = factor * out
    spmm(A, B, out=out)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_logarithms_of_attention():
    for dtype in (torch.float32, *SMALL):
        Q = HEADS.to(dtype)
        expected = sparse_attention(*3 * (HEADS.numpy(),), MASK, return_lse=True)
        for out in (None, torch.empty(2, 6, 4, dtype=dtype)):
            result, lse = sparse_attention(Q, Q, Q, MASK, return_lse=True, out=out)
            assert out is None or result is out
            assert torch.equal(result, torch.from_numpy(expected[0]).to(dtype))
            np.testing.assert_array_equal(lse.numpy(), expected[1])  # float32, not rounded


# Sparse results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("dtype", [*DTYPES, np.complex64])
def test_arrays_of_a_sparse_tensor_are_shared(dtype, itype):
    S = A.astype(dtype)
    for layout, matrix in (("csr", S), ("csc", S.tocsc()), ("bsr", blocks(S))):
        parts = [torch.from_numpy(part.astype(itype)) for part in (matrix.indptr, matrix.indices)]
        values = torch.from_numpy(matrix.data)
        tensor = getattr(torch, f"sparse_{layout}_tensor")(*parts, values, S.shape)
        found = as_sparse(tensor, "A")
        for array, part in zip((found.indptr, found.indices), parts, strict=True):
            assert array.ctypes.data == part.data_ptr()
            assert array.dtype == itype
        assert found.data.ctypes.data == values.data_ptr()
        if dtype is not np.complex64:
            assert _core.spmm_fast(found, np.ones((8, 3), dtype)) is not None  # without a copy
            np.testing.assert_array_equal(prepare(tensor, tune=False).toscipy().toarray(),
                                          S.toarray())  # fmt: skip
    coo = csr_of(S, "coo")
    found = as_sparse(coo, "A")
    assert found.data.ctypes.data == coo._values().data_ptr()
    assert found.row.ctypes.data == coo._indices().data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *SMALL])
@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "bsc"])
def test_samples_at_a_sparse_tensor_are_one(layout, dtype):
    S = csr_of(A, layout, dtype)
    given = X.to(dtype), Y.to(dtype)
    kept = {"bsc": "coo"}.get(layout, layout)
    expected = sddmm(blocks(A) if layout in ("bsr", "bsc") else A, X.numpy(), Y.numpy(), beta=0.5)
    for result in (
        sddmm(S, *given, beta=0.5), sddmm(S, X.to(dtype), Y.numpy(), beta=0.5),
        sddmm([S, S], *given, beta=0.5)[1], sddmm(S, X.numpy(), Y.numpy(), beta=0.5),
    ):  # fmt: skip
        assert str(result.layout) == f"torch.sparse_{kept}"
        np.testing.assert_array_equal(result.to_dense().float().numpy(), expected.toarray())
    assert sddmm(S, *given).dtype is dtype
    softmax = masked_softmax(S)
    assert str(softmax.layout) == "torch.sparse_csr"
    assert softmax.dtype is dtype
    reference = masked_softmax(arrays(S))
    assert torch.equal(softmax.values(), torch.from_numpy(reference.data).to(dtype))
    if layout == "coo":
        assert sddmm(S, *given).is_coalesced()
        assert sddmm(S, *given)._indices().data_ptr() == S._indices().data_ptr()
    elif layout in ("csr", "csc"):
        name = "col_indices" if layout == "csr" else "row_indices"
        shared = getattr(sddmm(S, *given), name)().data_ptr()
        assert shared == getattr(S, name)().data_ptr()
    if layout != "bsc":
        for out in (S.clone(), S):
            assert sddmm(S, *given, out=out, beta=0.5) is out
            np.testing.assert_array_equal(out.to_dense().float().numpy(), expected.toarray())


def test_a_sparse_out_that_is_refused():
    with pytest.raises(TypeError, match="^out must be in CSR, CSC, COO or BSR, got BSC"):
        sddmm(csr_of(A, "bsc"), X, Y, out=csr_of(A, "bsc"))
    with pytest.raises(ValueError, match="^out must have the format, shape and pattern of P"):
        sddmm(csr_of(A), X, Y, out=csr_of(A, "csc"))
    with pytest.raises(ValueError, match="^out must have the dtype of the result, got .*float16"):
        sddmm(csr_of(A), X, Y, out=csr_of(A, dtype=torch.float16))
    with pytest.raises(TypeError, match="^out must be .*: the gradient"):
        sddmm(csr_of(A), X, Y, out=csr_of(A).requires_grad_())
    with pytest.raises(TypeError, match="^out must be an ndarray"):
        spmm(A, B, out=csr_of(A))


def test_softmax_in_place():
    S, expected = csr_of(A), masked_softmax(A, scale=0.5)
    version = S._version
    assert masked_softmax(S, scale=0.5, out=S) is S
    np.testing.assert_array_equal(S.to_dense().numpy(), expected.toarray())
    assert S._version > version


def test_samples_at_a_pattern_of_scipy():
    for result in (sddmm(A, X, Y), sddmm(A, X.bfloat16(), Y.bfloat16())):
        assert type(result) is sp.csr_array  # which has no 16 bits
        assert result.dtype == np.float32
    result = P.sddmm(X, Y)  # a prepared pattern is of no library
    assert result.layout is torch.sparse_csr
    expected = P.sddmm(X.numpy(), Y.numpy()).toarray()
    np.testing.assert_array_equal(result.to_dense().numpy(), expected)
    assert P.sddmm(X.half(), Y.half()).dtype is torch.float16
    assert P.sddmm(X, Y, out=result) is result


def test_winners_in_csr():
    for dtype in (torch.float32, *SMALL):
        result = kwinners(X.to(dtype), 2, format="csr")
        assert result.layout is torch.sparse_csr
        assert result.dtype is dtype
        expected = kwinners(X.numpy(), 2, format="csr")
        np.testing.assert_array_equal(result.to_dense().float().numpy(), expected.toarray())
        np.testing.assert_array_equal(
            spmspm(A, kwinners(B.T.to(dtype), 2, format="csr").transpose(0, 1)).float().numpy(),
            spmspm(A, kwinners(B.T.numpy(), 2, format="csr").T),
        )


def test_two_sparse_tensors():
    expected = spmspm(A, A.T)
    for dtype in (torch.float32, *SMALL):
        result = spmspm(csr_of(A, dtype=dtype), csr_of(A.T, dtype=dtype))
        assert torch.equal(result, torch.from_numpy(expected).to(dtype))
        for pair in ((csr_of(A, dtype=dtype), A.T), (A, csr_of(A.T, dtype=dtype))):
            assert torch.equal(spmspm(*pair), torch.from_numpy(expected))
    for dtype in (torch.float32, *SMALL):
        result = spmspv(csr_of(A), VECTOR.to(dtype).to_sparse())
        assert torch.equal(result, torch.from_numpy(spmspv(A, VECTOR.numpy())).to(dtype))
    assert type(spmspv(csr_of(A), VECTOR.numpy())) is np.ndarray


def test_gradients_of_sparse_tensors():
    S = csr_of(A).requires_grad_()
    for call, name in (
        (lambda: spmm(S, B), "A"), (lambda: prepare(S), "A"), (lambda: sddmm(S, X, Y), "P"),
        (lambda: masked_softmax(S), "P"), (lambda: spmspv(S, VECTOR), "A"),
        (lambda: spmspm(A.T, S), "B"), (lambda: sparse_attention(V, V, V, S), "mask"),
        (lambda: W.update_values(S), "data"),
    ):  # fmt: skip
        if name != "mask":
            with torch.no_grad():
                call()
        with pytest.raises(TypeError, match=rf"^{name} .*: the gradient .*{name}\.detach\(\)"):
            call()


# Functions of torch and NumPy ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["prepared", "int8", "NMArray", "operator"])
def test_products_of_torch(kind):
    matrix = {"prepared": W, "int8": W8, "NMArray": NM, "operator": OPERATOR}[kind]
    D = BYTES if kind == "int8" else B
    rows = D.T.contiguous()
    product = torch.from_numpy(np.asarray(matrix @ D.numpy()))
    turned = matrix.T if kind != "operator" else spkernels.aslinearoperator(A.T.tocsr())
    for result, expected in (
        (torch.matmul(matrix, D), product), (torch.mm(matrix, D), product),
        (torch.mv(matrix, D[:, 0].clone()), product[:, 0]),
        (rows @ turned, product.T), (torch.matmul(rows, turned), product.T),
        (rows.matmul(turned), product.T), (torch.mm(rows, turned), product.T),
    ):  # fmt: skip
        assert type(result) is torch.Tensor
        assert torch.equal(result, expected)
    if kind != "operator":
        assert torch.equal(torch.nn.functional.linear(rows, matrix), product.T)
        if kind != "int8":
            assert torch.equal(
                torch.nn.functional.linear(rows, matrix, BIAS), product.T + BIAS
            )
    for call in (lambda: rows + matrix, lambda: torch.exp(matrix),
                 lambda: torch.matmul(rows, turned, out=torch.empty(5, 6))):  # fmt: skip
        with pytest.raises(TypeError):
            call()
    assert (rows == matrix) is False
    assert (rows != matrix) is True


def test_functions_of_numpy_give_arrays():
    for result in (
        np.matmul(W, B), np.dot(W, B), np.matmul(B.T, W.T), np.dot(B.T, W.T),
        np.matmul(W, B, out=np.empty((6, 5), np.float32)), np.matmul(W, B.bfloat16()),
    ):  # fmt: skip
        assert type(result) is np.ndarray
        assert result.dtype == np.float32
        expected = spmm(A, B.numpy())
        np.testing.assert_array_equal(result, expected if result.shape == (6, 5) else expected.T)
    with pytest.raises(TypeError, match="^B must be .*: the gradient"):
        np.matmul(W, torch.nn.Parameter(B))


# What is refused ----------------------------------------------------------------------------------


def test_tensors_that_numpy_cannot_read():
    x = torch.ones(8, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, for kinds of tensors that it will drop
        refused = {
            "float8": (x.to(torch.float8_e5m2), r"B\.float\(\)"),
            "complex32": (x.to(torch.complex32), r"B\.to\(torch\.complex64\)"),
            "mkldnn": (x.to_mkldnn(), r"B\.to_dense\(\)"),
            "meta": (torch.empty(8, 5, device="meta"), "it has no values"),
            "quint8": (torch.quantize_per_tensor(x, 0.1, 0, torch.quint8), r"B\.dequantize\(\)"),
            "nested": (torch.nested.nested_tensor([x[0], x[0, :2]]), r"B\.to_padded_tensor"),
            "csr": (x.to_sparse_csr(), r"B\.to_dense\(\)"),
        }
    freed = torch.ones(8, 5)
    freed.untyped_storage().resize_(0)
    refused["freed"] = freed, "its storage has no memory"
    for operand, line in refused.values():
        for call in (lambda D: spmm(A, D), W.spmm, lambda D: W @ D):
            with pytest.raises(TypeError, match=f"^B .*{line}"):
                call(operand)
    csr = csr_of(A)
    for operand, line in (
        (torch.sparse_coo_tensor([[0]], torch.ones(1, 8), (6, 8)), r"A\.to_dense\(\)"),
        (csr.to(torch.float8_e5m2) if hasattr(csr, "never") else csr.to("meta"), "has no values"),
    ):
        with pytest.raises(TypeError, match=f"^A .*{line}"):
            spmm(operand, B)
    for layout in ("csr", "coo"):
        stack = getattr(torch.stack([csr.to_dense()] * 2), f"to_sparse_{layout}")()
        with pytest.raises(ValueError, match=r"A must be 2-D, got shape \(2, 6, 8\)"):
            spmm(stack, B)
    with pytest.raises(ValueError, match=r"^B must be 1-D or 2-D, got shape \(\)"):
        spmm(A, torch.tensor(1.0))
    with pytest.raises(ValueError, match=r"^dimension mismatch in A @ B"):
        spmm(A, torch.ones(7, 5))


def test_empty_tensors():
    for shape in ((8, 0), (0, 0), (0, 3)):
        S = sp.csr_array((6, shape[0]), dtype=np.float32)
        for dtype in (torch.float32, torch.bfloat16):
            result = spmm(S, torch.ones(shape, dtype=dtype))
            assert result.shape == (6, shape[1])
            assert result.dtype is dtype
            assert not result.any()
    assert W.linear(torch.ones(0, 3, 8)).shape == (0, 3, 6)


class Subclass(torch.Tensor):
    pass


def test_subclasses_are_tensors():
    result = spmm(A, B.as_subclass(Subclass))
    assert torch.equal(result, spmm(A, B))


def every_product(D):
    return (lambda: spmm(A, D)), (lambda: W @ D), (lambda: W.linear(D.mT)), (lambda: D.mT @ W.T)


def refused_inside(words):
    """Return a function that a transform calls, and the list of those whose products it saw."""
    seen = []

    def function(D):
        for product in every_product(D):
            with pytest.raises(TypeError, match=rf"^[BX] must be .*: .*{words}"):
                product()
        seen.append(type(D))
        return D.sum()

    return function, seen


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ("vmap", "a transform of torch.func"), ("grad", "the gradient"), ("jacrev", "the gradient"),
        ("jacfwd", "its tangent"), ("functionalize", "a transform of torch.func"),
    ],
)  # fmt: skip
def test_transforms_of_functions_are_refused(transform, words):
    function, seen = refused_inside(words)
    stack = (B.expand(2, 8, 5),) if transform == "vmap" else (B,)
    getattr(torch.func, transform)(function)(*stack)
    assert seen
    assert torch.equal(spmm(A, B), spmm(A, B.clone()))


def test_forward_gradients_are_refused():
    function, seen = refused_inside("its tangent")
    with torch.autograd.forward_ad.dual_level():
        function(torch.autograd.forward_ad.make_dual(B, B))
        assert torch.equal(spmm(A, B), spmm(A, B.clone()))  # which has none
    assert seen


def test_traces_are_refused():
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    for mode, words in (("real", "it is traced"), ("fake", "it has no values")):
        function, seen = refused_inside(words)
        make_fx(function, tracing_mode=mode)(B)
        assert seen
    function, seen = refused_inside("it has no values")
    with FakeTensorMode():
        function(torch.ones(8, 5))
    assert seen

    class Model(torch.nn.Module):
        def forward(self, D):
            return spmm(A, D)

    with pytest.raises(Exception, match="it has no values"):
        torch.export.export(Model(), (B,), strict=False)

    function, seen = refused_inside("it is traced")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, as it will drop these traces
        torch.jit.trace(function, B, check_trace=False)
    assert seen


def test_other_modes_do_not_matter():
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False):
        for product in every_product(B):
            assert type(product()) is torch.Tensor


@pytest.mark.slow
def test_compiled_functions_break_the_graph_and_keep_gradients():
    for place in range(4):
        def function(D, place=place):
            return every_product(D * 2)[place]() + 1

        torch._dynamo.reset()
        compiled = torch.compile(function, backend="eager")
        for D in (B, B + 1, B.flip(0)):
            assert torch.equal(compiled(D), function(D))
        torch._dynamo.reset()
        with pytest.raises(TypeError, match="^[BX] must be .*: the gradient"):
            torch.compile(function, backend="eager")(torch.nn.Parameter(B))
        torch._dynamo.reset()
