"""Products on NVIDIA GPUs, for arrays of CuPy, torch and other libraries that share GPU memory.

`import spkernels.cuda` needs neither CUDA nor a GPU.  A call that needs them raises an error that
says what is missing; `why_not` returns the same message.  The kernels are in a library of their
own, which ``pip install ./cuda`` builds in a clone of the repository.  `prepare` packs a sparse
matrix into GPU memory; `spmm`, `sddmm` and `sparse_attention` multiply.
"""

from .._runtime.public import publish
from ._errors import CudaError, UnavailableError
from ._functions import asarray, sddmm, sparse_attention, spmm
from ._matrix import CudaMatrix, prepare
from ._runtime import is_available, show_config, why_not

__all__ = [
    "CudaError",
    "CudaMatrix",
    "UnavailableError",
    "asarray",
    "is_available",
    "prepare",
    "sddmm",
    "show_config",
    "sparse_attention",
    "spmm",
    "why_not",
]

publish(__name__, *map(globals().get, __all__))
