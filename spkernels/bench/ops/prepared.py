"""Sparse times dense with a sparse operand that was prepared: C = W @ B.

Peers that inspect or convert a matrix do so as in `spmm`; this time is measured separately.
"""

from .spmm import DENSE, PEERS, WIDTH, bytes, flops, operands, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "prepared"
TITLE = "prepared sparse @ dense"
