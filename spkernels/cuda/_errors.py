"""The exceptions for failures of the GPU, and their messages."""

from __future__ import annotations

from . import _library

__all__ = ["CudaError", "UnavailableError", "raise_status"]


class CudaError(RuntimeError):
    """CUDA reported an error."""


class UnavailableError(CudaError):
    """The library for GPUs, the driver or a GPU is missing.

    The message says which of these is missing and how to get it.  `spkernels.cuda.why_not` returns
    the same message.
    """


def raise_status(library, status, doing):
    """Raise the exception for `status`, a failure of the library while it was `doing` something."""
    text = library.spk_cuda_status_string(status).decode()
    if status == _library.ERR_MEMORY:
        raise MemoryError(f"spkernels.cuda: out of memory while {doing}")
    if status in (_library.ERR_DRIVER, _library.ERR_DEVICE):
        raise UnavailableError(f"while {doing}: {text}")
    if status == _library.ERR_RUNTIME:
        said = library.spk_cuda_last_error().decode()
        raise CudaError(f"while {doing}: {text}: {said}")
    raise ValueError(f"while {doing}: {text}")
