"""scikit-learn on sparse input, with and without `accelerate`."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

sklearn = pytest.importorskip("sklearn", reason="scikit-learn is not installed.")

from joblib import parallel_backend  # noqa: E402
from sklearn import (  # noqa: E402
    cluster,
    decomposition,
    linear_model,
    manifold,
    multiclass,
    naive_bayes,
    neural_network,
    random_projection,
)
from sklearn.utils.extmath import safe_sparse_dot  # noqa: E402

from spkernels import accelerate  # noqa: E402
from spkernels._accelerate import hooks  # noqa: E402
from spkernels._ops.crossover import Rule  # noqa: E402


@pytest.fixture(autouse=True)
def _fresh_report():
    accelerate.report(reset=True)
    yield
    accelerate.report(reset=True)
    assert not accelerate.enabled


@pytest.fixture
def take_everything(monkeypatch):
    formats = ("csr", "csc", "coo", "bsr")
    rules = {name: [Rule(format) for format in formats] for name in hooks.RULES}
    monkeypatch.setattr(hooks, "RULES", rules)


def make_data(format="csr", dtype=np.float64, shape=(300, 80)):
    rng = np.random.default_rng(0)
    # Columns of different scales keep singular values apart, and so vectors well defined.
    dense = rng.random(shape) * (rng.random(shape) < 0.1) * np.linspace(0.2, 3, shape[1])
    X = getattr(sp, f"{format}_matrix")(dense.astype(dtype))
    y = np.ravel(dense @ rng.standard_normal(shape[1]))
    return X, y, (y > np.median(y)).astype(int)


def symmetric_neighbours():
    X, _, _ = make_data()
    return sp.csr_matrix(X @ X.T)


ESTIMATORS = {
    "TruncatedSVD(randomized)": lambda X, y, labels: (
        decomposition.TruncatedSVD(4, random_state=0).fit(X).singular_values_
    ),
    "TruncatedSVD(arpack)": lambda X, y, labels: (
        decomposition.TruncatedSVD(4, algorithm="arpack", random_state=0).fit(X).singular_values_
    ),
    "PCA(arpack)": lambda X, y, labels: (
        decomposition.PCA(4, svd_solver="arpack", random_state=0).fit(X).explained_variance_
    ),
    "NMF": lambda X, y, labels: decomposition.NMF(4, random_state=0, max_iter=30).fit_transform(X),
    "LogisticRegression(lbfgs)": lambda X, y, labels: (
        linear_model.LogisticRegression().fit(X, labels).predict_proba(X)
    ),
    "LogisticRegression(newton-cg), three classes": lambda X, y, labels: (
        linear_model.LogisticRegression(solver="newton-cg")
        .fit(X, labels + (np.arange(len(y)) % 5 == 0))
        .predict_proba(X)
    ),
    "Ridge(sparse_cg)": lambda X, y, labels: (
        linear_model.Ridge(solver="sparse_cg", tol=1e-8).fit(X, y).predict(X)
    ),
    "Ridge(lsqr)": lambda X, y, labels: (
        linear_model.Ridge(solver="lsqr", tol=1e-8).fit(X, y).predict(X)
    ),
    "LinearRegression": lambda X, y, labels: linear_model.LinearRegression().fit(X, y).predict(X),
    "HuberRegressor": lambda X, y, labels: (
        linear_model.HuberRegressor(max_iter=20).fit(X, y).predict(X)
    ),
    "MultinomialNB": lambda X, y, labels: (
        naive_bayes.MultinomialNB().fit(X, labels).predict_log_proba(X)
    ),
    "MLPClassifier": lambda X, y, labels: (
        neural_network.MLPClassifier((16,), random_state=0, max_iter=5)
        .fit(X, labels)
        .predict_proba(X)
    ),
    "SparseRandomProjection": lambda X, y, labels: random_projection.SparseRandomProjection(
        8, random_state=0
    ).fit_transform(X.toarray()),
    "SpectralEmbedding": lambda X, y, labels: np.abs(
        manifold.SpectralEmbedding(2, affinity="precomputed", random_state=0)
        .fit(symmetric_neighbours())
        .embedding_
    ),
    "SpectralClustering": lambda X, y, labels: (
        cluster.SpectralClustering(2, affinity="precomputed", random_state=0)
        .fit(symmetric_neighbours())
        .labels_
    ),
    "OneVsRest in threads": lambda X, y, labels: _one_versus_rest(X, y),
}


def _one_versus_rest(X, y):
    classes = np.searchsorted(np.quantile(y, [0.3, 0.6]), y)
    model = multiclass.OneVsRestClassifier(linear_model.LogisticRegression(), n_jobs=3)
    with parallel_backend("threading", n_jobs=3):
        return model.fit(X, classes).predict_proba(X)


@pytest.mark.parametrize("format", ["csr", "csc"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_find_the_same(name, format, take_everything):
    data = make_data(format)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = ESTIMATORS[name](*data)
        except (TypeError, ValueError) as error:
            pytest.skip(f"This scikit-learn does not take it ({error}).")
        with accelerate():
            result = ESTIMATORS[name](*data)
    # Estimators stop by tolerances of their own: how rounding differs decides where.
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-4)
    assert accelerate.report().taken > 0


def test_float32_stays_float32(take_everything):
    X, y, _ = make_data(dtype=np.float32)
    model = linear_model.Ridge(solver="sparse_cg", tol=1e-6)
    expected = model.fit(X, y.astype(np.float32)).coef_
    with accelerate():
        result = model.fit(X, y.astype(np.float32)).coef_
    assert result.dtype == expected.dtype
    # Estimators stop by tolerances of their own: how rounding differs decides where.
    np.testing.assert_allclose(result, expected, rtol=1e-2, atol=1e-3)
    assert accelerate.report().taken > 0


@pytest.mark.parametrize("sparse_first", [True, False])
def test_safe_sparse_dot(sparse_first, take_everything):
    X, _, _ = make_data()
    B = np.random.default_rng(1).random((80, 7))
    operands = (X, B) if sparse_first else (B.T, X.T)
    expected = safe_sparse_dot(*operands, dense_output=True)
    with accelerate():
        result = safe_sparse_dot(*operands, dense_output=True)
    assert type(result) is type(expected)
    np.testing.assert_allclose(result, expected)
    assert accelerate.report().taken == 1


def test_usual_sizes_are_taken():
    X, _, labels = make_data(shape=(2000, 500))
    with accelerate():
        decomposition.TruncatedSVD(20, random_state=0).fit(X)
    assert accelerate.report().taken > 0
