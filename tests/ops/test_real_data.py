"""Real matrices, where their folder is: named by SPKERNELS_DATA, or beside the repository."""

import csv

import numpy as np
import pytest
from conftest import NO_REAL_DATA, REAL_DATA
from reference import assert_sddmm, assert_spmm
from strategies import NATIVE_FORMATS, random_dense

from spkernels import datasets, sddmm, spmm

# Above this many entries, fewer and narrower products: the float64 reference takes its time.
LARGE = 300_000


def matrices():
    path = REAL_DATA / "MANIFEST.csv"
    if not path.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=NO_REAL_DATA))]
    with path.open(newline="") as lines:
        return [pytest.param(row, id=row["file"]) for row in csv.DictReader(lines)]


def load(row):
    name, _, key = row["file"].partition("#")
    shape = (int(row["rows"]), int(row["cols"])) if ".raw" in name else None
    return datasets.load(REAL_DATA / name, key=key or None, shape=shape)


@pytest.mark.parametrize("row", matrices())
def test_products_of_real_matrices(row):
    A = load(row)
    rng = np.random.default_rng(0)
    if A.dtype.kind == "c":
        B = rng.standard_normal((A.shape[1], 7))
        np.testing.assert_array_equal(spmm(A, B), A @ B)
        return
    A = A.astype(np.float32)
    for n in (1, 7) if A.nnz > LARGE else (1, 7, 32, 70):
        B = random_dense(rng, (A.shape[1], n), np.float32)
        assert_spmm(spmm(A, B), A, B)
    D = random_dense(rng, (7, A.shape[0]), np.float32)
    assert_spmm(spmm(D, A), D, A)
    k = 4 if A.nnz > LARGE else 16
    X = random_dense(rng, (A.shape[0], k), np.float32)
    Y = random_dense(rng, (k, A.shape[1]), np.float32, "F")
    assert_sddmm(sddmm(A, X, Y, scale=True), A, X, Y, scale=True)


@pytest.mark.parametrize("fmt", NATIVE_FORMATS)
@pytest.mark.parametrize("name", ["mtx/zenios.mtx.gz", "mat/bar.mat",
                                  "lyra/768_512_95_4x4_fineproj_weights.raw.gz"])
def test_real_matrices_in_every_format(name, fmt):
    """Explicit zeros; 3 x 3 and 4 x 4 blocks; in float64."""
    rows = [param.values[0] for param in matrices()]
    if rows == [None]:
        pytest.skip(NO_REAL_DATA)
    A = load(next(row for row in rows if row["file"] == name)).astype(np.float64)
    if fmt == "bsr":
        side = 3 if "bar" in name else 4 if "lyra" in name else 1
        A = A.tobsr((side, side))
    else:
        A = A.asformat(fmt)
    rng = np.random.default_rng(1)
    B = random_dense(rng, (A.shape[1], 20), np.float64)
    assert_spmm(spmm(A, B), A, B)
    X = random_dense(rng, (A.shape[0], 9), np.float64)
    Y = random_dense(rng, (9, A.shape[1]), np.float64)
    assert_sddmm(sddmm(A, X, Y), A, X, Y)
