"""The exceptions for the statuses of the C library."""

from __future__ import annotations

from .. import _core

__all__ = ["raise_status"]


def raise_status(status, A, name):
    """Raise the exception for `status`, a failure with the sparse operand `A` called `name`."""
    text = _core.status_string(status)
    if status == _core.ERR_MEMORY:
        raise MemoryError(f"spkernels: {text}")
    if status == _core.ERR_ISA:
        raise RuntimeError(f"{text}: this machine has {', '.join(_core.isa_list())}")
    if status == _core.ERR_INDPTR:
        raise ValueError(
            f"{name}.indptr is corrupted: it must start at 0, never decrease and end at or below "
            f"len({name}.indices) and len({name}.data) ({name} has shape {A.shape})"
        )
    if status == _core.ERR_INDEX:
        where = f"{name}.row or {name}.col" if A.format == "coo" else f"{name}.indices"
        raise ValueError(
            f"{where} is corrupted: an index is negative or out of range for shape {A.shape}"
        )
    if status == _core.ERR_SPARSE:
        raise ValueError(f"{name} has {text}: {A.nnz}, for {A.shape[0]} x {A.shape[1]}")
    raise ValueError(f"spkernels: {text}")
