"""Sparse times dense with a sparse operand that was prepared: C = W @ B.

Peers that inspect or convert a matrix do so here as in `spmm`; what it takes is timed apart.
"""

from .spmm import DENSE, PEERS, WIDTH, bytes, flops, operands, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "prepared"
TITLE = "prepared sparse @ dense"
