"""Names for what the public functions take and return."""

from __future__ import annotations

from typing import TypeAlias

from scipy.sparse import sparray, spmatrix

__all__ = ["SparseLike"]

#: Any array or matrix of scipy.sparse, of any format.
SparseLike: TypeAlias = sparray | spmatrix
