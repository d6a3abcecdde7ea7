"""Sizes that several operations share."""

from ..problem import Problem


def matrix_bytes(problem: Problem) -> int:
    """Return the bytes of the sparse matrix."""
    return problem.indptr.nbytes + problem.indices.nbytes + problem.data.nbytes
