"""Arrays of CuPy: what spkernels.cuda asks of them, by a stand-in for CuPy over host memory."""

import contextlib
import sys
import types

import numpy as np
import pytest
import scipy.sparse as sp
from reference import assert_spmm
from strategies import random_dense, random_sparse

import spkernels.cuda
from spkernels.cuda import _arrays

pytestmark = pytest.mark.usefixtures("maker")


class ndarray:
    __array_ufunc__ = None

    def __init__(self, array):
        self.array = array
        self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype
        self.data = types.SimpleNamespace(ptr=array.ctypes.data)
        self.device = types.SimpleNamespace(id=0)

    @property
    def T(self):
        return ndarray(self.array.T)

    def fill(self, value):
        self.array.fill(value)

    def take(self, index, axis):
        return ndarray(self.array.take(index.array, axis))


ndarray.__module__ = "cupy"


class Memory:
    def __init__(self, size):
        self.array = np.empty(size + 256, np.uint8)
        self.ptr = self.array.ctypes.data + -self.array.ctypes.data % 256


class matrix:
    """Of cupyx.scipy.sparse."""

    def __init__(self, host):
        self.host, self.dtype, self.device = host, host.dtype, contextlib.nullcontext()

    def get(self):
        return self.host


matrix.__module__ = "cupyx.scipy.sparse._csr"


@pytest.fixture
def cupy(monkeypatch):
    """A module with what is asked of CuPy, and the streams that were asked for."""
    cupy = types.ModuleType("cupy")
    cupy.streams, current = [], [77]

    @contextlib.contextmanager
    def external(pointer):
        cupy.streams.append(pointer)
        yield

    cupy.ndarray = ndarray
    cupy.empty = lambda shape, dtype: ndarray(np.full(shape, np.nan, dtype))
    cupy.asarray = lambda value, dtype=None: (
        value if isinstance(value, ndarray) else ndarray(np.array(value, dtype))
    )
    cupy.asnumpy = lambda array: array.array.copy()
    cupy.cuda = types.SimpleNamespace(
        alloc=Memory,
        get_current_stream=lambda device: types.SimpleNamespace(ptr=current[0]),
        runtime=types.SimpleNamespace(getDevice=lambda: 0),
        ExternalStream=external,
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(_arrays, "_LIBRARIES", {})
    monkeypatch.setattr(_arrays, "_made", {})
    return cupy


def test_products(cupy):
    rng = np.random.default_rng(0)
    A = random_sparse(rng, "coo", (9, 7), 0.4, np.float32)
    B, X, bias = (random_dense(rng, size, np.float32) for size in ((7, 4), (4, 9), (4,)))
    W = spkernels.cuda.prepare(matrix(A))
    C = W.spmm(ndarray(B), bias=ndarray(bias), activation="silu")
    assert isinstance(C, ndarray) and cupy.streams == []
    assert_spmm(C.array, A, B, bias=bias, activation="silu")
    assert_spmm((ndarray(X) @ W).array, X, A)
    F = W.spmm(ndarray(np.asfortranarray(B)), order="K", bias=0.5, stream=3).array
    assert F.flags.f_contiguous and cupy.streams == [3]
    assert_spmm(F, A, B, bias=0.5)


def test_new_values_and_copies(cupy):
    rng = np.random.default_rng(1)
    A = random_sparse(rng, "coo", (9, 7), 0.4, np.float32)
    B = random_dense(rng, (7, 4), np.float32)
    W = spkernels.cuda.prepare(A)
    W.update_values(ndarray(2 * A.data))
    result = spkernels.cuda.spmm(W, B, copy=True)
    assert isinstance(result, np.ndarray)
    assert_spmm(result, 2 * A, B)


def test_the_stream_is_that_of_cupy(cupy, monkeypatch):
    W = spkernels.cuda.prepare(sp.csr_array(np.eye(3)))
    packed, given = W._source.packed(False), []

    class Library:
        def __getattr__(self, name):
            return getattr(spkernels.cuda._runtime.library(), name)

        def spk_cuda_spmm(self, *arguments):
            given.append(arguments[-1])
            return 0

    monkeypatch.setattr(packed, "library", Library())
    _ = W @ ndarray(np.ones((3, 2)))
    W.spmm(ndarray(np.ones((3, 2))), stream=5)
    assert given == [77, 5]


def test_the_library_that_makes_arrays(cupy, monkeypatch):
    """CuPy, else torch, else an error that says what to install."""
    assert _arrays.default_library().name == "cupy"
    monkeypatch.setattr(_arrays, "_LIBRARIES", {})
    monkeypatch.setattr(_arrays, "_made", {})
    monkeypatch.setitem(sys.modules, "cupy", None)  # an import of it fails
    pytest.importorskip("torch", reason="torch is not installed.")
    assert _arrays.default_library().name == "torch"
    monkeypatch.setattr(_arrays, "_LIBRARIES", {})
    monkeypatch.setattr(_arrays, "_made", {})
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="made by CuPy or torch, and neither is installed"):
        spkernels.cuda.asarray(np.ones(3))
