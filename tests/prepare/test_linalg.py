import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from reference import EXTRA_OPERATIONS, assert_rounded_alike

import spkernels
from spkernels import aslinearoperator
from spkernels._prepare import linear_operator

FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")


@pytest.fixture
def counted(monkeypatch):
    """Count the products that reach spmm, by the format of the sparse operand."""
    formats = []

    def spmm(A, B):
        formats.append(A.format)
        return spkernels.spmm(A, B)

    monkeypatch.setattr(linear_operator, "spmm", spmm)
    return formats


def make(format="csr", dtype=np.float64, shape=(14, 8), kind="array", seed=0):
    rng = np.random.default_rng(seed)
    dense = rng.standard_normal(shape) * (rng.random(shape) < 0.4)
    if np.dtype(dtype).kind == "c":
        dense = dense * np.exp(1j * rng.random(shape))
    return getattr(sp, f"{format}_{kind}")((3 * dense).astype(dtype))


def dense(*shape, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.complex64, np.complex128])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["array", "matrix"])
def test_products_are_those_of_scipy(format, dtype, kind, counted):
    A = make(format, dtype, kind=kind)
    operator, plain = aslinearoperator(A), sla.aslinearoperator(A)
    assert operator.shape == A.shape
    assert operator.dtype == A.dtype
    single = dtype in (np.float32, np.complex64)
    by_magnitude = sla.aslinearoperator(abs(A).astype(float))
    for method, length in (("matvec", 8), ("rmatvec", 14), ("matmat", 8), ("rmatmat", 14)):
        shapes = [(length, 5) if method.endswith("mat") else (length,), (length, 1)]
        for shape in shapes:
            x = dense(*shape, dtype=np.float32 if single else np.float64)
            result, expected = getattr(operator, method)(x), getattr(plain, method)(x)
            assert result.shape == expected.shape
            assert result.dtype == expected.dtype
            size = getattr(by_magnitude, method)(abs(x))
            assert_rounded_alike(result, expected, size, length + EXTRA_OPERATIONS)
    assert len(counted) == 8


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("format", FORMATS)
def test_transposes_and_arithmetic(format, dtype):
    A = make(format, dtype)
    reference, operator, x, y = A.toarray(), aslinearoperator(A), dense(8), dense(14)
    np.testing.assert_allclose(operator.T @ y, reference.T @ y)
    np.testing.assert_allclose(operator.H @ y, reference.conj().T @ y)
    np.testing.assert_allclose(operator.T.T @ x, reference @ x)
    np.testing.assert_allclose(operator.H.H @ x, reference @ x)
    np.testing.assert_allclose(operator.H.T @ x, reference.conj() @ x)
    np.testing.assert_allclose(operator.T.rmatvec(x), reference.conj() @ x)
    np.testing.assert_allclose(operator.H.rmatvec(x), reference @ x)
    np.testing.assert_allclose((2 * operator + operator) @ x, 3 * (reference @ x))
    np.testing.assert_allclose((operator.H @ operator) @ x, reference.conj().T @ (reference @ x))
    np.testing.assert_allclose(operator @ np.eye(8), reference)


def test_matrices_beget_matrices():
    A = make("csr", kind="matrix")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        x = np.asmatrix(dense(8, 1))
        result = aslinearoperator(A).matvec(x)
    assert isinstance(result, np.matrix)
    np.testing.assert_allclose(result, A @ x)


def test_the_matrix_is_not_copied():
    A = make("csr")
    operator, x = aslinearoperator(A), dense(14)
    before = operator.rmatvec(x)
    A.data *= 2
    np.testing.assert_allclose(operator.matvec(dense(8)), A @ dense(8))
    np.testing.assert_allclose(operator.rmatvec(x), 2 * before)


@pytest.mark.parametrize("format", ["dia", "dok", "lil"])
def test_other_formats_are_converted_once(format, counted):
    operator = aslinearoperator(make(format))
    operator @ dense(8)
    operator @ dense(8)
    assert counted == ["csr", "csr"]


def test_pickles():
    operator = pickle.loads(pickle.dumps(aslinearoperator(make())))
    np.testing.assert_allclose(operator @ dense(8), make() @ dense(8))


def spd(n=300):
    A = make(shape=(n, n))
    return (A @ A.T / n + sp.csr_array(np.diag(np.linspace(1.0, 2.0, n)))).tocsr()


SOLVERS = {
    "cg": lambda A, b: sla.cg(A, b, atol=1e-10)[0],
    "bicg": lambda A, b: sla.bicg(A, b, atol=1e-10)[0],
    "bicgstab": lambda A, b: sla.bicgstab(A, b, atol=1e-10)[0],
    "gmres": lambda A, b: sla.gmres(A, b, atol=1e-10)[0],
    "minres": lambda A, b: sla.minres(A, b)[0],
    "qmr": lambda A, b: sla.qmr(A, b, atol=1e-10)[0],
    "lsqr": lambda A, b: sla.lsqr(A, b, atol=1e-12, btol=1e-12)[0],
    "lsmr": lambda A, b: sla.lsmr(A, b, atol=1e-12, btol=1e-12)[0],
    "eigsh": lambda A, b: sla.eigsh(A, k=3, v0=b, return_eigenvectors=False),
    "svds": lambda A, b: np.sort(sla.svds(A, k=3, v0=b, return_singular_vectors=False)),
    "lobpcg": lambda A, b: sla.lobpcg(A, dense(len(b), 4), tol=1e-6, maxiter=60)[0][:2],
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_run_on_spmm(solver, counted):
    A = spd()
    b = dense(A.shape[0])
    expected = SOLVERS[solver](A, b)
    result = SOLVERS[solver](aslinearoperator(A), b)
    # Solvers stop by tolerances of their own: how rounding differs decides where.
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)
    assert len(counted) > 2


@pytest.mark.parametrize("bad", [np.eye(3), "A", None, sla.aslinearoperator(np.eye(2))])
def test_what_is_not_sparse_is_a_type_error(bad):
    name = type(bad).__name__
    with pytest.raises(TypeError, match=f"A must be a scipy.sparse array, got {name}"):
        aslinearoperator(bad)


def test_one_dimension_is_a_value_error():
    A = sp.coo_array(np.array([1.0, 0.0, 2.0]))
    if A.ndim != 1:
        pytest.skip("This scipy has no 1-D sparse arrays.")
    with pytest.raises(ValueError, match=r"A must be 2-D, got shape \(3,\)"):
        aslinearoperator(A)


def test_wrong_lengths_are_value_errors():
    operator = aslinearoperator(make())
    for call in (operator.matvec, operator.matmat, operator.rmatvec):
        with pytest.raises(ValueError):
            call(dense(9, 2))
