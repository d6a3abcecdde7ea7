"""Index arrays that change while a call runs: what is kept of a matrix is a validated copy."""

import threading

import numpy as np
import pytest
import scipy.sparse as sp
from strategies import NATIVE_FORMATS, random_sparse

import spkernels
from spkernels import _core


@pytest.fixture
def change_after_check(monkeypatch):
    """Write to a matrix's index arrays at the worst moment: when a check has just passed."""

    def arrange(A):
        arrays = (A.row, A.col) if A.format == "coo" else (A.indices,)
        check = _core.check

        def check_and_change(*arguments):
            result = check(*arguments)
            for array in arrays:
                array[:] = 2**30
            return result

        monkeypatch.setattr(_core, "check", check_and_change)

    return arrange


def prepared(A, B):
    return spkernels.prepare(A, tune=False) @ B


def prepared_sddmm(A, B):
    W = spkernels.prepare(A, op="sddmm")
    return W.sddmm(np.ones((A.shape[0], 3)), np.ones((3, A.shape[1]))).toarray()


@pytest.mark.parametrize("make", [prepared, prepared_sddmm])
@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_what_is_prepared_is_a_validated_copy(fmt, make, change_after_check):
    A = random_sparse(np.random.default_rng(0), fmt, (60, 40), 0.2, np.float64, block=(2, 4))
    B = np.ones((40, 3))
    expected = make(A.copy(), B)
    change_after_check(A)
    np.testing.assert_array_equal(make(A, B), expected)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
def test_weights_of_int8_are_a_validated_copy(fmt, change_after_check):
    rng = np.random.default_rng(0)
    A = random_sparse(rng, fmt, (60, 40), 0.2, np.float64, block=(2, 4))
    B = rng.integers(-9, 9, (40, 5)).astype(np.int8)
    expected = spkernels.prepare(A.copy(), dtype="int8") @ B
    change_after_check(A)
    np.testing.assert_array_equal(spkernels.prepare(A, dtype="int8") @ B, expected)


def test_attention_reads_nothing_outside_of_a_mask_that_changes():
    """An error or some result, and no crash; tests/c/test_changing.c is stricter."""
    rng = np.random.default_rng(0)
    mask = sp.csr_array(random_sparse(rng, "csr", (300, 200), 0.1, np.float32))
    mask.sum_duplicates()
    Q, K = rng.standard_normal((300, 8)), rng.standard_normal((200, 8))
    expected = spkernels.sparse_attention(Q, K, K, mask)
    indices, stop = mask.indices, threading.Event()

    def write():
        while not stop.is_set():
            was = indices.copy()
            indices[::7] = 2**30
            indices[:] = was

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(300):
            try:
                spkernels.sparse_attention(Q, K, K, mask)
            except ValueError as error:
                assert "mask" in str(error)
    finally:
        stop.set()
        thread.join()
    np.testing.assert_array_equal(spkernels.sparse_attention(Q, K, K, mask), expected)
