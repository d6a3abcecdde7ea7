"""The compiled short cut of spmm: it answers as the general path does, and is taken."""

import itertools
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, assert_spmm
from strategies import (
    DTYPES,
    FORMATS,
    INDEX_DTYPES,
    NATIVE_FORMATS,
    factors,
    index_arrays,
    lay_out,
    layouts,
    random_dense,
    random_sparse,
    random_values,
    rest_untouched,
    seeds,
    set_index_arrays,
    sparse,
    widths,
)

from spkernels import _core, _spmm, spmm


def outcome(call, **options):
    """All that can be told of a call: the result to the bit and its layout, or the error."""
    try:
        result = call(**options)
    except Exception as error:
        return type(error), str(error)
    return type(result), result.dtype, result.shape, result.strides, result.tobytes()


def general_path(entry):
    return mock.patch.object(_core, entry, lambda *args, **kwargs: None)


def refuse(*args, **kwargs):
    raise AssertionError("the general path ran")


# Both paths agree ---------------------------------------------------------------------------------

biases = st.sampled_from([
    None, lambda m, n: (), lambda m, n: (1,), lambda m, n: (n,), lambda m, n: (1, n),
    lambda m, n: (m, 1), lambda m, n: (m,), lambda m, n: (1, 1), lambda m, n: (m, n),
])
numbers = st.one_of(
    factors,
    st.sampled_from([0, 1, -3, 2**63, -(2**63), 10**400, True, np.nan, np.inf, np.float32(0.5),
                     np.float64(2), np.array(0.5), np.array([0.5]), 1j, "1", None]),
)
mostly = st.integers(0, 9).map(bool)


@pytest.mark.every_isa
@given(data=st.data(), S=sparse(most=40), n=widths, seed=seeds)
def test_both_paths_agree_to_the_bit(data, S, n, seed):
    rng = np.random.default_rng(seed)
    draw = data.draw
    dense_first, vector = draw(st.booleans()), draw(st.booleans())
    dtype = S.dtype if draw(mostly) else draw(st.sampled_from([*DTYPES, np.int32, ">f4"]))
    inner, outer = S.shape if dense_first else S.shape[::-1]
    inner += not draw(mostly)
    shape = (inner,) if vector else (n, inner) if dense_first else (inner, n)
    D = random_dense(rng, shape, dtype, "C" if draw(st.booleans()) else draw(layouts))
    result_shape = (outer,) if vector else (n, outer) if dense_first else (outer, n)
    extents = result_shape if len(result_shape) == 2 else (*result_shape, 1)

    bias = draw(biases)
    if bias is not None:
        bias = random_values(rng, int(np.prod(bias(*extents))), S.dtype).reshape(bias(*extents))
        bias = lay_out(bias, draw(layouts)) if bias.ndim and not draw(mostly) else bias
        bias = bias if draw(mostly) else bias.astype(np.float64)
    options = {
        "alpha": draw(numbers),
        "bias": bias,
        "activation": draw(st.sampled_from([*ACTIVATIONS, "cube", 3])),
        "workers": draw(st.sampled_from([None, 1, 2, 3, True, -1, 0, -(10**6), 2**70, 1.5])),
        "check": draw(st.sampled_from([True, False, 1, 0, None])),
    }
    for name, ordinary in [("alpha", 0.5), ("activation", "relu"), ("workers", None)]:
        options[name] = options[name] if draw(st.booleans()) else ordinary
    wants_out = draw(st.booleans())
    if not wants_out or not draw(mostly):
        options["order"] = draw(st.sampled_from([None, "C", "F", "K", "k", 1]))
    options["beta"] = draw(numbers) if wants_out or not draw(mostly) else 0.0
    before = random_values(rng, int(np.prod(result_shape)), S.dtype).reshape(result_shape)
    before = before if draw(mostly) else before.astype(np.float64)
    out_layout, writeable = draw(layouts), draw(mostly)

    def call():
        if not wants_out:
            return spmm(*((D, S) if dense_first else (S, D)), **options)
        out = lay_out(before, out_layout)
        out.flags.writeable = writeable
        result = spmm(*((D, S) if dense_first else (S, D)), out=out, **options)
        assert result is out
        assert rest_untouched(out)
        return result

    with np.errstate(all="ignore"):
        fast = outcome(call)
        with general_path("spmm_fast"):
            assert outcome(call) == fast


# The fast path is taken ---------------------------------------------------------------------------

OPTIONS = [
    {},
    {"out": True},
    {"out": True, "beta": 0.5},
    {"out": True, "beta": 1},
    {"alpha": 0.5},
    {"alpha": -2},
    *({"activation": name} for name in ACTIVATIONS if name),
    {"bias": "columns"},
    {"bias": "columns", "activation": "relu", "out": True},
    {"order": "C"},
    {"workers": 1},
    {"workers": 3},
    {"workers": -1},
    {"check": False},
]
MATRIX_OPTIONS = [{"bias": "row"}, {"bias": "column"}, {"order": "F"}, {"order": "K"}]


def operands(fmt, matrix, dtype, itype, dense_first, vector):
    """Operands, and the shape of their product; dense ones in the order that COO needs."""
    rng = np.random.default_rng(0)
    S = random_sparse(rng, fmt, (24, 36), 0.3, dtype, itype=itype, matrix=matrix)
    layout = "F" if dense_first else "C"
    inner, outer = S.shape if dense_first else S.shape[::-1]
    if vector:
        D, shape = random_values(rng, inner, dtype), (outer,)
    else:
        shape = (7, inner) if dense_first else (inner, 7)
        D = np.asarray(random_values(rng, 7 * inner, dtype).reshape(shape), order=layout)
        shape = (7, outer) if dense_first else (outer, 7)
    return (D, S) if dense_first else (S, D), shape, layout


@pytest.mark.parametrize("vector", [False, True])
@pytest.mark.parametrize("dense_first", [False, True])
@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_ordinary_calls_take_the_fast_path(
    fmt, matrix, dtype, itype, dense_first, vector, monkeypatch
):
    if fmt == "bsr" and dense_first:
        pytest.skip("its blocks have to turn")
    pair, shape, layout = operands(fmt, matrix, dtype, itype, dense_first, vector)
    monkeypatch.setattr(_spmm, "_spmm", refuse)
    for options in OPTIONS if vector else OPTIONS + MATRIX_OPTIONS:
        options, before = dict(options), None
        if "bias" in options:
            sizes = {"columns": shape[-1:], "row": (1, shape[-1]), "column": (shape[0], 1)}
            options["bias"] = np.ones(sizes[options["bias"]], dtype)
        if "out" in options:
            before = np.full(shape, 3, dtype, order=layout)
            options["out"] = before.copy(order="K")
        elif fmt == "coo" and not vector:
            # Its kernel for entries in any order walks rows: of the transpose, on the right.
            options.setdefault("order", layout)
            if options["order"] not in ("K", layout):
                continue
        result = spmm(*pair, **options)
        for name in ("out", "order", "workers", "check"):
            options.pop(name, None)
        assert_spmm(result, *pair, before=before, **options)


@pytest.mark.parametrize("layout", ["C", "F", "rows apart", "every other column", "all reversed"])
@pytest.mark.parametrize("fmt", ["csr", "csc", "bsr"])
def test_layouts_take_the_fast_path(fmt, layout, monkeypatch):
    monkeypatch.setattr(_spmm, "_spmm", refuse)
    rng = np.random.default_rng(1)
    A = random_sparse(rng, fmt, (24, 36), 0.3, np.float32)
    B = random_dense(rng, (36, 7), np.float32, layout)
    out = lay_out(np.zeros((24, 7), np.float32), layout)
    assert_spmm(spmm(A, B, out=out), A, B)
    assert rest_untouched(out)


@pytest.mark.parametrize("fmt", FORMATS)
def test_what_needs_a_conversion_does_not(fmt):
    rng = np.random.default_rng(2)
    A = random_sparse(rng, fmt, (24, 36), 0.3, np.float32)
    B = random_dense(rng, (36, 7), np.float32)
    assert (_core.spmm_fast(A, B) is not None) == (fmt in NATIVE_FORMATS)
    assert (_core.spmm_fast(A, B.copy(order="F")) is not None) == (fmt in ("csr", "csc", "bsr"))
    assert (_core.spmm_fast(A, B, order="F") is not None) == (fmt in ("csr", "csc", "bsr"))
    assert (_core.spmm_fast(A, B[:, 0].copy()) is not None) == (fmt in NATIVE_FORMATS)
    D = random_dense(rng, (7, 24), np.float32)
    assert (_core.spmm_fast(D, A) is not None) == (fmt in ("csr", "csc"))
    assert _core.spmm_fast(A, B.astype(np.float64)) is None
    assert _core.spmm_fast(A, lay_out(B, "odd strides")) is None
    assert _core.spmm_fast(A, B[1:]) is None
    assert _core.spmm_fast(A, A) is None
    assert _core.spmm_fast(B, B) is None


def test_subclasses_are_left_to_the_general_path():
    class Mine(sp.csr_array):
        pass

    A = sp.csr_array(np.eye(3, dtype=np.float32))
    assert _core.spmm_fast(Mine(A), np.ones((3, 2), np.float32)) is None
    assert _core.spmm_fast(sp.csr_matrix(A), np.asmatrix(np.ones((3, 2), np.float32))) is None
    assert _core.spmm_fast(A, np.ma.ones((3, 2), np.float32)) is None


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_lengths_that_do_not_fit_are_left_to_the_general_path(fmt):
    B = np.ones((36, 7), np.float32)

    def make():
        return random_sparse(np.random.default_rng(3), fmt, (24, 36), 0.3, np.float32)

    shorter = set_index_arrays(make(), lambda array: array[:-1])
    assert _core.spmm_fast(shorter, B) is None
    mixed = make()
    if fmt != "coo":
        mixed.indices = mixed.indices.astype(np.int64)
        assert _core.spmm_fast(mixed, B) is None
    flat = make()
    flat.data = flat.data.reshape(-1, 1)
    assert _core.spmm_fast(flat, B) is None
    beyond = make()
    index_arrays(beyond)[1][0] = 10**6
    assert _core.spmm_fast(beyond, B) is None


# Formats without kernels --------------------------------------------------------------------------


def tridiagonal(fmt, dtype=np.float64):
    S = sp.diags_array([1.0, 2.0, 3.0], offsets=[-1, 0, 2], shape=(9, 9), dtype=dtype)
    return S.asformat(fmt)


@pytest.mark.parametrize("fmt, dense_first", [("dia", False), ("dok", False), ("dok", True)])
def test_small_work_of_other_formats_is_multiplied_by_scipy(fmt, dense_first, monkeypatch):
    """Which has the product before a conversion would be done."""
    S = tridiagonal(fmt, np.float32)
    same = S.tocsr()
    monkeypatch.setattr(type(S), "tocsr", refuse)
    for shape in [(9,), (9, 3)]:
        D = random_values(np.random.default_rng(5), int(np.prod(shape)), np.float32)
        D = D.reshape(shape[::-1] if dense_first else shape)
        pair = (D, S) if dense_first else (S, D)
        expected = (D, same) if dense_first else (same, D)
        assert_spmm(spmm(*pair), *expected)
        assert_spmm(spmm(*pair, bias=np.float64(3)), *expected, bias=3)


@pytest.mark.parametrize("dense_first", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
@pytest.mark.parametrize("fmt", ["dia", "lil", "dok"])
def test_options_of_other_formats(fmt, dtype, dense_first):
    S = tridiagonal(fmt, np.float32)
    for shape in [(9,), (9, 9)]:
        D = random_values(np.random.default_rng(5), int(np.prod(shape)), dtype).reshape(shape)
        pair = (D, S) if dense_first else (S, D)
        kept, bias = np.result_type(dtype, np.float32), np.arange(9, dtype=np.float64)
        before = np.ones(shape, kept)
        for activation in ACTIVATIONS:
            options = {"alpha": 0.5, "beta": -2, "activation": activation, "bias": bias}
            out = before.copy()
            assert spmm(*pair, out=out, **options) is out
            assert_spmm(out, *pair, before=before, **options)
            assert_spmm(spmm(*pair, bias=bias, workers=1), *pair, bias=bias)
        for order in "CFK":
            assert spmm(*pair, order=order).flags[f"{order.replace('K', 'C')}_CONTIGUOUS"]
        with pytest.raises(ValueError, match="dimension mismatch"):
            spmm(*((D[..., :8], S) if dense_first else (S, D[:8])))
        with pytest.raises(ValueError, match="bias must be a scalar or have shape"):
            spmm(*pair, bias=np.ones(8))
        with pytest.raises(ValueError, match="needs out"):
            spmm(*pair, beta=1.0)
        with pytest.raises(ValueError, match="workers must not be zero"):
            spmm(*pair, workers=0)


@pytest.mark.parametrize("fmt", ["dia", "lil", "dok"])
def test_out_over_an_operand_of_another_format(fmt):
    S = tridiagonal(fmt)
    D = random_values(np.random.default_rng(6), 81, np.float64).reshape(9, 9)
    for reverse in (False, True):
        into = D.copy()
        spmm(S, into, out=into[::-1] if reverse else into, bias=into[0], beta=1.0)
        before = D[::-1] if reverse else D
        assert_spmm(into[::-1] if reverse else into, S, D, bias=D[0], beta=1.0, before=before)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_diagonals_that_are_missing_are_not_read(dtype):
    for change in (lambda data: data[:1], np.ravel):
        S = tridiagonal("dia", dtype)
        S.data = change(S.data)
        with pytest.raises(ValueError, match=r"A\.data must have a row for each of A\.offsets"):
            spmm(S, np.ones(9, dtype))
        with pytest.raises(ValueError, match=r"B\.data must have a row for each of B\.offsets"):
            spmm(np.ones(9, dtype), S)


@pytest.mark.parametrize("at", [(0, 9), (-1, 0)])
def test_an_index_out_of_range_of_few_entries_is_found(at):
    S = tridiagonal("dok")
    dict.__setitem__(getattr(S, "_dict", S), at, 1.0)
    with pytest.raises(ValueError):
        spmm(S, np.ones(9))


# Overlap ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_out_over_an_input_is_left_to_the_general_path(fmt):
    """To the byte: the last and the first that an input has; not the one beyond."""
    rng = np.random.default_rng(4)
    kept = random_sparse(rng, fmt, (24, 36), 0.3, np.float32)
    B = random_dense(rng, (36, 7), np.float32)
    bias = random_values(rng, 7, np.float32)
    inputs = {"B": B, "bias": bias, "data": kept.data}
    inputs.update(zip(("first", "second"), index_arrays(kept), strict=True))
    for (name, array), offset in itertools.product(inputs.items(), ["before", "after", *range(4)]):
        size = 24 * 7 * 4
        start = {"before": 0, "after": size + array.nbytes}.get(offset)
        if start is None:
            # One element inside, from either end; the middle; and out reversed at the end.
            start = [4, size + array.nbytes - 4, size, size + array.nbytes - 4][offset]
        buffer = np.zeros(array.nbytes + 2 * size, np.uint8)
        held = buffer[size : size + array.nbytes].view(array.dtype).reshape(array.shape)
        held[...] = array
        out = buffer[start : start + size].view(np.float32).reshape(24, 7)
        out = out[::-1, ::-1] if offset == 3 else out
        used = {**inputs, name: held}
        A = kept.copy()
        A.data = used["data"]
        replacements = iter([used["first"], used["second"]])
        set_index_arrays(A, lambda _, new=replacements: next(new))
        assert any(np.shares_memory(out, array) for array in used.values()) == (
            offset not in ("before", "after")
        )
        taken = _core.spmm_fast(A, used["B"], out, 1.0, 0.0, used["bias"])
        assert (taken is not None) == (offset in ("before", "after")), (name, offset)
        spmm(A, used["B"], out=out, bias=used["bias"])
        assert_spmm(out, kept, B, bias=bias)


def test_nothing_overlaps_an_empty_array():
    A = sp.csr_array((3, 3), dtype=np.float32)
    buffer = np.zeros((3, 3), np.float32)
    out = buffer[:, :0]
    assert _core.spmm_fast(A, buffer[:, 1:1], out) is out
    assert _core.spmm_fast(A, np.ones((3, 3), np.float32), buffer) is buffer
