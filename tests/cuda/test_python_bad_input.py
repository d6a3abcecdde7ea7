"""Bad input to spkernels.cuda: an error that names the argument, and what was expected."""

import numpy as np
import pytest
import scipy.sparse as sp
from arrays import Capsule, Plain, Tensor

import spkernels.cuda

torch = pytest.importorskip("torch", reason="torch is not installed.")
pytestmark = pytest.mark.usefixtures("maker")

M, K, N = 4, 3, 2
A = sp.csr_array(np.eye(M, K))


def of(*shape):
    return Tensor(np.ones(shape))


@pytest.fixture(scope="module")
def W(maker):
    return spkernels.cuda.prepare(A)


def read_only():
    array = np.ones((M, N))
    array.flags.writeable = False
    return Tensor(array)


SHARED = np.ones((M + K, N))

CASES = {
    "three dimensions": ((of(2, K, N),), {}, ValueError, r"B must be 1-D or 2-D, got shape"),
    "shape": (
        (of(M, N),),
        {},
        ValueError,
        r"dimension mismatch in W @ B: W has shape \(4, 3\) and B has shape \(4, 2\)",
    ),
    "dtype": (
        (Tensor(np.ones((K, N), np.float32)),),
        {},
        TypeError,
        "B must have dtype float64, which the matrix was prepared for, got float32",
    ),
    "device": (
        (Tensor(np.ones((K, N)), device=1),),
        {},
        ValueError,
        "B must be on device 0, where the matrix was prepared, got device 1",
    ),
    "strides": (
        (Tensor(np.ones((K, 2 * N))[:, ::2]),),
        {},
        ValueError,
        r"B must be row-major or column-major, got strides of \(4, 2\) elements.*contiguous\(\)",
    ),
    "reversed": ((Tensor(np.ones((K, N))[::-1]),), {}, ValueError, "B must be row-major or"),
    "reversed vector": ((Tensor(np.ones(K)[::-1]),), {}, ValueError, "B must be row-major or"),
    "broadcast": (
        (Tensor(np.broadcast_to(np.ones(N), (K, N))),),
        {},
        ValueError,
        "B must be row-major or column-major",
    ),
    "odd strides": (
        (Plain(np.ndarray((K, N), np.float64, np.zeros(400, np.uint8), strides=(20, 8))),),
        {},
        ValueError,
        "B must have strides that are whole elements",
    ),
    "NumPy": (
        (np.ones((K, N)),),
        {},
        TypeError,
        r"B must be an array on the GPU.*numpy.ndarray in host memory.*asarray\(B\).*copy=True",
    ),
    "interface of the host": ((Plain(None),), {}, TypeError, "B must be an array on the GPU"),
    "list": (([[1.0]],), {}, TypeError, "B must be an array on the GPU.*got list in host memory"),
    "DLPack of the host": (
        (Capsule(np.ones((K, N)), device=(1, 0)),),
        {},
        TypeError,
        "B must be an array on the GPU",
    ),
    "out of the host": (
        (of(K, N),),
        {"out": np.ones((M, N))},
        TypeError,
        "out must be an array on the GPU",
    ),
    "out's shape": (
        (of(K, N),),
        {"out": of(M, N + 1)},
        ValueError,
        r"out must have shape \(4, 2\), got \(4, 3\)",
    ),
    "out's dtype": (
        (of(K, N),),
        {"out": Tensor(np.ones((M, N), np.float32))},
        ValueError,
        "out must have dtype float64, got float32",
    ),
    "out's strides": (
        (of(K, N),),
        {"out": Tensor(np.ones((M, 2 * N))[:, ::2])},
        ValueError,
        "out must be row-major or column-major",
    ),
    "read-only out": ((of(K, N),), {"out": read_only()}, ValueError, "out must be writeable"),
    "read-only interface": (
        (of(K, N),),
        {"out": Plain(np.ones((M, N)), read_only=True)},
        ValueError,
        "out must be writeable, got a read-only array",
    ),
    "out over B": (
        (Tensor(SHARED[:K]),),
        {"out": Tensor(SHARED[K - 1 :][:M])},
        ValueError,
        "out must not overlap B",
    ),
    "out over bias": (
        (of(K, N),),
        {"out": Tensor(SHARED[:M]), "bias": Tensor(SHARED[1])},
        ValueError,
        "out must not overlap bias",
    ),
    "beta": ((of(K, N),), {"beta": 1.0}, ValueError, "beta must be 0 without out"),
    "alpha": ((of(K, N),), {"alpha": "2"}, TypeError, "alpha must be a real number, got '2'"),
    "complex": ((of(K, N),), {"alpha": 1j}, TypeError, "alpha must be a real number"),
    "order": ((of(K, N),), {"order": "A"}, ValueError, "order must be None, 'C', 'F' or 'K'"),
    "order and out": (
        (of(K, N),),
        {"order": "C", "out": of(M, N)},
        ValueError,
        "order must be None where out is given",
    ),
    "activation": (
        (of(K, N),),
        {"activation": "relu7"},
        ValueError,
        "activation must be one of None, 'relu'.*got 'relu7'",
    ),
    "bias's shape": (
        (of(K, N),),
        {"bias": of(M)},
        ValueError,
        r"bias must be a number or have shape \(2,\), \(1, 2\) or \(4, 1\), got \(4,\)",
    ),
    "bias's dtype": (
        (of(K, N),),
        {"bias": Tensor(np.ones(N, np.float32))},
        TypeError,
        "bias must have dtype float64",
    ),
    "bias's strides": (
        (of(K, N),),
        {"bias": Tensor(np.ones(2 * N)[::2])},
        ValueError,
        "bias must be contiguous",
    ),
    "bias of the host": (
        (of(K, N),),
        {"bias": np.ones(N)},
        TypeError,
        "bias must be an array on the GPU",
    ),
    "stream": ((of(K, N),), {"stream": "fast"}, TypeError, "stream must be a pointer as an int"),
    "negative stream": ((of(K, N),), {"stream": -1}, ValueError, "stream must be a pointer"),
}


@pytest.mark.parametrize("case", CASES)
def test_products(W, case):
    operands, options, kind, text = CASES[case]
    with pytest.raises(kind, match=text):
        W.spmm(*operands, **options)


def test_on_the_right(W):
    with pytest.raises(
        ValueError, match=r"in X @ W: X has shape \(2, 3\) and W has shape \(4, 3\)"
    ):
        _ = of(2, 3) @ W
    with pytest.raises(TypeError, match="X must be an array on the GPU"):
        _ = np.ones((2, 4)) @ W
    # torch leaves it to W.
    with pytest.raises(TypeError, match="X must have dtype float64"):
        _ = torch.ones(2, 4) @ W


def test_functions(W):
    both = [((W, A), "both are sparse"), ((of(2, 2), of(2, 2)), "both are dense")]
    for operands, text in both:
        with pytest.raises(TypeError, match=f"exactly one of A and B must be sparse, {text}"):
            spkernels.cuda.spmm(*operands)
    with pytest.raises(
        ValueError, match=r"in A @ B: A has shape \(2, 5\) and B has shape \(4, 3\)"
    ):
        spkernels.cuda.spmm(of(2, 5), W)
    with pytest.raises(TypeError, match="B must be an array on the GPU"):
        spkernels.cuda.spmm(W, np.ones((K, N)))


PREPARE = {
    "dense": (
        (np.ones((2, 2)),),
        {},
        TypeError,
        "A must be a sparse matrix of scipy.sparse",
    ),
    "dense tensor": ((torch.ones(2, 2),), {}, TypeError, "A must be a sparse matrix.*got Tensor"),
    "1-D": ((sp.coo_array(np.ones(3)),), {}, ValueError, r"A must be 2-D, got shape \(3,\)"),
    "complex": ((A.astype(complex),), {}, TypeError, "A must hold real numbers, got dtype complex"),
    "longdouble": ((A.astype(np.longdouble),), {}, TypeError, "dtype must be one of float32"),
    "dtype": ((A, "int8"), {}, TypeError, "dtype must be one of float32, .*bfloat16, got int8"),
    "kernel": ((A,), {"kernel": "fast"}, ValueError, "kernel must be one of 'auto', 'rows'"),
    "precision": ((A,), {"precision": "half"}, ValueError, "precision must be one of 'strict'"),
    "precision of float64": (
        (A,),
        {"precision": "tf32"},
        ValueError,
        "precision must be 'strict' for dtype float64, got 'tf32'",
    ),
    "op": ((A,), {"op": "spmv"}, ValueError, "op must be one of 'spmm', 'sddmm', 'attention'"),
    "no op": ((A,), {"op": ()}, ValueError, "op must be one of"),
    "n": ((A,), {"n": 0}, ValueError, "n must be from 1 to 2147483647, got 0"),
    "pattern": ((A,), {"pattern": "two:4"}, ValueError, "pattern"),
}


@pytest.mark.parametrize("case", PREPARE)
def test_prepare(case):
    operands, options, kind, text = PREPARE[case]
    with pytest.raises(kind, match=text):
        spkernels.cuda.prepare(*operands, **options)


@pytest.mark.parametrize(
    ("name", "position", "value", "text"),
    [
        ("indices", 1, 3, "A.indices is corrupted.*out of range"),
        ("indices", 0, -1, "A.indices is corrupted"),
        ("indptr", 1, 9, "A.indptr is corrupted"),
        ("indptr", -1, 9, "A.indptr is corrupted"),
    ],
)
def test_corrupted(name, position, value, text):
    B = A.copy()
    getattr(B, name)[position] = value
    with pytest.raises(ValueError, match=text):
        spkernels.cuda.prepare(B)


def test_new_values(W):
    cases = [
        (of(5), ValueError, r"values must have shape \(3,\), got \(5,\)"),
        (Tensor(np.ones(3, np.float32)), TypeError, "values must have dtype float64"),
        (Tensor(np.ones(6)[::2]), ValueError, "values must be contiguous"),
        (np.ones(3), TypeError, "values must be an array on the GPU"),
    ]
    for values, kind, text in cases:
        with pytest.raises(kind, match=text):
            W.update_values(values)
    D = spkernels.cuda.prepare(A.todia())
    with pytest.raises(ValueError, match="values have no order of their own in DIA"):
        D.update_values(of(D.nnz))


def test_a_device_that_is_not_there():
    assert spkernels.cuda.is_available() and spkernels.cuda.is_available(0)
    assert spkernels.cuda.why_not(3) == "there is no device 3: the process sees 1, counted from 0"


def test_statuses(W, monkeypatch):
    """What the library may return, as exceptions."""
    from spkernels.cuda import _errors, _library

    packed = W._source.packed(False)
    for status, kind, text in (
        (_library.ERR_MEMORY, MemoryError, "out of memory while packing"),
        (_library.ERR_RUNTIME, spkernels.cuda.CudaError, "CUDA reported an error: no error"),
        (_library.ERR_DRIVER, spkernels.cuda.UnavailableError, "no NVIDIA driver"),
        (_library.ERR_SHAPE, ValueError, "exceed what a launch can have"),
    ):
        with pytest.raises(kind, match=text):
            _errors.raise_status(packed.library, status, "packing")
