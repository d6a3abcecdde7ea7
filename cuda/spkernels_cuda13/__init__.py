"""The kernels of spkernels for NVIDIA GPUs, built with CUDA 13; `spkernels.cuda` finds them here.

`LIBRARY` is where the shared library is.  Its interface is C (spkernels/cuda.h), without Python.
"""

from pathlib import Path

__all__ = ["LIBRARY"]

LIBRARY = Path(__file__).with_name("libspkernels_cuda.so")
