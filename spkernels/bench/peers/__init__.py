"""The peers: a module for each library, which calls the library as a user would.

A peer module has

``versions()``
    The versions of the libraries that it uses, as a dict.
``bind(problem)``
    The call to time: a function without arguments that returns a new result.  All work that a user
    does once per matrix (conversion, hints, optimisation) happens in `bind`, and is timed
    separately.
``to_numpy(result, problem)``
    The result as an array: C of a product, or the values at the entries of a sampled product.
``OWN_THREADS``, optional
    True if the calling thread only waits while as many threads of the library as are allowed work.
    These are then left where the library and the system place them.  Otherwise the calling thread
    works on one CPU, and the library's threads are pinned to the others.

`bind` raises `NotImplementedError` for a problem that the library has no operation for.  A peer
whose module cannot be imported is left out, with the error as the reason.
"""

#: The modules by the names that results use.
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
    "torch eager": "torch_eager",
    "torch compile": "torch_compile",
    "onnxruntime network": "onnxruntime_network",
    "openvino": "openvino_network",
    "deepsparse": "deepsparse_network",
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
#: Earlier builds of the package, which need a Python that has them; without one they are not run.
EARLIER = ("spkernels before", "accelerate before")
