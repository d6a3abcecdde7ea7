"""A reader of dense float32 matrices without a header."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array

from .._inputs.scalars import as_count

__all__ = ["read_raw"]


def read_raw(content: bytes, shape: Sequence[int] | None) -> csr_array:
    """Read a dense row-major little-endian float32 matrix, and drop its zeros."""
    if shape is None or np.shape(shape) != (2,):
        raise ValueError(f"expected shape=(rows, columns) for a .raw file, got {shape!r}")
    rows, cols = (as_count("shape", size) for size in shape)
    if len(content) != 4 * rows * cols:
        raise ValueError(
            f"expected {4 * rows * cols} bytes, float32 of shape ({rows}, {cols}), "
            f"found {len(content)}"
        )
    return csr_array(np.frombuffer(content, dtype="<f4").reshape(rows, cols).astype(np.float32))
