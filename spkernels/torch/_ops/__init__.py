"""The operators, one file each; importing this package registers them."""

from .linear import linear, linear_now
from .sddmm import sddmm
from .spmm import spmm

__all__ = ["linear", "linear_now", "sddmm", "spmm"]
