"""The compiled short cuts: they answer as the general paths do, and are taken."""

import itertools
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from reference import ACTIVATIONS, assert_sddmm, assert_spmm
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

from spkernels import _core, sddmm, spmm
from spkernels._ops import sddmm as sddmm_module
from spkernels._ops import spmm as spmm_module


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

biases = st.one_of(
    st.sampled_from([None, lambda m, n: (n,), lambda m, n: (1, n), lambda m, n: (m, 1)]),
    st.sampled_from([lambda m, n: (), lambda m, n: (1,), lambda m, n: (1, 1), lambda m, n: (m,),
                     lambda m, n: (m, n)]),
)
odd_numbers = st.sampled_from(
    [2**63, -(2**63), 10**400, True, np.nan, np.inf, np.float32(0.5), np.float64(2), np.array(0.5),
     np.array([0.5]), 1j, "1", None]
)
numbers = st.one_of(factors, st.integers(-3, 3))
ODD = ["dtype", "inner", "layout", "bias layout", "bias dtype", "alpha", "beta", "activation",
       "workers", "check", "order", "out dtype", "out layout", "read-only", "scale"]
# What is out of the ordinary about a call: mostly nothing, so that both paths are compared.
oddities = st.one_of(st.just(set()), st.sets(st.sampled_from(ODD), max_size=2))
PLAIN_LAYOUTS = ["C", "F", "rows apart", "every other column", "all reversed"]
plain_layouts = st.sampled_from(PLAIN_LAYOUTS)


@pytest.mark.every_isa
@given(data=st.data(), S=sparse(formats=NATIVE_FORMATS, most=40), n=widths, odd=oddities,
       seed=seeds)
def test_both_paths_agree_to_the_bit(data, S, n, odd, seed):
    rng = np.random.default_rng(seed)

    def draw(name, usual, unusual):
        return data.draw(unusual if name in odd else usual, name)

    dense_first, vector, wants_out = (data.draw(st.booleans()) for _ in range(3))
    dtype = draw("dtype", st.just(S.dtype), st.sampled_from([*DTYPES, np.int32, ">f4"]))
    inner, outer = S.shape if dense_first else S.shape[::-1]
    inner += "inner" in odd
    shape = (inner,) if vector else (n, inner) if dense_first else (inner, n)
    D = random_dense(rng, shape, dtype, draw("layout", plain_layouts, layouts))
    shape = (outer,) if vector else (n, outer) if dense_first else (outer, n)

    bias = data.draw(biases, "bias")
    if bias is not None:
        bias = bias(*(shape if len(shape) == 2 else (*shape, 1)))
        bias = random_values(rng, int(np.prod(bias)), S.dtype).reshape(bias)
        bias = lay_out(bias, draw("bias layout", st.just("C"), layouts)) if bias.ndim else bias
        bias = bias.astype(draw("bias dtype", st.just(S.dtype), st.just(np.float64)), copy=False)
    options = {
        "alpha": draw("alpha", numbers, odd_numbers),
        "beta": draw("beta", numbers if wants_out else st.just(0.0), odd_numbers),
        "bias": bias,
        "activation": draw(
            "activation", st.sampled_from(list(ACTIVATIONS)), st.sampled_from(["cube", 3])
        ),
        "workers": draw(
            "workers", st.sampled_from([None, 1, 2, 3, -1]),
            st.sampled_from([True, 0, -(10**6), 2**70, 1.5]),
        ),
        "check": draw("check", st.booleans(), st.sampled_from([1, 0, None])),
        "order": draw(
            "order", st.sampled_from([None, "C", "F", "K"]) if not wants_out else st.none(),
            st.sampled_from(["k", 1, "C"]),
        ),
    }
    before = random_values(rng, int(np.prod(shape)), S.dtype).reshape(shape)
    before = before.astype(draw("out dtype", st.just(S.dtype), st.just(np.float64)))
    out_layout = draw("out layout", plain_layouts, layouts)

    def call():
        pair = (D, S) if dense_first else (S, D)
        if not wants_out:
            return spmm(*pair, **options)
        out = lay_out(before, out_layout)
        out.flags.writeable = "read-only" not in odd
        result = spmm(*pair, out=out, **options)
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
    pair, shape, layout = operands(fmt, matrix, dtype, itype, dense_first, vector)
    monkeypatch.setattr(spmm_module, "_spmm", refuse)
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


@pytest.mark.parametrize("layout", PLAIN_LAYOUTS)
@pytest.mark.parametrize("fmt", ["csr", "csc", "bsr"])
def test_layouts_take_the_fast_path(fmt, layout, monkeypatch):
    monkeypatch.setattr(spmm_module, "_spmm", refuse)
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
    assert (_core.spmm_fast(A, B.copy(order="F")) is not None) == (fmt in NATIVE_FORMATS)
    assert (_core.spmm_fast(A, B, order="F") is not None) == (fmt in NATIVE_FORMATS)
    assert (_core.spmm_fast(A, B[:, 0].copy()) is not None) == (fmt in NATIVE_FORMATS)
    D = random_dense(rng, (7, 24), np.float32)
    assert (_core.spmm_fast(D, A) is not None) == (fmt in NATIVE_FORMATS)
    assert (_core.spmm_fast(A, B.astype(np.float64)) is not None) == (fmt in NATIVE_FORMATS)
    assert _core.spmm_fast(A, B.astype(np.complex64)) is None
    assert _core.spmm_fast(A, B.astype(np.longdouble)) is None
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
        with pytest.raises(ValueError, match="beta must be 0 without out"):
            spmm(*pair, beta=1.0)
        with pytest.raises(ValueError, match="workers must be a positive or negative"):
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


# sddmm --------------------------------------------------------------------------------------------


@pytest.mark.every_isa
@given(data=st.data(), P=sparse(formats=NATIVE_FORMATS, most=40), k=widths, odd=oddities,
       seed=seeds)
def test_both_paths_of_sddmm_agree_to_the_bit(data, P, k, odd, seed):
    rng = np.random.default_rng(seed)

    def draw(name, usual, unusual):
        return data.draw(unusual if name in odd else usual, name)

    dtype = draw("dtype", st.just(P.dtype), st.sampled_from([*DTYPES, np.int32, ">f4"]))
    layout = draw("layout", plain_layouts, layouts)
    X = random_dense(rng, (P.shape[0] + ("inner" in odd), k), dtype, layout)
    Y = random_dense(rng, (k, P.shape[1]), P.dtype, data.draw(plain_layouts))
    options = {
        "alpha": draw("alpha", numbers, odd_numbers),
        "beta": draw("beta", numbers, odd_numbers),
        "scale": draw("scale", st.booleans(), st.sampled_from([1, 0, None])),
        "workers": draw("workers", st.sampled_from([None, 1, 2, 3, -1]), st.just(True)),
        "check": draw("check", st.booleans(), st.sampled_from([1, 0, None])),
    }
    wants = data.draw(
        st.sampled_from(["nothing", "P", "a copy", "a view", "another", "read-only"]), "out"
    )

    def call():
        S = P.copy()
        out = {"nothing": None, "P": S}.get(wants, S.copy())
        if wants == "a view":
            shared = iter(index_arrays(S))
            set_index_arrays(out, lambda _: next(shared))
        elif wants == "another" and S.nnz:
            index_arrays(out)[-1][0] += 1
        elif wants == "read-only":
            out.data.flags.writeable = False
        result = sddmm(S, X, Y, out=out, **options)
        assert out is None or result is out
        for left, right in zip(index_arrays(result), index_arrays(P), strict=True):
            np.testing.assert_array_equal(left, right)
        return result.data

    with np.errstate(all="ignore"):
        fast = outcome(call)
        with general_path("sddmm_fast"):
            assert outcome(call) == fast


@pytest.mark.parametrize("itype", INDEX_DTYPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("matrix", [False, True])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_ordinary_calls_of_sddmm_take_the_fast_path(fmt, matrix, dtype, itype, monkeypatch):
    rng = np.random.default_rng(7)
    P = random_sparse(rng, fmt, (24, 36), 0.3, dtype, itype=itype, matrix=matrix)
    monkeypatch.setattr(sddmm_module, "native", refuse)
    for x_layout, y_layout in itertools.product(["C", "F", "rows apart"], repeat=2):
        X = random_dense(rng, (24, 7), dtype, x_layout)
        Y = random_dense(rng, (7, 36), dtype, y_layout)
        for options in [{}, {"alpha": 0.5}, {"alpha": 2}, {"beta": 0.5}, {"scale": True}]:
            for more in [{}, {"workers": 1}, {"workers": -1}, {"check": False}]:
                assert_sddmm(sddmm(P, X, Y, **options, **more), P, X, Y, **options)
            out = sddmm(P, X, Y)
            assert sddmm(P, X, Y, out=out, **options) is out
            assert_sddmm(out, P, X, Y, **options)
            # Copies of matrices have narrow indices.
            out = set_index_arrays(P.copy(), lambda array: array.astype(itype))
            assert sddmm(P, X, Y, out=out, **options) is out
            assert_sddmm(out, P, X, Y, **options)
            out = P.copy()
            assert sddmm(out, X, Y, out=out, **options) is out
            assert_sddmm(out, P, X, Y, **options)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_out_of_sddmm_over_an_input_is_left_to_the_general_path(fmt):
    rng = np.random.default_rng(8)
    P = random_sparse(rng, fmt, (24, 36), 0.3, np.float32)
    X, Y = random_dense(rng, (24, 7), np.float32), random_dense(rng, (7, 36), np.float32)
    inputs = {"X": X, "Y": Y, "data": P.data}
    inputs.update(zip(("first", "second"), index_arrays(P), strict=True))
    size = P.data.nbytes
    for (name, array), inside in itertools.product(inputs.items(), [0, 4]):
        for start in (inside, size + array.nbytes - inside):
            buffer = np.zeros(array.nbytes + 2 * size, np.uint8)
            held = buffer[size : size + array.nbytes].view(array.dtype).reshape(array.shape)
            held[...] = array
            used = {**inputs, name: held}
            S, out = P.copy(), P.copy()
            S.data = used["data"]
            replacements = iter([used["first"], used["second"]])
            set_index_arrays(S, lambda _, new=replacements: next(new))
            out.data = buffer[start : start + size].view(np.float32).reshape(P.data.shape)
            taken = _core.sddmm_fast(S, used["X"], used["Y"], out)
            assert (taken is None) == bool(inside), (name, inside, start)
            sddmm(S, used["X"], used["Y"], out=out, scale=inside == 0)
            assert_sddmm(out, P, X, Y, scale=inside == 0)


def test_what_sddmm_leaves_to_the_general_path():
    rng = np.random.default_rng(9)
    P = random_sparse(rng, "csr", (24, 36), 0.3, np.float32)
    X, Y = random_dense(rng, (24, 7), np.float32), random_dense(rng, (7, 36), np.float32)
    other = P.copy()
    other.indices[0] = (other.indices[0] + 1) % 36
    read_only = P.copy()
    read_only.data.flags.writeable = False
    for out in (other, read_only, P.tocsc(), P.astype(np.float64), P[1:], X):
        assert _core.sddmm_fast(P, X, Y, out) is None
    longer = P.copy()
    longer.data = np.resize(longer.data, len(longer.data) + 3)
    assert _core.sddmm_fast(longer, X, Y) is None
    assert _core.sddmm_fast(P, X[0], Y) is None
    assert _core.sddmm_fast(P, X, Y[:, 1:]) is None
    assert _core.sddmm_fast(P.tolil(), X, Y) is None
    assert _core.sddmm_fast(X, X, Y) is None
