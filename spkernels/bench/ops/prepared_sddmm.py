"""Sampled dense times dense with a prepared structure; other peers compute it as in `sddmm`."""

from .sddmm import DENSE, PEERS, WIDTH, bytes, flops, operands, reference

__all__ = ["DENSE", "NAME", "PEERS", "TITLE", "WIDTH", "bytes", "flops", "operands", "reference"]

NAME = "prepared_sddmm"
TITLE = "prepared sampled dense @ dense"
