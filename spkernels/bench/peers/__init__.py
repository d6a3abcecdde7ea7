"""Peers: one module each, how a user of that library would call it.

A peer module holds

``versions()``
    The versions of what it runs on, as a dict.
``bind(problem)``
    The call to time, as a function without arguments that returns a newly made result.  Everything
    that a user does once per matrix (conversion, hints, optimisation) happens here and is timed
    apart.
``to_numpy(result, problem)``
    That result as an array: C of a product, the values at the stored positions of a sampled one.

`bind` raises `NotImplementedError` for a problem that the library has no operation for.  A module
that cannot be imported is left out, with the error as the reason.
"""

#: Modules by the names that results use.
MODULES = {
    "scipy": "scipy_csr",
    "scipy one BLAS thread": "scipy_one_blas_thread",
    "mkl": "mkl_csr",
    "mkl bsr": "mkl_bsr",
    "torch": "torch_csr",
    "sparse_dot_mkl": "sparse_dot",
    "numba": "numba_csr",
    "graphblas": "graphblas_csr",
    "aocl": "aocl_csr",
    "onnxruntime": "onnxruntime_coo",
    "pydata": "pydata_gcxs",
    "numpy dense": "numpy_dense",
    "mkl dense": "mkl_dense",
    "torch dense": "torch_dense",
    "torch sdpa": "torch_sdpa",
    "torch flex": "torch_flex",
    "spkernels prepared": "spkernels_prepared",
    "spkernels plain": "spkernels_plain",
    "spkernels before": "spkernels_csr",
    "accelerate before": "spkernels_accelerate",
    "accelerate": "spkernels_accelerate",
    "accelerate one BLAS thread": "accelerate_one_blas_thread",
    "spkernels one thread": "spkernels_one_thread",
    "spkernels": "spkernels_csr",
}
SUBJECT = "spkernels"
#: Earlier builds of the package, which some other Python has: without one, nobody asks them.
EARLIER = ("spkernels before", "accelerate before")
