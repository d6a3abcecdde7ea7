"""Prepared products by the kernel that `prepare` chooses, against those that it chooses from."""

from .spmm import WIDTH, bytes, flops, operands, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "chosen"
TITLE = "what prepare chooses"
PEERS = ("numpy dense", "spkernels plain", "spkernels")
DENSE = ("numpy dense",)
