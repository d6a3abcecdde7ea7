"""What objects say of themselves, without work, and the memory that they say they take."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp

import spkernels
from spkernels import accelerate, formats, masks, prepare
from spkernels._inputs import canonical

rng = np.random.default_rng(0)
D = np.where(rng.random((12, 16)) < 0.4, rng.standard_normal((12, 16)), 0).astype(np.float32)
A = sp.csr_array(D)
NNZ = A.nnz


def prepared(**options):
    return prepare(A, tune=False, n=16, **options)


def used(W):
    W @ np.ones((W.shape[1], 16), np.float32)
    return W


#: Kinds of objects, and what they say of themselves.
OBJECTS = {
    "prepared": (
        prepared,
        f"<PreparedMatrix of 12 x 16, {NNZ} stored, float32, kernel NAME for 16 columns>",
    ),
    "stored in 16 bits": (
        lambda: prepared(storage="bfloat16"),
        f"<PreparedMatrix of 12 x 16, {NNZ} stored, float32, stored as bfloat16, kernel NAME for "
        "16 columns>",
    ),
    "transposed": (
        lambda: prepared().T,
        f"<PreparedMatrix of 16 x 12, {NNZ} stored, float32, kernel not chosen yet for 16 columns, "
        "transposed>",
    ),
    "transposed, used": (
        lambda: used(prepared().T),
        f"<PreparedMatrix of 16 x 12, {NNZ} stored, float32, kernel NAME for 16 columns, "
        "transposed>",
    ),
    "chain": (
        lambda: spkernels.Chain([prepared(), prepared().T]),
        f"<Chain of 16 x 16, 2 layers, {2 * NNZ} stored, float32>",
    ),
    "int8": (
        lambda: prepare(A, dtype="int8"),
        f"<Int8Matrix of 12 x 16, {NNZ} stored, int8, quantised by rows, "
        "kernel int8_gather4 for 128 columns>",
    ),
    "int8 transposed": (
        lambda: prepare(A, dtype="int8").T,
        f"<Int8Matrix of 16 x 12, {NNZ} stored, int8, quantised by rows, kernel not packed yet for "
        "128 columns, transposed>",
    ),
    "pattern": (
        lambda: prepare(A, op="sddmm", k=8),
        f"<PreparedPattern of 12 x 16, {NNZ} stored, float32, kernel chosen by each product, for "
        "rows of 8 elements>",
    ),
    "n:m": (
        lambda: formats.NMArray.from_dense(D, 4, 4),
        f"<NMArray of 12 x 16, 4:4, {NNZ} stored, float32, kernel not chosen yet>",
    ),
    "n:m, used": (
        lambda: used(formats.NMArray.from_dense(D, 4, 4)),
        f"<NMArray of 12 x 16, 4:4, {NNZ} stored, float32, kernel NAME for 128 columns>",
    ),
    "n:m transposed": (
        lambda: formats.NMArray.from_dense(D, 4, 4).T,
        f"<NMTransposed of 16 x 12, 4:4, {NNZ} stored, float32, kernel not chosen yet, transposed>",
    ),
    "mask": (
        lambda: masks.causal(4) & ~masks.window(4, 1),
        "<Mask of 4 x 4, bool, pairs not counted yet, (causal(offset=0) & ~window(radius=1))>",
    ),
    "operator": (
        lambda: spkernels.aslinearoperator(A),
        f"<SparseOperator of 12 x 16, {NNZ} stored in CSR, float32, kernel chosen by each product>",
    ),
    "operator's transpose": (
        lambda: spkernels.aslinearoperator(A).T,
        f"<SparseOperator of 16 x 12, {NNZ} stored in CSC, float32, kernel chosen by each product>",
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_described(name):
    make, text = OBJECTS[name]
    value = make()
    shown = [text.replace("NAME", kernel) for kernel in ("rows", "packed", "dense")]
    assert repr(value) in shown and str(value) in shown


@pytest.mark.parametrize("name", OBJECTS)
def test_sizes_are_what_is_held(name):
    value = OBJECTS[name][0]()
    size = type(value).__sizeof__(value)
    assert size <= sys.getsizeof(value) < size + 100
    if hasattr(value, "nbytes"):
        assert size == object.__sizeof__(value) + value.nbytes
    if name == "operator":
        arrays = A.data.nbytes + A.indices.nbytes + A.indptr.nbytes
        assert size == object.__sizeof__(value) + arrays


def test_sizes_grow_with_what_is_packed():
    W = prepare(sp.csr_array(np.eye(300)), tune=False)
    before = sys.getsizeof(W)
    W @ np.ones(300)
    W @ np.ones((300, 200))
    assert sys.getsizeof(W) >= before
    T = W.T
    before = sys.getsizeof(T)
    T @ np.ones(300)
    assert sys.getsizeof(T) >= before + 300 * 8
    mask = masks.causal(300)
    before = sys.getsizeof(mask)
    assert mask.nnz and sys.getsizeof(mask) == before + mask.nbytes > before
    kept = masks.from_sparse(sp.csr_array(np.tri(300)))
    assert (kept & mask).nbytes >= kept.nbytes + mask.nbytes > 0


def test_nothing_is_made_for_it(monkeypatch):
    values = [make() for make, _ in OBJECTS.values()]
    values += [OBJECTS[name][0]() for name in OBJECTS if "used" not in name]

    def refuse(*arguments, **options):
        raise AssertionError("work was done to say what an object is")

    monkeypatch.setattr(canonical, "transposed", refuse)
    monkeypatch.setattr(spkernels._prepare.prediction, "predict", refuse)
    for name in ("pack", "pack_int8", "column_runs_of", "column_runs_from"):
        monkeypatch.setattr(spkernels._core, name, refuse)
    for value in values:
        repr(value)
        sys.getsizeof(value)


def test_dask_is_told():
    sizeof = pytest.importorskip("dask.sizeof", reason="dask is not installed.").sizeof
    W = prepare(sp.csr_array(np.eye(300)), tune=False)
    assert sizeof(W) >= W.nbytes


def test_the_switch_says_whether_it_is_on():
    assert repr(accelerate) == "<spkernels.accelerate, off in this process>"
    with accelerate() as switch:
        assert repr(switch) == "<spkernels.accelerate, on in this process>"
    assert repr(accelerate) == "<spkernels.accelerate, off in this process>"
