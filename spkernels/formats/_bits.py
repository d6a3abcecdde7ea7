"""Rows of small numbers that are packed into bytes.

Number i of a row has its lowest bit in bit ``i * bits`` of the row.  Bit j of a row is bit
``j % 8``, counted from the lowest, of the row's byte ``j // 8``.  Each row begins with a new byte.
"""

from __future__ import annotations

import numpy as np

__all__ = ["pack", "row_bytes", "unpack"]


def row_bytes(count, bits):
    """Return the number of bytes of a row of `count` numbers."""
    return -(-count * bits // 8)


def pack(numbers, bits):
    """Pack a uint8 array of shape (rows, count) whose numbers are all below ``2**bits``."""
    rows, count = numbers.shape
    each = np.unpackbits(numbers[:, :, None], axis=2, count=bits, bitorder="little")
    return np.packbits(each.reshape(rows, count * bits), axis=1, bitorder="little")


def unpack(packed, count, bits):
    """Return the packed numbers as a uint8 array of shape (rows, count)."""
    each = np.unpackbits(packed, axis=1, count=count * bits, bitorder="little")
    each = each.reshape(len(packed), count, bits)
    return np.packbits(each, axis=2, bitorder="little").reshape(len(packed), count)
