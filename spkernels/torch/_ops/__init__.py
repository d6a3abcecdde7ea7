"""The operators, one file each; importing this package registers them."""

from .attention import sparse_attention
from .conv import Plan, conv
from .linear import linear, linear_now
from .linear_int8 import linear_int8, linear_int8_now, multiply_rounded, step_of
from .recurrent import gru, gru_now, lstm, lstm_now, rnn, rnn_now
from .sddmm import sddmm
from .spmm import spmm

__all__ = ["Plan", "conv", "gru", "gru_now", "linear", "linear_int8", "linear_int8_now",
           "linear_now", "lstm", "lstm_now", "multiply_rounded", "rnn", "rnn_now", "sddmm",
           "sparse_attention", "spmm", "step_of"]  # fmt: skip
