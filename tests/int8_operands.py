"""Matrices of int8 to test with, and what their results are rounded to."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from strategies import FORMATS, from_entries, seeds

BYTES = (np.int8, np.uint8)
#: Of which rows go by int8_block4, SELL slices, row panels and int8_gather4.
WIDTHS = (1, 2, 8, 17, 32, 33, 64, 70, 130)


def random_bytes(rng, shape, dtype=np.int8):
    info = np.iinfo(dtype)
    values = rng.integers(info.min, info.max + 1, shape)
    ends = rng.random(shape)
    return np.where(ends < 0.1, info.max, np.where(ends > 0.9, info.min, values)).astype(dtype)


@st.composite
def operands(draw, formats=FORMATS):
    """Draw a sparse array of integers, as dense int64 too, and how many columns B has."""
    rng = np.random.default_rng(draw(seeds))
    shape = draw(st.integers(0, 40)), draw(st.integers(0, 90))
    # Neighbouring rows and columns alike, or not: all layouts have cases of their own.
    height, width = draw(st.sampled_from([(1, 1), (4, 1), (4, 4), (1, 4), (16, 1)]))
    blocks = tuple(-(-extent // by) for extent, by in zip(shape, (height, width), strict=True))
    mask = rng.random(blocks) < draw(st.sampled_from([0, 0.05, 0.3, 0.7, 1]))
    mask = np.kron(mask, np.ones((height, width), bool))[: shape[0], : shape[1]].astype(bool)
    mask &= rng.random(shape) < draw(st.sampled_from([0.8, 1]))
    dense = np.where(mask, random_bytes(rng, shape), 0).astype(np.int64)
    rows, cols = np.nonzero(mask)
    fmt = draw(st.sampled_from(formats))
    data = dense[mask].astype(draw(st.sampled_from([np.int8, np.int16, np.int64])))
    order = rng.permutation(len(rows))
    data = data.reshape(-1, 1, 1) if fmt == "bsr" else data
    A = from_entries(fmt, rows[order], cols[order], data[order], shape, matrix=draw(st.booleans()))
    return A, dense, draw(st.sampled_from(WIDTHS)), rng


def rounded(Y, dtype, step, zero):
    """Round to the nearest, ties to even, saturating: by fractions, not by NumPy's rint."""
    info = np.iinfo(dtype)
    result = np.empty(Y.shape, dtype)
    for index, y in np.ndenumerate(Y):
        quotient = np.float32(y) / np.float32(step)
        whole = round(Fraction(float(quotient))) if np.isfinite(quotient) else 1000 * quotient
        result[index] = min(max(whole + zero, info.min), info.max)
    return result
