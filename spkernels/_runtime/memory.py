"""Memory of large results, which is kept for later ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import _core

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["empty", "release_memory"]

_MIB = 1 << 20

#: The most memory that is kept if the environment does not say otherwise, in MiB.
_DEFAULT = 256


def release_memory() -> int:
    """Give the memory that spkernels keeps for later calls back to the system.

    Results of 32 MiB or more lie in memory of their own.  When the last array on it is gone, the
    memory is kept for the next large result, as the system needs about as long to clear new memory
    as a product takes to write it.  Up to 256 MiB are kept, or as many as ``SPKERNELS_KEPT_MIB``
    says, in at most eight blocks.  The system may take what is kept at any time, and does so before
    it runs short of memory.  Up to 16 MiB of workspace are kept as well,
    or 2 MiB for each thread of a call.

    There is no need to call this function.  It serves programs whose resident memory is watched.

    Returns
    -------
    int
        The number of bytes that were given back.

    See Also
    --------
    empty : makes arrays of such memory.

    Examples
    --------
    >>> import numpy as np
    >>> import spkernels
    >>> result = spkernels.empty((4096, 4096), np.float32)  # 64 MiB
    >>> del result
    >>> spkernels.release_memory() >= 64 * 2**20
    True
    """
    return _core.release_memory()


def empty(
    shape: int | Sequence[int],
    dtype: DTypeLike = float,
    order: Literal["C", "F"] = "C",
) -> NDArray[Any]:
    """Return a new array of any content, as `numpy.empty`, for a large result.

    From 32 MiB on, its memory is that of earlier large results where there is one of about the
    size, so that nothing needs to be cleared.  Results of spkernels are made so.  This function
    serves those that a program passes as `out`, or computes by other libraries.

    Parameters
    ----------
    shape : int or sequence of int
    dtype : dtype-like, optional
        Any dtype without objects.
    order : {"C", "F"}, optional
        Row-major or column-major.

    Returns
    -------
    ndarray
        It owns its data.  Its memory is that of `numpy.empty` where the program has set a memory
        handler of NumPy, or ``SPKERNELS_KEPT_MIB`` is 0.

    Raises
    ------
    TypeError
        If `dtype` has objects.

    See Also
    --------
    release_memory : gives back what is kept.

    Examples
    --------
    >>> import spkernels
    >>> spkernels.empty((2, 3)).shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    if dtype.hasobject:
        raise TypeError(f"dtype must have no objects, got {dtype}")
    return _core.empty(tuple(shape) if isinstance(shape, Sequence) else (shape,), dtype, order)


def configure() -> None:
    """Apply the environment variables, once, at import.

    The one of NumPy about huge pages holds for its own arrays, and so for results.
    """
    text = os.environ.get("SPKERNELS_KEPT_MIB", "").strip()
    try:
        mib = int(text) if text else _DEFAULT
    except ValueError:
        mib = -1
    if mib < 0:
        raise ValueError(f"SPKERNELS_KEPT_MIB must be an integer of at least 0, got {text!r}")
    huge = os.environ.get("NUMPY_MADVISE_HUGEPAGE", "").strip() != "0"
    _core.keep_results(min(mib * _MIB, 2**62), huge)
