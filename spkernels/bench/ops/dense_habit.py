"""Dense times sparse as users write it: any format, layout and dtype, plain or accelerated."""

from .dense_spmm import DENSE, WIDTH, bytes, flops, operands, reference
from .habit import PEERS

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "dense_habit"
TITLE = "dense @ sparse as it comes"
