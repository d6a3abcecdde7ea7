"""What goes wrong with a GPU, as exceptions."""

from __future__ import annotations

from . import _library

__all__ = ["CudaError", "UnavailableError", "raise_status"]


class CudaError(RuntimeError):
    """CUDA reported an error."""


class UnavailableError(CudaError):
    """The library for GPUs, the driver or a GPU is missing: the message says which, and what helps.

    `spkernels.cuda.why_not` returns the same message.
    """


def raise_status(library, status, doing):
    """Raise the exception for a status of the library other than success."""
    text = library.spk_cuda_status_string(status).decode()
    if status == _library.ERR_MEMORY:
        raise MemoryError(f"spkernels.cuda: out of memory while {doing}")
    if status in (_library.ERR_DRIVER, _library.ERR_DEVICE):
        raise UnavailableError(f"while {doing}: {text}")
    if status == _library.ERR_RUNTIME:
        said = library.spk_cuda_last_error().decode()
        raise CudaError(f"while {doing}: {text}: {said}")
    raise ValueError(f"while {doing}: {text}")
