"""C = A @ B on tensor cores, by panels whose cells are written out, against float64."""

import numpy as np
import pytest
import scipy.sparse as sp
import tensor
from gpu import EMULATED, Handle
from hypothesis import given
from hypothesis import strategies as st

from spkernels.cuda import _library

KERNEL = "gather"
kinds = st.sampled_from(sorted(tensor.PRODUCTS))
seeds = st.integers(0, 2**32 - 1)


@given(
    seed=seeds,
    kind=kinds,
    pattern=st.sampled_from(tensor.PATTERNS),
    m=st.sampled_from([0, 1, 15, 16, 17, 40, 64, 70, 120, 130]),
    k=st.integers(1, 90),
    n=st.sampled_from([0, 1, 7, 8, 64, 65, 129, 256]),
    layouts=st.sampled_from(["CC", "CF", "FC", "FF"]),
    apart=st.sampled_from([0, 1, 4, 8]),
    shift=st.sampled_from([0, 1, 2, 8]),
)
def test_any_matrix(library, seed, kind, pattern, m, k, n, layouts, apart, shift):
    tensor.check_any_matrix(library, KERNEL, kind, seed, pattern, m, k, n, layouts, apart, shift)


@given(
    seed=seeds,
    kind=kinds,
    layout=st.sampled_from("CF"),
    activation=st.sampled_from(sorted(tensor.ACTIVATIONS, key=str)),
    n=st.sampled_from([3, 16, 80]),
)
def test_epilogue(library, seed, kind, layout, activation, n):
    tensor.check_epilogue(library, KERNEL, kind, seed, layout, activation, n)


@given(
    seed=seeds,
    kind=kinds,
    pattern=st.sampled_from(tensor.PATTERNS),
    m=st.sampled_from([1, 20, 70]),
    k=st.integers(1, 90),
    n=st.sampled_from([1, 24, 64]),
    layout=st.sampled_from("CF"),
)
def test_not_finite(library, seed, kind, pattern, m, k, n, layout):
    tensor.check_not_finite(library, KERNEL, kind, seed, pattern, m, k, n, layout)


@pytest.mark.parametrize("kind", sorted(tensor.PRODUCTS))
@pytest.mark.parametrize("n", [5, 72])
def test_cut(library, kind, n):
    tensor.check_cut(library, KERNEL, kind, 7 * n, n)


def test_refuses(library):
    A = sp.csr_array(np.eye(3))
    assert Handle(library, A, "float64", kernel=KERNEL).status == _library.ERR_DTYPE
    assert Handle(library, A, "float32", kernel=KERNEL).status == _library.ERR_ARGUMENT


@pytest.mark.skipif(not EMULATED, reason="how tensor cores of GPUs round is not known")
@pytest.mark.parametrize("kind", sorted(tensor.PRODUCTS))
@pytest.mark.parametrize(("m", "k"), [(8, 64), (20, 64), (50, 64), (100, 64), (1030, 272)])
@pytest.mark.parametrize("n", [40, 130])
def test_steps(library, kind, m, k, n):
    tensor.check_steps(library, KERNEL, kind, m, k, n)


@pytest.mark.parametrize("kind", sorted(tensor.PRODUCTS))
def test_new_values(library, kind):
    tensor.check_new_values(library, KERNEL, kind)


@pytest.mark.skipif(not EMULATED, reason="needs 24 GiB of which next to nothing is touched")
@pytest.mark.parametrize("precision", ["tf32", "3xtf32"])
def test_rows_nearly_4_gib_apart(library, precision):
    tensor.check_far_rows(library, KERNEL, precision)
