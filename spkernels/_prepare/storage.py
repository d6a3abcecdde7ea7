"""How packed float32 values are stored: as they are, in 16 bits, or as integers with scales."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .._inputs.canonical import with_values
from .._inputs.scalars import as_extent

__all__ = ["PLAIN", "Stored", "as_stored", "check_stored", "relative_error", "rounded", "scales_of"]

#: The values of the argument ``storage``, and their numbers in the C library.
_NUMBERS = {None: 0, "float16": 1, "bfloat16": 2, "int8": 3, "int4": 4}

#: The steps of an integer on either side of 0.
_STEPS = {"int8": 127, "int4": 7}

#: The columns that share a scale by default; None: those of a row.
_GROUP = {"int8": None, "int4": 128}

#: The columns of a group are this number or a multiple of twice the number.
_MIN_GROUP = 32

#: The bits of a scale's fraction that are 0, so that its products with integers are exact.
_CLEAR = np.uint32(0xFF)


class Stored(NamedTuple):
    """A format of values; `group` is the number of columns that share a scale, None for a row."""

    name: str | None = None
    group: int | None = None

    @property
    def number(self):
        """The number of the format in the C library."""
        return _NUMBERS[self.name]

    @property
    def steps(self):
        """The steps of an integer on either side of 0; None if values are floats."""
        return None if self.name is None else _STEPS.get(self.name)

    @property
    def in_slices(self):
        """Whether SELL slices hold these integers: those of int8 with a scale for each row."""
        return self.name == "int8" and self.group is None

    @property
    def of_panels(self):
        """The format in row panels, and of the transpose, which hold no integers."""
        return self if self.steps is None else PLAIN

    def describe(self):
        """Return the words for it."""
        if self.steps is None:
            return str(self.name)
        of = "a row" if self.group is None else f"{self.group} columns"
        return f"{self.name} with a scale for {of}"


#: Values as they are.
PLAIN = Stored()


def as_stored(storage, group):
    """Return the format that the arguments ``storage`` and ``group`` ask for."""
    if storage is not None and not isinstance(storage, str):
        raise TypeError(f"storage must be None or a string, got {storage!r}")
    if storage not in _NUMBERS:
        expected = ", ".join(map(repr, _NUMBERS))
        raise ValueError(f"storage must be one of {expected}, got {storage!r}")
    if storage not in _STEPS:
        if group is not None:
            raise ValueError(f"group must be None for storage={storage!r}, got {group!r}")
        return Stored(storage)
    if group is None:
        return Stored(storage, _GROUP[storage])
    group = as_extent(group, "group")
    if group != _MIN_GROUP and (group < 1 or group % (2 * _MIN_GROUP)):
        raise ValueError(
            f"group must be {_MIN_GROUP} or a multiple of {2 * _MIN_GROUP}, got {group}"
        )
    return Stored(storage, group)


def check_stored(stored, dtype):
    """Raise if a format cannot hold values of `dtype`."""
    if stored.name is not None and dtype != np.float32:
        raise ValueError(
            f"storage must be None for values of {dtype}, got {stored.name!r}: it needs float32"
        )


def rounded(csr, stored):
    """Return the matrix with float32 values rounded to the nearest of the format, ties to even.

    It is `csr` itself if nothing is rounded.  Rounding a second time changes nothing.
    """
    if stored.name is None:
        return csr
    if stored.name == "float16":
        values = _to_float16(csr.data)
    elif stored.name == "bfloat16":
        values = _to_bfloat16(csr.data)
    else:
        scales, places = _scales_and_places(csr, stored)
        each = scales[places]
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.where(each > 0, np.rint(csr.data / each), np.float32(0))
        values = steps * each + np.float32(0)  # integers have no -0
    return with_values(csr, values)


def scales_of(csr, stored):
    """Return the scales of a matrix, of shape (rows, groups), and the columns of a group."""
    scales, _ = _scales_and_places(csr, stored)
    groups = _groups(csr, stored)
    return scales.reshape(csr.shape[0], groups), stored.group or max(1, csr.shape[1])


def relative_error(values, original):
    """Return the norm of the difference of two arrays, relative to the norm of `original`."""
    norm = np.linalg.norm(original.astype(np.float64))
    return float(np.linalg.norm(values.astype(np.float64) - original) / norm) if norm else 0.0


def _groups(csr, stored):
    return -(-csr.shape[1] // (stored.group or max(1, csr.shape[1])))


def _scales_and_places(csr, stored):
    """Return the scales of all rows, row by row, and the number of the scale of each entry."""
    largest, steps = np.abs(csr.data), stored.steps
    if not np.isfinite(largest).all():
        raise ValueError(f"values must be finite for storage={stored.name!r}, got NaN or infinity")
    groups = _groups(csr, stored)
    rows = np.repeat(np.arange(csr.shape[0], dtype=np.int64), np.diff(csr.indptr))
    places = rows * groups
    if stored.group is not None:
        places += csr.indices // stored.group
    found = np.zeros(csr.shape[0] * groups, np.float32)
    # Entries of a group follow each other, as rows are sorted.
    first = np.flatnonzero(np.diff(places, prepend=-1))
    if first.size:
        found[places[first]] = np.maximum.reduceat(largest, first)
    # Rounded up to 16 bits, so that 127 times a scale is exact.
    bits = (found / np.float32(steps)).view(np.uint32)
    scales = ((bits + _CLEAR) & ~_CLEAR).view(np.float32)
    if not np.isfinite(scales * np.float32(steps)).all():
        raise ValueError(
            f"values must have magnitudes up to 3.4e38 for storage={stored.name!r}, got larger ones"
        )
    return scales, places


def _to_float16(values):
    with np.errstate(over="ignore"):
        halves = values.astype(np.float16).astype(np.float32)
    if np.any(np.isinf(halves) & np.isfinite(values)):
        raise ValueError(
            "values must have magnitudes up to 65504 for storage='float16', got larger ones"
        )
    return halves


def _to_bfloat16(values):
    bits = values.view(np.uint32)
    up = np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    nearest = ((bits + up) & np.uint32(0xFFFF0000)).view(np.float32)
    nearest = np.where(np.isnan(values), values, nearest)
    if np.any(np.isinf(nearest) & np.isfinite(values)):
        raise ValueError(
            "values must have magnitudes up to 3.39e38 for storage='bfloat16', got larger ones"
        )
    return nearest
