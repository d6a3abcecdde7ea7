"""The measured crossovers: the products for which scipy is faster, and conversions that pay.

`spmm` leaves products to scipy by `scipy_is_faster`, and `accelerate` does by `RULES`.  The costs
of the package's own kernels are modelled in C (src/plan/cost.c).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._inputs.sparse import is_hypersparse

__all__ = ["RULES", "Rule", "goes_by_columns", "pays_as_csc", "scipy_is_faster"]


class Rule(NamedTuple):
    """The condition for a product to go to the kernels: it is small, or it is large enough.

    Work is the number of entries times the number of columns.  For small products the kernels win
    because the multiplication begins sooner.
    """

    format: str
    most_small: float = -1  # the largest work of a small product
    most_small_rows: int | None = None  # the largest number of rows of a small product
    least_work: float = 0  # the smallest work of a large product
    least_columns: int = 0  # the smallest number of columns of a large product
    least_per_row: float = 0  # the smallest number of entries per row of a large product
    few_columns: int = 0  # fewer columns than least_columns are enough with few_per_row entries
    few_per_row: float = math.inf
    least_threads: int = 1  # the smallest number of threads for a large product
    most_per_row_alone: float = 0  # with at most these entries per row, one thread is enough
    least_by_spmm: float = 0  # the smallest work if `spmm` must convert or is called from Python


# The kernels were measured against scipy 1.17, hook, check and conversion included, on one thread
# (more threads only help), AVX-512, for matrices of 10 to 100,000 rows with 1 to 800 entries each.
# Ratios are the time of scipy divided by the time of the kernels.  `spmm` takes 10 us before it
# multiplies; in this time scipy does 10,000 to 80,000 units of work.
RULES = {
    "vector": [
        # 1.0 to 2.7 up to 20,000 entries.  On one thread 0.9 to 1.0 up to 100,000 entries, as the
        # branch predictor then knows the lengths of rows; above, by blocks, 1.5 to 3.3 with up to 6
        # entries per row, and 0.9 to 1.4 with more.  On two threads 1.4 to 4.
        Rule(
            "csr",
            20_000,
            least_work=1e5,
            least_threads=2,
            most_per_row_alone=6,
            least_by_spmm=math.inf,
        ),
        # 1.1 to 2.7 up to 10,000 entries.  On one thread 0.9 to 1.0 above; from 100,000 entries on,
        # by blocks, 1.1 to 2 with up to 5 entries per column.  On two threads 1.2 to 1.8.
        Rule(
            "csc",
            10_000,
            2000,
            1e5,
            least_per_row=1,
            least_threads=2,
            most_per_row_alone=5,
            least_by_spmm=math.inf,
        ),
        # 1.0 to 5 up to 40,000 entries in 5,000 rows.  Above, 0.9 to 1.1 on one thread and 1.2 to
        # 1.8 on two, and twice these ratios if rows are sorted and have 16 entries or more.
        Rule("coo", 40_000, 5000, 1e5, least_per_row=4, least_threads=2, least_by_spmm=math.inf),
        # Blocks of 2 to 4 rows: 1.1 to 3.7.  Larger blocks: 1.2 to 2.5 up to 1,000 rows, 1.0 from
        # 16 entries per row on, and 0.7 to 1.0 with fewer entries.
        Rule("bsr", 20_000, 1000, 2e4, least_per_row=16, least_by_spmm=math.inf),
    ],
    "matrix": [
        # 1.0 to 5.6, and 0.9 to 1.0 with one entry per row and few columns.
        Rule("csr", least_by_spmm=8e4),
        # Small products 1.5 to 2.4; large ones 1.0 to 1.9.  Below 16 columns, by partial sums, 1.1
        # to 2.2 from 8 entries per row on, 0.6 to 1.5 with fewer, and 0.5 to 1.1 with one.
        Rule("csc", 1000, 300, 5e4, 16, 4, few_columns=2, few_per_row=8, least_by_spmm=8e4),
        # Small products 1.4 to 3.3; large ones 1.1 to 4.6, more if rows are sorted, and 0.5 to 2
        # with fewer entries per row.
        Rule("coo", 5000, 1000, 2e4, least_columns=2, least_per_row=8, least_by_spmm=2e5),
        # Small products 1.3 to 2.4; large ones 1.1 to 25.  Below this work 0.2 to 1.1 with many
        # rows, and 0.7 to 3 with one or two entries per row.
        Rule("bsr", 1000, 300, 8e4, least_per_row=3),
    ],
}


def scipy_is_faster(S, D, dense_first):
    """Return whether scipy's own product of DIA or DOK is faster than conversion and kernels.

    scipy's product of DIA loops over diagonals, and that of DOK over entries in Python.  tocsr()
    alone takes 60 us for DIA and 100 us for DOK.  Times were measured with scipy 1.17 on one and
    two threads, for 10 to 200,000 rows of 3 and 10 entries and 1 to 64 columns.  These are the
    ratios of scipy's time to that of conversion and kernels.  DIA: 0.03 to 1.0 with one column;
    with more columns 0.05 to 0.95 up to 200,000 multiplications and 0.4 to 2.2 above; on the right
    0.8 below 1000 and 0.6 to 2.3 above.  DOK: with one column 0.1 to 0.75 up to 300 entries; with
    more columns 0.5 to 0.7 at 30 entries and 1.3 at 90.  scipy converts LIL, too, so LIL is never
    left to scipy.
    """
    if D.ndim not in (1, 2):
        return False
    columns = 1 if D.ndim == 1 else D.shape[0 if dense_first else 1]
    if S.format == "dia" and is_hypersparse(max(S.shape), S.data.size):
        return False  # to transpose DIA, scipy fills diagonals up to the length of the shape
    if S.format == "dia":
        work = S.data.size * columns
        return work <= 1000 if dense_first else columns == 1 or work <= 200_000
    return S.format == "dok" and S.nnz <= (250 if columns == 1 else 50)


def pays_as_csc(S):
    """Return whether ``D @ S``, with S in COO, is faster after a conversion to CSC than to CSR.

    ``D @ CSR`` loops over all rows of the operand, and ``D @ CSC`` over its columns, which are
    those of the result.  With at least eight rows per entry CSC takes 0.01 to 1.05 of the time of
    CSR, and otherwise up to 6 times as long.
    """
    return S.shape[0] > 8 * S.data.size


#: Nanoseconds on Zen 5: to begin another row or column, as the branch predictor misses its end, and
#: to convert an entry to another format.
_BEGIN, _CONVERT = 8.0, 3.0


def goes_by_columns(A, B):
    """Return whether a product of two sparse matrices is faster by columns than by rows.

    By rows, a row of `B` begins for each entry of `A`; by columns, a column of `A` begins for each
    entry of `B`.  Conversions count, too.
    """
    rows, columns = _BEGIN * A.data.size, _BEGIN * B.data.size
    for operand in (A, B):
        rows += _CONVERT * operand.data.size * (operand.format != "csr")
        columns += _CONVERT * operand.data.size * (operand.format != "csc")
    return columns < rows
