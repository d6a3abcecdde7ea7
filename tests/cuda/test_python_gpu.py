"""spkernels.cuda with the real CuPy, torch and numba on a GPU: nothing here is emulated."""

import numpy as np
import pytest
import scipy.sparse as sp
from gpu import EMULATED
from reference import assert_spmm
from strategies import random_dense, random_sparse

import spkernels.cuda

pytestmark = pytest.mark.skipif(EMULATED, reason="It needs a GPU, and this one is emulated.")


@pytest.fixture(scope="module")
def A():
    return random_sparse(np.random.default_rng(0), "csr", (300, 200), 0.1, np.float32)


def dense(*shape):
    return random_dense(np.random.default_rng(1), shape, np.float32)


def test_cupy(A):
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed.")
    sparse = pytest.importorskip("cupyx.scipy.sparse", reason="CuPy is not installed.")
    B, X, bias = dense(200, 33), dense(33, 200), dense(300)
    for given in (A, sparse.csr_matrix(A), sparse.coo_matrix(A), sparse.csc_matrix(A)):
        W = spkernels.cuda.prepare(given)
        C = W @ cupy.asarray(B)
        assert isinstance(C, cupy.ndarray)
        assert_spmm(cupy.asnumpy(C), A, B)
    Y = spkernels.cuda.spmm(cupy.asarray(X), W.T, bias=cupy.asarray(bias), activation="gelu")
    assert_spmm(cupy.asnumpy(Y), X, A.T, bias=bias, activation="gelu")
    assert_spmm(cupy.asnumpy(cupy.asarray(dense(33, 300)) @ W), dense(33, 300), A)
    stream = cupy.cuda.Stream(non_blocking=True)
    device = cupy.asarray(B)
    cupy.cuda.Device().synchronize()
    C = W.spmm(device, order="F", bias=0.5, stream=stream)
    stream.synchronize()
    assert C.flags.f_contiguous
    assert_spmm(cupy.asnumpy(C), A, B, bias=0.5)
    assert_spmm(spkernels.cuda.spmm(W, B, copy=True), A, B)


def test_torch(A):
    torch = pytest.importorskip("torch", reason="torch is not installed.")
    B, X = torch.from_numpy(dense(200, 33)).cuda(), torch.from_numpy(dense(33, 200)).cuda()
    tensor = torch.sparse_csr_tensor(*map(torch.from_numpy, (A.indptr, A.indices, A.data)), A.shape)
    for given in (A, tensor, tensor.cuda(), tensor.cuda().to_sparse_coo()):
        W = spkernels.cuda.prepare(given)
        C = W @ B
        assert C.is_cuda and C.device == B.device
        assert_spmm(C.cpu().numpy(), A, B.cpu().numpy())
    assert_spmm((X @ W.T).cpu().numpy(), X.cpu().numpy(), A.T)
    side = torch.cuda.Stream()
    torch.cuda.synchronize()
    Y = spkernels.cuda.spmm(X, W.T, activation="relu", stream=side)
    with torch.cuda.stream(side):
        Z = X @ W.T
    torch.cuda.synchronize()
    assert_spmm(Y.cpu().numpy(), X.cpu().numpy(), A.T, activation="relu")
    assert torch.equal(Z.relu(), Y)


def test_cuda_graphs(A):
    torch = pytest.importorskip("torch", reason="torch is not installed.")
    W = spkernels.cuda.prepare(A, transpose=True)
    X, values = torch.from_numpy(dense(33, 200)).cuda(), torch.from_numpy(A.data).cuda()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        W.update_values(values)
        Y = X @ W.T
        Z = Y @ W
    values.mul_(2)
    X.mul_(3)
    graph.replay()
    torch.cuda.synchronize()
    doubled = 2 * A
    assert_spmm(Y.cpu().numpy(), X.cpu().numpy(), doubled.T)
    assert_spmm(Z.cpu().numpy(), Y.cpu().numpy(), doubled)


def test_the_pool_of_memory_is_not_outgrown(A):
    """Workspaces and results go back as soon as they may."""
    torch = pytest.importorskip("torch", reason="torch is not installed.")
    W = spkernels.cuda.prepare(A)
    X = torch.from_numpy(dense(1024, 200)).cuda()
    _ = X @ W.T
    torch.cuda.synchronize()
    before = torch.cuda.memory_reserved()
    for _ in range(200):
        _ = X @ W.T
    assert torch.cuda.memory_reserved() <= 2 * before


def test_numba_and_dlpack(A):
    cuda = pytest.importorskip("numba.cuda", reason="numba is not installed.")
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed.")
    W = spkernels.cuda.prepare(A)
    B = dense(200, 8)
    C = W @ cuda.to_device(B)
    assert type(C).__module__.startswith("numba")
    assert_spmm(C.copy_to_host(), A, B)

    class OnlyDlpack:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    C = W @ OnlyDlpack(cupy.asarray(B))
    assert_spmm(cupy.asnumpy(C), A, B)


def test_halves():
    torch = pytest.importorskip("torch", reason="torch is not installed.")
    A = sp.random(256, 256, 0.1, "csr", np.float32, rng=np.random.default_rng(2))
    A.data = np.round(A.data * 8) / 8
    B = torch.randint(-2, 3, (256, 64)).cuda()
    for dtype in (torch.float16, torch.bfloat16):
        C = spkernels.cuda.prepare(A, dtype) @ B.to(dtype)
        exact = torch.from_numpy(A.toarray()).cuda() @ B.float()
        torch.testing.assert_close(C, exact.to(dtype), rtol=0, atol=0)
