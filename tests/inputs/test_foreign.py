"""Operands of other libraries: converted at no loss, or an error with the line that converts.

Stand-ins take the place of these libraries here; test_foreign_libraries.py has themselves.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
import stand_ins
from scipy.sparse.linalg import LinearOperator
from strategies import INDEX_DTYPES, from_entries
from verbs import OTHER, VERBS, B, X, Y, assert_same, blocks, whole_numbers

import spkernels
from spkernels import datasets, masks, prepare, prune, sddmm, spmm, spmspv
from spkernels._inputs.foreign import as_sparse
from spkernels.formats import NMArray

HAS_VECTORS = hasattr(sp.coo_array((1, 1)), "coords")


# What is converted -------------------------------------------------------------------------------


def stand_in(make, kind=None, reference=lambda A: A):
    return lambda A: (make(A, kind) if kind else make(A), reference(A))


#: Makes what holds A, and what that is in scipy, which tells its pattern.
CONVERTED = {
    **{
        f"stand-in for torch {layout}": stand_in(stand_ins.tensor, layout)
        for layout in ("coo", "csr", "csc")
    },
    "stand-in for torch bsr": stand_in(stand_ins.tensor, "bsr", blocks),
    "stand-in for torch bsc": stand_in(stand_ins.tensor, "bsc", blocks),
    **{
        f"stand-in for jax {kind}": stand_in(stand_ins.jax, kind)
        for kind in ("BCOO", "BCSR", "COO", "CSR", "CSC")
    },
    "stand-in for pandas": stand_in(stand_ins.DataFrame),
    "stand-in for sparse": stand_in(stand_ins.COO),
    "stand-in for xarray": lambda A: (stand_ins.DataArray(stand_ins.COO(A)), A),
    "NMArray": lambda A: (NMArray.from_scipy(A, 4, 4), A),
    "NMTransposed": lambda A: (NMArray.from_scipy(A.T.tocsr(), 4, 4).T, A),
    "PreparedMatrix": lambda A: (prepare(A, tune=False), A),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", CONVERTED)
def test_what_is_converted(kind, verb):
    assert_same(verb, *CONVERTED[kind](whole_numbers()))


@pytest.mark.parametrize("kind", CONVERTED)
def test_files_of_what_is_converted(kind, tmp_path):
    foreign, A = CONVERTED[kind](whole_numbers())
    for name, operand in (("one.smtx", foreign), ("other.smtx", A)):
        datasets.save_smtx(tmp_path / name, operand)
    assert (tmp_path / "one.smtx").read_bytes() == (tmp_path / "other.smtx").read_bytes()


@pytest.mark.parametrize("kind", CONVERTED)
@pytest.mark.parametrize("shape", [(0, 0), (0, 4), (4, 0), (4, 6)])
def test_empty_ones(kind, shape):
    foreign, _ = CONVERTED[kind](sp.csr_array(shape, dtype=np.float64))
    result = spmm(foreign, np.ones((shape[1], 3)))
    np.testing.assert_array_equal(result, np.zeros((shape[0], 3)))


@pytest.mark.parametrize("kind", [kind for kind in CONVERTED if kind.startswith("stand-in")])
@pytest.mark.parametrize("dtype", [np.float64, np.int8, np.int32, np.int64, bool, np.complex64])
def test_dtypes_that_are_converted(kind, dtype):
    foreign, A = CONVERTED[kind](whole_numbers(dtype=dtype))
    assert as_sparse(foreign, "A").dtype == A.dtype
    np.testing.assert_array_equal(spmm(foreign, B), spmm(A, B))


def test_float16_is_held_by_float32():
    """Scipy has no float16."""
    A = whole_numbers()
    for layout in ("coo", "csr", "csc", "bsr", "bsc"):
        foreign = stand_ins.tensor(A, layout)
        foreign._array = foreign._array.astype(np.float16)
        assert as_sparse(foreign, "A").dtype == np.float32
        np.testing.assert_array_equal(spmm(foreign, B), spmm(A, B))


def test_bfloat16_is_held_by_float32():
    """NumPy and scipy have no bfloat16."""
    A = whole_numbers()
    for layout in ("coo", "csr", "csc", "bsr", "bsc"):
        foreign = stand_ins.tensor(A, layout)
        values = stand_ins.Tensor(foreign._array.astype(np.float64)).change(dtype="torch.bfloat16")
        foreign.values = foreign._values = lambda values=values: values
        assert as_sparse(foreign, "A").dtype == np.float32
        np.testing.assert_array_equal(spmm(foreign, B), spmm(A, B))
    dense = stand_ins.Tensor(B).change(dtype="torch.bfloat16")
    np.testing.assert_array_equal(spmm(A, dense), spmm(A, B.astype(np.float32)))


def test_arrays_are_shared():
    for itype in INDEX_DTYPES:
        A = whole_numbers()
        A.indptr, A.indices = A.indptr.astype(itype), A.indices.astype(itype)
        found = as_sparse(stand_ins.tensor(A, "csr"), "A")
        for name in ("indptr", "indices", "data"):
            assert np.shares_memory(getattr(found, name), getattr(A, name))
            assert getattr(found, name).dtype == getattr(A, name).dtype


def test_indices_that_are_corrupted():
    """Others check as little as scipy does."""
    for layout in ("coo", "csr", "csc", "bsr", "bsc"):
        foreign = stand_ins.tensor(whole_numbers(), layout)
        name = {"coo": "_indices", "csr": "col_indices", "bsr": "col_indices"}.get(layout)
        part = foreign._parts[name or "row_indices"]
        part[..., 2] = 77
        for verb in VERBS:
            if verb not in ("update_values", "spmspm on the right"):  # which scipy takes first
                with pytest.raises(ValueError, match="corrupted|must lie in"):
                    VERBS[verb](foreign)
    foreign = stand_ins.tensor(whole_numbers(), "bsc")
    foreign._parts["ccol_indices"][1] = 77
    with pytest.raises(ValueError, match=r"A\.ccol_indices\(\) is corrupted"):
        spmm(foreign, B)
    foreign = stand_ins.tensor(whole_numbers(), "csr")
    foreign._parts["crow_indices"][1] = 77
    with pytest.raises(ValueError, match=r"A\.indptr is corrupted"):
        spmm(foreign, B)


def test_jax_indices_that_count_from_the_end():
    """JAX itself takes them in some functions and not in others."""
    A = stand_ins.jax(whole_numbers(), "BCOO")
    A.indices._array[0] = -1
    with pytest.raises(ValueError, match="corrupted"):
        spmm(A, B)


@pytest.mark.skipif(not HAS_VECTORS, reason="This scipy has no sparse arrays of one dimension.")
def test_vectors():
    A, x = whole_numbers(), np.array([0.0, 2, 0, 0, 3, 0, 0, 1])
    parts = {"_indices": np.array([[1, 4, 7]]), "shape": (8,)}
    foreign = stand_ins.Tensor([2.0, 3, 1], "sparse_coo", **parts)
    np.testing.assert_array_equal(spmspv(A, foreign), spmspv(A, x))
    with pytest.raises(ValueError, match=r"A must be 2-D, got shape \(8,\)"):
        prepare(foreign)


# What is refused ----------------------------------------------------------------------------------


def gpu_tensor(array=None, type="cuda"):
    return stand_ins.Tensor(np.ones((8, 5))).change(device=SimpleNamespace(type=type))


def backed():
    file = stand_ins.of("anndata._core.sparse_dataset", "BaseCompressedSparseDataset")
    return stand_ins.of("anndata._core.sparse_dataset", "_CSRDataset", file, shape=(8, 5))()


def simple(module, name):
    return stand_ins.of(module, name, shape=(8, 5))()


DENSE = {
    "gradient": (lambda: stand_ins.Tensor(B).change(requires_grad=True), r"NAME\.detach\(\)"),
    "float8": (lambda: stand_ins.Tensor(B).change(dtype="torch.float8_e5m2"), r"NAME\.float\(\)"),
    "complex32": (
        lambda: stand_ins.Tensor(B).change(dtype="torch.complex32"), r"NAME\.to\(torch\.complex6",
    ),
    "CUDA": (gpu_tensor, r"NAME\.cpu\(\) copies it from cuda, spkernels\.cuda multiplies there"),
    "MPS": (lambda: gpu_tensor(type="mps"), r"NAME\.cpu\(\) copies it from mps$"),
    "meta": (lambda: gpu_tensor(type="meta"), "it has no values"),
    "nested": (lambda: stand_ins.Tensor(B).change(is_nested=True), r"NAME\.to_padded_tensor"),
    "quantised": (lambda: stand_ins.Tensor(B).change(is_quantized=True), r"NAME\.dequantize\(\)"),
    "mkldnn": (lambda: stand_ins.Tensor(B).change(layout="torch._mkldnn"), r"NAME\.to_dense\(\)"),
    "torch csr": (lambda: stand_ins.tensor(OTHER, "csr"), r"torch\.Tensor \(torch\.sparse_csr, .*"
                  r"NAME\.to_dense\(\)"),
    "jax sparse": (lambda: stand_ins.jax(OTHER, "BCOO"), r"jax\.BCOO: NAME\.todense\(\)"),
    "jax traced": (lambda: stand_ins.of("jax._src.any", "X", stand_ins.Tracer)(), "it is traced"),
    "pydata": (lambda: stand_ins.COO(OTHER), r"sparse\.COO: NAME\.todense\(\)"),
    "pandas": (
        lambda: stand_ins.DataFrame(OTHER).change(np.full((8, 5), None)), r"NAME\.to_numpy\(float",
    ),
    "xarray": (lambda: stand_ins.DataArray(stand_ins.COO(OTHER)), r"NAME\.data\.todense\(\)"),
    "dask": (lambda: stand_ins.Chunks(OTHER), r"dask\.Array: NAME\.compute\(\)\.toarray\(\)"),
    "anndata file": (backed, r"anndata\._CSRDataset: NAME\.to_memory\(\)\.toarray\(\)"),
    "AnnData": (lambda: simple("anndata._core.anndata", "AnnData"), r"NAME\.X is its matrix"),
    "cupy": (lambda: simple("cupy", "ndarray"), r"cupy\.ndarray: NAME\.get\(\)"),
    "cupyx": (lambda: simple("cupyx.scipy.sparse._base", "spmatrix"), r"NAME\.get\(\)\.toarray"),
    "tensorflow": (
        lambda: simple("tensorflow.python", "SparseTensor"), r"tensorflow\.sparse\.to_dense\(",
    ),
    "graphblas": (lambda: simple("graphblas.core.matrix", "Matrix"), r"NAME\.to_dense\(0\)"),
    "networkx": (lambda: simple("networkx.classes", "Graph"), r"networkx\.to_numpy_array\(NAME\)"),
    "NMArray": (lambda: NMArray.from_scipy(OTHER, 4, 4), r"NMArray: NAME\.toarray\(\)"),
    "NMTransposed": (lambda: NMArray.from_scipy(OTHER.T.tocsr(), 4, 4).T, r"NAME\.toarray\(\)"),
    "PreparedMatrix": (lambda: prepare(OTHER, tune=False), r"NAME\.toscipy\(\)\.toarray\(\)"),
    "Int8Matrix": (lambda: prepare(OTHER, dtype="int8"), r"NAME\.dequantise\(\)\.toarray\(\)"),
    "operator": (lambda: spkernels.aslinearoperator(OTHER), r"NAME\.A\.toarray\(\)"),
    "pattern": (lambda: prepare(OTHER, op="sddmm"), r"got PreparedPattern"),
    "mask": (lambda: masks.full(8, 5), r"NAME\.toarray\(\)"),
    "scipy": (lambda: OTHER, r"csr_array: NAME\.toarray\(\)"),
    "held by an object": (lambda: np.array(OTHER), r"csr_array: NAME\.toarray\(\)"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DENSE)
def test_dense_operands_that_are_refused(kind):
    make, line = DENSE[kind]
    A, operand = whole_numbers(), make()
    W, nm = prepare(A, tune=False), NMArray.from_scipy(A, 4, 4)
    for name, call in (
        ("B", lambda: spmm(A, operand)), ("B", lambda: W.spmm(operand)), ("B", lambda: W @ operand),
        ("B", lambda: nm @ operand), ("B", lambda: np.matmul(W, operand)),
        ("B", lambda: np.dot(W, operand)),
        ("X", lambda: W.linear(operand)), ("bias", lambda: spmm(A, B, bias=operand)),
        ("X", lambda: sddmm(A, operand, Y)),
        ("V", lambda: spkernels.sparse_attention(X, Y.T, operand, A)),
        ("X", lambda: spkernels.kwinners(operand, 1)),
        ("W", lambda: NMArray.from_dense(operand, 2, 4)), ("W", lambda: prune.nm(operand, 2, 4)),
    ):  # fmt: skip
        if name == "B" and (isinstance(operand, LinearOperator) or sp.issparse(operand)):
            continue  # a product of two operators; two sparse operands, see below
        with pytest.raises(TypeError, match=f"^{name}[ .].*{line.replace('NAME', name)}"):
            call()


SPARSE = {
    "gradient": (
        lambda: stand_ins.tensor(whole_numbers(), "csr").change(requires_grad=True),
        r"NAME\.detach\(\)",
    ),
    "float8": (
        lambda: stand_ins.tensor(whole_numbers(), "coo").change(dtype="torch.float8_e5m2"),
        r"NAME\.float\(\)",
    ),
    "CUDA": (
        lambda: stand_ins.tensor(whole_numbers(), "csr").change(
            device=SimpleNamespace(type="cuda")
        ),
        r"NAME\.cpu\(\) copies it from cuda, spkernels\.cuda multiplies there",
    ),
    "dense parts": (
        lambda: stand_ins.Tensor(np.ones((3, 8)), "sparse_coo", dense_dim=1, shape=(6, 8)),
        r"NAME\.to_dense\(\)",
    ),
    "jax on a GPU": (
        lambda: stand_ins.jax_sparse("BCOO", (6, 8), [1.0], "gpu", indices=[[0, 0]]),
        r'jax\.device_put\(NAME, jax\.devices\("cpu"\)\[0\]\)',
    ),
    "pandas with another fill value": (
        lambda: stand_ins.DataFrame(whole_numbers(), fill=1), "be filled with 0",
    ),
    "pydata with another fill value": (
        lambda: stand_ins.COO(whole_numbers(), fill_value=1), r"fill_value must be 0, got 1",
    ),
    "dask": (lambda: stand_ins.Chunks(whole_numbers()), r"dask\.Array: NAME\.compute\(\)"),
    "anndata file": (backed, r"anndata\._CSRDataset: NAME\.to_memory\(\)"),
    "AnnData": (lambda: simple("anndata._core.anndata", "AnnData"), r"NAME\.X is its matrix"),
    "cupy": (lambda: simple("cupy", "ndarray"), r"NAME\.get\(\)"),
    "cupyx": (lambda: simple("cupyx.scipy.sparse._base", "spmatrix"), r"NAME\.get\(\)"),
    "tensorflow": (
        lambda: simple("tensorflow.python", "SparseTensor"), r"scipy\.sparse\.coo_array\(\(",
    ),
    "graphblas": (
        lambda: simple("graphblas.core.matrix", "Matrix"), r"graphblas\.io\.to_scipy_sparse\(",
    ),
    "networkx": (
        lambda: simple("networkx.classes", "Graph"), r"networkx\.to_scipy_sparse_array\(NAME\)",
    ),
    "torch_sparse": (
        lambda: simple("torch_sparse.tensor", "SparseTensor"), r'NAME\.to_scipy\(layout="csr"\)',
    ),
    "PreparedPattern": (
        lambda: prepare(whole_numbers(), op="sddmm"), r"NAME\.sddmm\(X, Y\) samples at it",
    ),
    "Int8Matrix": (lambda: prepare(whole_numbers(), dtype="int8"), r"NAME\.dequantise\(\) has its"),
    "mask": (lambda: masks.full(6, 8), r"got Mask: NAME\.tocsr\(\) writes its entries out"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPARSE)
def test_sparse_operands_that_are_refused(kind):
    make, line = SPARSE[kind]
    operand = make()
    for verb, name in (
        ("spmm", "A"), ("prepare", "A"), ("recognise", "A"), ("spmspm", "A"), ("spmspv", "A"),
        ("sddmm", "P"), ("masked_softmax", "P"), ("from_sparse", "P"), ("NMArray", "A"),
        ("sparse_attention", "mask"), ("blocks", "positions"),
    ):  # fmt: skip
        if kind == "mask" and verb == "sparse_attention":
            continue  # which is what they are for
        with pytest.raises(TypeError, match=f"^{name} .*{line.replace('NAME', name)}"):
            VERBS[verb](operand)


@pytest.mark.parametrize("verb", ["prepare", "sddmm", "recognise", "spmspm", "NMArray"])
def test_dense_operands_where_sparse_ones_are_expected(verb):
    for operand, line in (
        (np.ones((6, 8)), r"got ndarray: scipy\.sparse\.csr_array\([AP]\) converts it"),
        ([[1.0]], r"got list: scipy\.sparse\.csr_array\([AP]\) converts it"),
        (stand_ins.Tensor(np.ones((6, 8))), r"got torch\.Tensor \(torch\.strided.*csr_array\([AP]"),
        (stand_ins.Chunks(np.ones((6, 8))), r"csr_array\([AP]\.compute\(\)\) converts it"),
        (np.array(whole_numbers()), r"got ndarray: [AP]\.item\(\) is what it holds"),
        (None, "got NoneType$"),
    ):
        if verb == "sddmm" and isinstance(operand, list):
            continue  # of patterns
        with pytest.raises(TypeError, match=f"^[AP] must be a scipy.sparse array, .*{line}"):
            VERBS[verb](operand)


def test_other_arrays_that_numpy_cannot_read():
    A = whole_numbers()
    W, nm = prepare(A, tune=False), NMArray.from_scipy(A, 4, 4)
    for name, call in (
        ("data", lambda array: W.update_values(array)),
        ("tokens", lambda array: masks.global_tokens(8, array)),
        ("positions", lambda array: masks.blocks((8, 8), 1, array)),
        ("values", lambda array: NMArray(nm.shape, 4, array, nm.packed_indices)),
        ("packed_indices", lambda array: NMArray(nm.shape, 4, nm.values, array)),
    ):
        array = stand_ins.Tensor(np.ones((4, 2))).change(requires_grad=True)
        with pytest.raises(TypeError, match=rf"^{name} must .*{name}\.detach\(\)"):
            call(array)
    W.update_values(stand_ins.Tensor(2 * A.data))
    np.testing.assert_array_equal(W @ B, 2 * (A @ B))


def test_classes_without_a_module():
    nowhere = stand_ins.of(None, "Nowhere")
    with pytest.raises(TypeError, match="^A must be a scipy.sparse array, got Nowhere$"):
        prepare(nowhere())
    with pytest.raises(TypeError, match="^B must be an array of numbers, got Nowhere$"):
        spmm(whole_numbers(), nowhere())


def test_numbers_that_numpy_cannot_read():
    for options in ({"alpha": stand_ins.Tensor(2.0).change(requires_grad=True)},
                    {"beta": stand_ins.COO(OTHER), "out": np.ones((6, 5))}):  # fmt: skip
        with pytest.raises(TypeError, match="^(alpha|beta) must be a real number"):
            spmm(whole_numbers(), B, **options)
    np.testing.assert_array_equal(
        spmm(whole_numbers(), B, alpha=stand_ins.Tensor(2.0)), spmm(whole_numbers(), B, alpha=2.0)
    )


def test_two_sparse_operands_are_told_of_the_other_product():
    A = whole_numbers()
    with pytest.raises(TypeError, match=r"both are sparse \(spmspm\(A, B\) makes a dense"):
        spmm(A, A.T)
    with pytest.raises(TypeError, match="both are dense .*: torch.Tensor .* and ndarray"):
        spmm(stand_ins.Tensor(np.ones((6, 8))), B)


def test_errors_of_other_libraries_are_not_the_only_ones():
    """What NumPy's conversion raises names no argument: ours does, and holds theirs."""
    broken = stand_ins.of("somewhere", "Lazy", shape=(8, 5), __array__=lambda self, *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        spmm(whole_numbers(), broken())  # a bug of theirs stays one

    def refuse(self, *_):
        raise RuntimeError("not here")

    lazy = stand_ins.of("somewhere", "Lazy", shape=(8, 5), __array__=refuse)
    with pytest.raises(TypeError, match="^B must be an array of numbers, and Lazy .*: not here"):
        spmm(whole_numbers(), lazy())


# All of them --------------------------------------------------------------------------------------


def test_prepare_keeps_the_pattern_of_an_nm_array():
    """Explicit zeros included, and not the padding."""
    A = from_entries("csr", np.array([0, 0, 2]), np.array([1, 3, 0]), np.array([1.0, 0, 2]), (3, 6))
    W = NMArray.from_scipy(A, 2, 4)
    for made in (prepare(W), prepare(W, tune=False), prepare(W, op="sddmm"), prepare(W.T)):
        assert made.nnz == 3
    np.testing.assert_array_equal(prepare(W).toscipy().indices, [1, 3, 0])
    np.testing.assert_array_equal(prepare(W).toscipy().data, [1, 0, 2])
    assert prepare(W, pattern="2:4").shape == (3, 6)


def test_nothing_is_imported(run_script):
    done = run_script("""
        import sys
        import numpy as np, scipy.sparse as sp, spkernels
        class Tensor:
            __module__, shape = "torch", (3, 3)
            layout = "torch.strided"
        for A in (sp.csr_array(np.eye(3)), Tensor(), np.eye(3), None, [1.0]):
            for B in (np.eye(3), Tensor(), object()):
                try:
                    spkernels.spmm(A, B)
                except Exception:
                    pass
        names = "torch jax jaxlib pandas sparse xarray dask anndata cupy tensorflow networkx"
        print([name for name in names.split() if name in sys.modules])
    """.replace("\n        ", "\n"))
    assert done.stdout.strip() == "[]"
