"""Libraries whose sparse types are not converted; errors name the line that converts them."""

from ._library import by_class

__all__ = ["LIBRARIES"]

_ON_GPU = "{0}.get() copies it from the GPU, spkernels.cuda multiplies there"

_LINES = {
    "anndata": {
        "AnnData": ("{0}.X is its matrix", "{0}.X is its matrix"),
        # This class is a matrix in an open file.
        "BaseCompressedSparseDataset": (
            "{0}.to_memory() reads it",
            "{0}.to_memory().toarray() converts it",
        ),
    },
    "cupy": {"ndarray": (_ON_GPU, _ON_GPU)},
    "cupyx": {"spmatrix": (_ON_GPU, "{0}.get().toarray() converts it")},
    "graphblas": {
        "Matrix": ("graphblas.io.to_scipy_sparse({0}) converts it", "{0}.to_dense(0) converts it"),
        "Vector": ("graphblas.io.to_scipy_sparse({0}) converts it", "{0}.to_dense(0) converts it"),
    },
    "networkx": {
        "Graph": (
            "networkx.to_scipy_sparse_array({0}) converts it",
            "networkx.to_numpy_array({0}) converts it",
        )
    },
    "tensorflow": {
        "SparseTensor": (
            "scipy.sparse.coo_array(({0}.values, {0}.indices.numpy().T), {0}.shape) converts it",
            "tensorflow.sparse.to_dense({0}) converts it",
        )
    },
    "torch_sparse": {
        "SparseTensor": (
            '{0}.to_scipy(layout="csr") converts it',
            "{0}.to_dense() converts it",
        )
    },
}

LIBRARIES = {library: by_class(lines, {}) for library, lines in _LINES.items()}
