"""Reduced-precision storage: packed values in 16 bits, which products expand to float32."""

from __future__ import annotations

import numpy as np

__all__ = ["STORAGES", "check_storage", "rounded"]

#: The values of the argument ``storage``, and their numbers in `_core.pack`.
STORAGES = {None: 0, "float16": 1, "bfloat16": 2}


def check_storage(storage, dtype):
    """Raise if `storage` is unknown or cannot store values of `dtype`."""
    if storage is not None and not isinstance(storage, str):
        raise TypeError(f"storage must be None or a string, got {storage!r}")
    if storage not in STORAGES:
        expected = ", ".join(map(repr, STORAGES))
        raise ValueError(f"storage must be one of {expected}, got {storage!r}")
    if storage is not None and dtype != np.float32:
        raise ValueError(
            f"storage must be None for values of {dtype}, got {storage!r}: it needs float32"
        )


def rounded(values, storage):
    """Return float32 values rounded to the nearest values of `storage`, ties to even."""
    if storage is None:
        return values
    if storage == "float16":
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16).astype(np.float32)
        if np.any(np.isinf(halves) & np.isfinite(values)):
            raise ValueError(
                "values must have magnitudes up to 65504 for storage='float16', got larger ones"
            )
        return halves
    bits = values.view(np.uint32)
    up = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    nearest = ((bits + up) & np.uint32(0xFFFF0000)).view(np.float32)
    nearest = np.where(np.isnan(values), values, nearest)
    if np.any(np.isinf(nearest) & np.isfinite(values)):
        raise ValueError(
            "values must have magnitudes up to 3.39e38 for storage='bfloat16', got larger ones"
        )
    return nearest
