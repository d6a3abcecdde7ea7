"""Rows of small numbers, packed into bytes.

Number i of a row has its lowest bit in bit ``i * bits`` of the row, and bit j of a row is bit
``j % 8``, counted from the lowest, of its byte ``j // 8``.  Each row begins with a byte of its own.
"""

from __future__ import annotations

import numpy as np

__all__ = ["pack", "row_bytes", "unpack"]


def row_bytes(count, bits):
    """Return the bytes of a row of `count` numbers."""
    return -(-count * bits // 8)


def pack(numbers, bits):
    """Pack an array of uint8 of shape (rows, count), all of them below ``2**bits``."""
    rows, count = numbers.shape
    each = np.unpackbits(numbers[:, :, None], axis=2, count=bits, bitorder="little")
    return np.packbits(each.reshape(rows, count * bits), axis=1, bitorder="little")


def unpack(packed, count, bits):
    """Return what was packed, of shape (rows, count)."""
    each = np.unpackbits(packed, axis=1, count=count * bits, bitorder="little")
    each = each.reshape(len(packed), count, bits)
    return np.packbits(each, axis=2, bitorder="little").reshape(len(packed), count)
