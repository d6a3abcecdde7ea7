"""Products on NVIDIA GPUs, for arrays of CuPy, torch, and others that share their memory.

`import spkernels.cuda` needs neither CUDA nor a GPU; calls that do say what is missing, as
`why_not` does.  The kernels are in a library of their own, which ``pip install ./cuda`` makes in a
clone of the repository.
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
