"""Checks that operators share.  They read shapes and dtypes alone, as fake tensors have no more."""

from __future__ import annotations

import torch

from .._packed import STORAGE

__all__ = ["check_bias", "check_dense", "check_sparse", "check_structure"]


def check_sparse(values: torch.Tensor, columns: torch.Tensor, offsets: torch.Tensor) -> None:
    """Raise an error unless the three tensors can be a sparse weight."""
    if values.dtype not in STORAGE:
        raise TypeError(
            f"values must be float32, float64, float16 or bfloat16, got {_name(values.dtype)}"
        )
    check_structure(columns, offsets)
    if values.dim() != 1 or values.shape != columns.shape:
        raise ValueError(
            f"values must have the shape of columns, {tuple(columns.shape)}, got "
            f"{tuple(values.shape)}"
        )


def check_structure(columns: torch.Tensor, offsets: torch.Tensor) -> None:
    """Raise an error unless the two tensors can be the structure of a sparse weight."""
    for name, tensor in (("columns", columns), ("offsets", offsets)):
        if tensor.dtype not in (torch.int32, torch.int64):
            raise TypeError(f"{name} must be int32 or int64, got {_name(tensor.dtype)}")
        if tensor.dim() != 1:
            raise ValueError(f"{name} must be 1-D, got shape {tuple(tensor.shape)}")
    if offsets.shape[0] == 0:
        raise ValueError("offsets must have one element more than the weight has rows, got none")


def check_dense(name: str, tensor: torch.Tensor, weight: torch.dtype) -> None:
    """Raise an error unless products of `tensor` and values of dtype `weight` have its dtype."""
    dtype = tensor.dtype
    wide = torch.float64 in (dtype, weight)
    if dtype not in STORAGE or (wide and dtype != weight):
        expected = "float64" if weight is torch.float64 else "float32, float16 or bfloat16"
        raise TypeError(
            f"{name} must be {expected} for values of {_name(weight)}, got {_name(dtype)}"
        )


def check_bias(bias: torch.Tensor, rows: int, weight: torch.dtype) -> None:
    """Raise an error unless `bias` can be added to products that have `rows` outputs."""
    check_dense("bias", bias, weight)
    if bias.shape != (rows,):
        raise ValueError(f"bias must have shape ({rows},), got {tuple(bias.shape)}")


def _name(dtype):
    return str(dtype).removeprefix("torch.")
