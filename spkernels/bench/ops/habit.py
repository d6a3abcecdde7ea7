"""Sparse times dense as users write it: any format, layout and dtype, plain or accelerated."""

from .spmm import DENSE, WIDTH, bytes, flops, operands, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "habit"
TITLE = "sparse @ dense as it comes"
PEERS = (
    "scipy",
    "spkernels before",
    "accelerate before",
    "accelerate",
    "spkernels one thread",
    "spkernels",
)
