"""Fits of estimators of scikit-learn to a sparse matrix, which use scipy's products.

Peers differ in whether `accelerate` is on.  The answer is a vector of fitted numbers that does not
depend on signs or on the order of components.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..problem import Problem
from ._tolerance import within

#: The allowed difference of two fits, relative to the largest number: solvers stop at a tolerance.
TOLERANCE = 0.02


def _logistic(solver: str, iterations: int):
    def fit(X, y):
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(solver=solver, max_iter=iterations, random_state=0, tol=1e-3)
        return model.fit(X, y > 0).decision_function(X)

    return fit


def _ridge(X, y):
    from sklearn.linear_model import Ridge

    return Ridge(solver="sparse_cg", tol=1e-5).fit(X, y).predict(X)


def _svd(algorithm: str):
    def fit(X, y):
        from sklearn.decomposition import TruncatedSVD

        model = TruncatedSVD(20, algorithm=algorithm, random_state=0)
        return model.fit(X).singular_values_

    return fit


def _pca(X, y):
    from sklearn.decomposition import PCA

    return PCA(10, svd_solver="arpack", random_state=0).fit(X).singular_values_


def _nmf(X, y):
    from sklearn.decomposition import NMF

    model = NMF(10, init="nndsvda", max_iter=20, random_state=0, tol=0)
    return np.atleast_1d(model.fit(X).reconstruction_err_)


class Estimator:
    """The operation of fitting one estimator."""

    WIDTH = "targets"
    PEERS = (
        "scipy",
        "scipy one BLAS thread",
        "accelerate before",
        "accelerate",
        "accelerate one BLAS thread",
    )
    DENSE = ()

    def __init__(self, name: str, fit: Callable[[Any, np.ndarray], np.ndarray]) -> None:
        self.NAME = self.TITLE = name
        self._fit = fit

    def operands(self, matrix, width, rng, dtype) -> dict[str, np.ndarray]:
        """Return one target per row."""
        return {"y": rng.standard_normal(matrix.shape[0]).astype(dtype)}

    def fit(self, problem: Problem) -> np.ndarray:
        """Fit the estimator, and return the fitted numbers in the dtype of the problem."""
        import warnings

        try:
            import sklearn.exceptions
        except ImportError:
            raise NotImplementedError("scikit-learn is not installed") from None
        X = problem.sparse()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
            return np.asarray(self._fit(X, problem.operands["y"])).astype(problem.dtype)

    def reference(self, problem: Problem):
        """Return the fit with plain scipy, and the allowed difference."""
        return within(self.fit(problem).astype(np.float64), TOLERANCE, problem)

    def flops(self, problem: Problem) -> int:
        """Return the operations of one product; the solver chooses the number of products."""
        return 2 * problem.nnz

    def bytes(self, problem: Problem) -> int:
        """Return the bytes of the matrix."""
        return problem.data.nbytes + problem.indices.nbytes + problem.indptr.nbytes


ESTIMATORS = {
    op.NAME: op
    for op in (
        Estimator("LogisticRegression (lbfgs)", _logistic("lbfgs", 30)),
        Estimator("LogisticRegression (saga)", _logistic("saga", 5)),
        Estimator("Ridge (sparse_cg)", _ridge),
        Estimator("TruncatedSVD (randomized)", _svd("randomized")),
        Estimator("TruncatedSVD (arpack)", _svd("arpack")),
        Estimator("PCA (arpack)", _pca),
        Estimator("NMF", _nmf),
    )
}
