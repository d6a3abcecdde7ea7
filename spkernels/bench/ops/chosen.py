"""Prepared products by the strategy that `prepare` chooses, against the strategies on their own."""

from .spmm import WIDTH, bytes, flops, operands, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "chosen"
TITLE = "what prepare chooses"
PEERS = ("numpy dense", "spkernels plain", "spkernels")
DENSE = ("numpy dense",)
