"""Operands of other libraries, with these libraries: each is skipped where its library is not."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_sparse, seeds
from verbs import VERBS, B, D, assert_same, blocks, whole_numbers

from spkernels import datasets, prepare, spmm, spmspv
from spkernels._inputs.foreign import as_sparse
from spkernels.formats import NMArray

HAS_VECTORS = hasattr(sp.coo_array((1, 1)), "coords")


def library(name):
    root = name.partition(".")[0]
    return pytest.importorskip(name, reason=f"{root} is not installed: test_foreign.py stands in.")


# What is converted -------------------------------------------------------------------------------


def torch_tensor(layout):
    def make(A):
        torch = library("torch")
        dense = torch.from_numpy(A.toarray())
        if layout in ("bsr", "bsc"):
            return getattr(dense, f"to_sparse_{layout}")((2, 2)), blocks(A)
        return getattr(dense, f"to_sparse_{layout}")(), A

    return make


def jax_sparse(kind):
    def make(A):
        module = library("jax.experimental.sparse")
        options = {"nse": A.nnz + 3} if kind in ("BCOO", "BCSR") else {}
        return getattr(module, kind).fromdense(A.toarray(), **options), A

    return make


def pydata(kind):
    def make(A):
        sparse = library("sparse")
        array = getattr(sparse, kind).from_numpy(A.toarray())
        return array, A

    return make


def gcxs_by_columns(A):
    sparse = library("sparse")
    return sparse.GCXS.from_numpy(A.toarray(), compressed_axes=(1,)), A


def pandas_frame(A):
    pandas = library("pandas")
    return pandas.DataFrame.sparse.from_spmatrix(sp.csr_matrix(A)), A


def xarray_of_pydata(A):
    return library("xarray").DataArray(pydata("COO")(A)[0]), A


#: Makes what holds A, and what that is in scipy, which tells its pattern.
CONVERTED = {
    **{f"torch {layout}": torch_tensor(layout) for layout in ("coo", "csr", "csc", "bsr", "bsc")},
    **{f"jax {kind}": jax_sparse(kind) for kind in ("BCOO", "BCSR", "COO", "CSR", "CSC")},
    **{f"sparse {kind}": pydata(kind) for kind in ("COO", "GCXS", "DOK")},
    "sparse GCXS by columns": gcxs_by_columns,
    "pandas": pandas_frame,
    "xarray": xarray_of_pydata,
}


@pytest.mark.parametrize("kind", CONVERTED)
def test_what_is_converted(kind, tmp_path):
    foreign, A = CONVERTED[kind](whole_numbers())
    for verb in VERBS:
        assert_same(verb, foreign, A)
    for name, operand in (("one.smtx", foreign), ("other.smtx", A)):
        datasets.save_smtx(tmp_path / name, operand)
    assert (tmp_path / "one.smtx").read_bytes() == (tmp_path / "other.smtx").read_bytes()
    for dtype in (np.float64, np.int8, np.int32, np.int64, bool, np.complex64):
        if kind.startswith("jax") and dtype is bool:
            continue  # which JAX 0.10 fails to make
        foreign, A = CONVERTED[kind](whole_numbers(dtype=dtype))
        kept = as_sparse(foreign, "A").dtype
        # JAX has 32 bits if nothing else is said.
        assert kept.kind == A.dtype.kind if kind.startswith("jax") else kept == A.dtype
        np.testing.assert_array_equal(spmm(foreign, B), spmm(A, B))


@given(seed=seeds, layout=st.sampled_from(["coo", "csr", "csc", "bsr"]), dtype=st.booleans())
def test_torch_keeps_every_entry(seed, layout, dtype):
    """Explicit zeros, duplicates and any order, which only the constructors make."""
    torch = library("torch")
    rng = np.random.default_rng(seed)
    fmt, dtype = layout, (np.float32, np.float64)[dtype]
    A = random_sparse(rng, fmt, (8, 9), 0.4, dtype, itype=np.int64, in_order=False,
                      duplicates=layout == "coo", zeros=True)  # fmt: skip
    if layout == "coo":
        indices = torch.tensor(np.array([A.row, A.col]))
        foreign = torch.sparse_coo_tensor(indices, torch.tensor(A.data), A.shape)
    else:
        make = getattr(torch, f"sparse_{layout}_tensor")
        arrays = (torch.tensor(part) for part in (A.indptr, A.indices, A.data))
        foreign = make(*arrays, A.shape, check_invariants=False)
    found = as_sparse(foreign, "A")
    assert found.format == layout
    for part in ("row", "col", "data") if layout == "coo" else ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, part), getattr(A, part))
    Bs = rng.standard_normal((A.shape[1], 3)).astype(dtype)
    np.testing.assert_array_equal(spmm(foreign, Bs), spmm(A, Bs))


def test_torch_that_is_conjugated_or_a_view():
    torch = library("torch")
    A = whole_numbers(dtype=np.complex64)
    A.data += 1j
    lazy = torch.from_numpy(A.data).conj()
    assert lazy.is_conj()
    parts = torch.from_numpy(A.indptr), torch.from_numpy(A.indices)
    foreign = torch.sparse_csr_tensor(*parts, lazy, A.shape)
    np.testing.assert_array_equal(spmm(foreign, B), spmm(A.conj(), B))
    lazy = torch.from_numpy(B.T.astype(np.complex64) * 1j).conj().T
    np.testing.assert_array_equal(spmm(A, lazy), spmm(A, B * -1j))


@pytest.mark.skipif(not HAS_VECTORS, reason="This scipy has no sparse arrays of one dimension.")
def test_vectors():
    A, x = whole_numbers(), np.array([0.0, 2, 0, 0, 3, 0, 0, 1])
    expected = spmspv(A, x)
    for name, make in (
        ("torch", lambda torch: torch.tensor(x).to_sparse()),
        ("sparse", lambda sparse: sparse.COO.from_numpy(x)),
        ("sparse", lambda sparse: sparse.GCXS.from_numpy(x)),
        ("pandas", lambda pandas: pandas.arrays.SparseArray(x, fill_value=0)),
        ("pandas", lambda pandas: pandas.Series(pandas.arrays.SparseArray(x, fill_value=0))),
        ("jax.experimental.sparse", lambda sparse: sparse.BCOO.fromdense(x)),
    ):
        np.testing.assert_array_equal(spmspv(A, make(library(name))), expected)


# Dense operands of other libraries ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("jax.numpy", lambda jnp, x: jnp.asarray(x)),
        ("pandas", lambda pandas, x: pandas.DataFrame(x)),
        ("pandas", lambda pandas, x: pandas.DataFrame(x).astype(pandas.SparseDtype("f4", 0))),
        ("xarray", lambda xarray, x: xarray.DataArray(x)),
        ("dask.array", lambda da, x: da.from_array(x, chunks=(3, 3))),
    ],
)
def test_dense_operands(name, make):
    module = library(name)
    A = whole_numbers()
    W, x, y = prepare(A, tune=False), B.astype(np.float32), D.astype(np.float32)
    for product, result, expected in (
        ("spmm", spmm(A, make(module, x)), spmm(A, x)),
        ("spmm", spmm(make(module, y), A), spmm(y, A)),
        ("@", W @ make(module, x), spmm(A, x)),
        ("matmul", np.matmul(W, make(module, x)), spmm(A, x)),
        ("dot", np.dot(W, make(module, x)), spmm(A, x)),
        ("linear", W.linear(make(module, x.T.copy())), spmm(A, x).T),
    ):
        assert type(result) is np.ndarray, product
        assert result.dtype == np.float32
        np.testing.assert_array_equal(result, expected)
    if name != "xarray":  # whose own products are of two DataArrays alone
        for result in (make(module, y) @ W, np.matmul(make(module, y), W)):
            np.testing.assert_array_equal(np.asarray(result), spmm(y, A))


def test_products_of_pandas():
    pandas = library("pandas")
    A = whole_numbers()
    for W in (prepare(A, tune=False), NMArray.from_scipy(A, 4, 4)):
        df = pandas.DataFrame(B, columns=list("abcde"))
        result = df.T @ W.T
        assert list(result.index) == list("abcde")
        np.testing.assert_array_equal(result, B.T @ A.toarray().T)
        np.testing.assert_array_equal(df["b"] @ W.T, A @ B[:, 1])
        np.testing.assert_array_equal(W @ df, A @ B)
        np.testing.assert_array_equal(W @ df["b"], A @ B[:, 1])
        np.testing.assert_array_equal(np.dot(W, df), A @ B)


def test_pandas_that_is_refused():
    pandas = library("pandas")
    A, df = whole_numbers(), pandas.DataFrame(np.ones((8, 5)))
    for dtype in ("Float64", object):
        with pytest.raises(TypeError, match=r"^B .*pandas\.DataFrame: .*B\.to_numpy\(float, na_"):
            spmm(A, df.astype(dtype))
    for fill in (np.nan, 1.0):
        with pytest.raises(TypeError, match="^A .*pandas.DataFrame: columns must .* filled with 0"):
            spmm(df.astype(pandas.SparseDtype(float, fill)).T, np.ones((8, 2)))
        with pytest.raises(TypeError, match="^A .*pandas.Series: it must be filled with 0"):
            spmm(df[0].astype(pandas.SparseDtype(float, fill)), np.ones((8, 2)))


def test_dask_of_csr():
    da = library("dask.array")
    A = whole_numbers()
    lazy = da.from_array(A.toarray(), chunks=(3, 8)).map_blocks(sp.csr_array)
    with pytest.raises(TypeError, match=r"^A must .* got dask\.Array: A\.compute\(\) converts it"):
        spmm(lazy, B)
    with pytest.raises(TypeError, match=r"^B must be dense, got dask\.Array: B\.compute\(\)"):
        prepare(A.T.tocsr(), tune=False) @ lazy


def test_anndata_of_a_file(tmp_path):
    anndata = library("anndata")
    A = sp.csr_matrix(whole_numbers())
    anndata.AnnData(A).write_h5ad(tmp_path / "x.h5ad")
    data = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    with pytest.raises(TypeError, match=r"^A must .*anndata\._CSRDataset: A\.to_memory\(\)"):
        prepare(data.X)
    np.testing.assert_array_equal(spmm(data.X.to_memory(), B), A @ B)
    with pytest.raises(TypeError, match=r"^A must .* got anndata\.AnnData: A\.X is its matrix"):
        spmm(data, B)
    data.file.close()


def test_jax_that_is_refused():
    jax = library("jax")
    sparse = library("jax.experimental.sparse")
    A = whole_numbers()

    def traced(x, P):
        with pytest.raises(TypeError, match="^B must .*it is traced"):
            spmm(A, x)
        with pytest.raises(TypeError, match="^A must .*it is traced"):
            spmm(P, B)
        return x

    jax.jit(traced)(B, sparse.BCOO.fromdense(A.toarray()))
    with pytest.raises(TypeError, match=r"^A must .*A\.todense\(\) is dense as a whole"):
        spmm(sparse.BCOO.fromdense(np.stack([A.toarray()] * 2), n_batch=1), B)
    with pytest.raises(TypeError, match="^A must .*NumPy has no bfloat16, float32 holds all"):
        spmm(sparse.BCOO.fromdense(jax.numpy.asarray(A.toarray(), "bfloat16")), B)
    with pytest.raises(TypeError, match=r"^B must hold numbers, got dtype bfloat16: .*float32"):
        spmm(A, jax.numpy.ones((8, 5), "bfloat16"))


