"""What prepared matrices keep, and what their products take besides the result."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

from spkernels import spmm
from spkernels._epilogue import dense_product
from spkernels._kernels import KERNELS

MIB = 1 << 20


def peak(call):
    """The most bytes that NumPy's arrays took at once during a call, besides those before."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("beta", [0.0, 0.5])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
@pytest.mark.parametrize("bias", [None, "row", "column"])
def test_the_dense_kernel_makes_no_temporary_of_the_result(bias, order, beta):
    m, k, n = 4096, 64, 1024  # a result of 16 MiB
    rng = np.random.default_rng(0)
    A = sp.csr_array(rng.standard_normal((m, k), np.float32))
    kernel = KERNELS["dense"](A, n)
    B = rng.standard_normal((k, n), np.float32)
    wide = np.ones((m, 2 * n), np.float32)
    out = wide[:, ::2] if order == "strided" else np.ones((m, n), np.float32, order=order)
    biases = {"row": rng.standard_normal(n, np.float32), None: None}
    biases["column"] = rng.standard_normal((m, 1), np.float32)

    def multiply():
        options = (out, 0.75, beta, biases[bias], "relu", None, 2)
        assert kernel.multiply(B, *options) is out

    assert peak(multiply) <= 10 * MIB
    out[...] = 1
    multiply()
    expected = 0.75 * (A.toarray().astype(float) @ B) + beta
    if bias is not None:
        expected += biases[bias]
    np.testing.assert_allclose(out, np.maximum(expected, 0), rtol=1e-4, atol=1e-4)
    if order == "strided":
        assert (wide[:, 1::2] == 1).all()


def test_the_dense_kernel_makes_results_in_their_order():
    A, B = sp.csr_array(np.ones((4096, 8), np.float32)), np.ones((8, 1024), np.float32)
    kernel = KERNELS["dense"](A, 1024)
    for order in ("C", "F"):
        options = (None, 2.0, 0.0, np.float32(1), "relu", order, 2)
        assert peak(lambda o=options: kernel.multiply(B, *o)) <= 16 * MIB + MIB
        result = kernel.multiply(B, *options)
        assert result.flags[f"{order}_CONTIGUOUS"]
        np.testing.assert_array_equal(result, 17)


@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_the_dense_kernel_reads_operands_that_out_overlaps_first(beta):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((40, 40))
    for shape in ((40,), (40, 5)):
        B = rng.standard_normal(shape)
        expected = A @ B + beta * B + B[:1]
        out = B.copy()
        dense_product(A, out, out, 1.0, beta, out[:1], None, "C")
        np.testing.assert_allclose(out, expected)


def test_other_dtypes_take_one_temporary_of_the_result():
    """scipy makes the product; what follows is done in it."""
    A = sp.csr_array(np.ones((4096, 8), np.int64))
    B, out = np.ones((8, 512), np.int64), np.ones((4096, 512), np.int64)  # 16 MiB
    took = peak(lambda: spmm(A, B, out=out, alpha=2, beta=3, bias=1, activation="relu"))
    assert took <= (16 + 10) * MIB
    out[...] = 1
    spmm(A, B, out=out, alpha=2, beta=3, bias=1, activation="relu")
    np.testing.assert_array_equal(out, 2 * 8 + 3 + 1)
