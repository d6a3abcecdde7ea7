"""Where scipy is faster, and where its conversions pay: all that is decided by such measurements.

`spmm` leaves products to scipy by `scipy_is_faster`, `accelerate` by `RULES`.  What the kernels
take among themselves is modelled in C (src/plan/cost.c).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .._inputs.sparse import is_hypersparse

__all__ = ["RULES", "Rule", "goes_by_columns", "pays_as_csc", "scipy_is_faster"]


class Rule(NamedTuple):
    """When a product is taken: if it is small, or if it is large enough.

    Work is stored entries times columns.  Where calls are small, what counts is how soon the
    multiplication begins.
    """

    format: str
    most_small: float = -1  # work
    most_small_rows: int | None = None  # of what is small, too
    least_work: float = 0
    least_columns: int = 0
    least_per_row: float = 0  # stored entries
    few_columns: int = 0  # below least_columns: so many at least, from so many per row on
    few_per_row: float = math.inf
    least_threads: int = 1
    most_per_row_alone: float = 0  # stored entries, of columns too: up to them, one thread does
    least_by_spmm: float = 0  # work, where `spmm` has to convert or is called by way of Python


# Where the kernels were measured to be faster than scipy 1.17, hook, check and conversion
# included: on one thread (more only help), AVX-512, matrices of 10 to 100,000 rows with 1 to 800
# stored entries each.  Ratios are time of scipy over time of the kernels.  `spmm` takes 10 us
# before it multiplies; in these scipy does 10,000 to 80,000 units of work.
RULES = {
    "vector": [
        # 1.0 to 2.7 up to 20,000 entries.  On one thread 0.9 to 1.0 up to 100,000, with the lengths
        # of rows known to the branch predictor; above, by blocks, 1.5 to 3.3 with up to 6 entries
        # per row and 0.9 to 1.4 with more.  Two make it 1.4 to 4.
        Rule(
            "csr",
            20_000,
            least_work=1e5,
            least_threads=2,
            most_per_row_alone=6,
            least_by_spmm=math.inf,
        ),
        # 1.1 to 2.7 up to 10,000 entries.  On one thread 0.9 to 1.0 above; from 100,000 on, by
        # blocks, 1.1 to 2 with up to 5 entries per column.  Two threads: 1.2 to 1.8.
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
        # 1.0 to 5 up to 40,000 entries in 5,000 rows; 0.9 to 1.1 above on one thread, 1.2 to 1.8 on
        # two, and twice that where rows are sorted and have 16 entries or more.
        Rule("coo", 40_000, 5000, 1e5, least_per_row=4, least_threads=2, least_by_spmm=math.inf),
        # Blocks of 2 to 4 rows 1.1 to 3.7, larger ones 1.2 to 2.5 in 1,000 rows and 1.0 from 16
        # entries per row on; with fewer, 0.7 to 1.0.
        Rule("bsr", 20_000, 1000, 2e4, least_per_row=16, least_by_spmm=math.inf),
    ],
    "matrix": [
        # 1.0 to 5.6, and 0.9 to 1.0 with one entry per row and few columns.
        Rule("csr", least_by_spmm=8e4),
        # 1.5 to 2.4 where small; 1.0 to 1.9 above.  Below 16 columns by partial sums 1.1 to 2.2
        # from 8 entries per row on, with fewer 0.6 to 1.5; with one entry per row 0.5 to 1.1.
        Rule("csc", 1000, 300, 5e4, 16, 4, few_columns=2, few_per_row=8, least_by_spmm=8e4),
        # 1.4 to 3.3 where small; 1.1 to 4.6 above, more where rows are sorted; with fewer entries
        # per row 0.5 to 2.
        Rule("coo", 5000, 1000, 2e4, least_columns=2, least_per_row=8, least_by_spmm=2e5),
        # 1.3 to 2.4 where small; 1.1 to 25 above, below this work 0.2 to 1.1 with many rows, with
        # one or two entries per row 0.7 to 3.
        Rule("bsr", 1000, 300, 8e4, least_per_row=3),
    ],
}


def scipy_is_faster(S, D, dense_first):
    """Whether scipy has the product before a conversion to CSR would be done.

    Scipy's products of DIA walk the diagonals, those of DOK the entries, in Python; tocsr() alone
    takes 60 us and 100 us.  Measured with scipy 1.17 on one and two threads, 10 to 200,000 rows of
    3 and 10 entries, 1 to 64 columns; the time of scipy over that of conversion and kernels.  DIA:
    one column 0.03 to 1.0; more columns 0.05 to 0.95 up to 200,000 multiplications, 0.4 to 2.2
    above; on the right 0.8 below 1000, 0.6 to 2.3 above.  DOK: one column 0.1 to 0.75 up to 300
    entries, more columns 0.5 to 0.7 at 30 and 1.3 at 90.  LIL is converted by scipy too.
    """
    if D.ndim not in (1, 2):
        return False
    columns = 1 if D.ndim == 1 else D.shape[0 if dense_first else 1]
    if S.format == "dia" and is_hypersparse(max(S.shape), S.data.size):
        return False  # scipy fills diagonals up to that length, to transpose them
    if S.format == "dia":
        work = S.data.size * columns
        return work <= 1000 if dense_first else columns == 1 or work <= 200_000
    return S.format == "dok" and S.nnz <= (250 if columns == 1 else 50)


def pays_as_csc(S):
    """Whether ``D @ S`` is faster with S, in COO, converted to CSC than to CSR.

    ``D @ CSR`` walks all rows of the operand, ``D @ CSC`` the columns, which are the result's.  CSC
    takes 0.01 to 1.05 of the time where eight rows and more share an entry, else up to 6 times.
    """
    return S.shape[0] > 8 * S.data.size


#: Nanoseconds that it takes to begin with another row or column, whose end cannot be predicted, and
#: to convert an entry (Zen 5).
_BEGIN, _CONVERT = 8.0, 3.0


def goes_by_columns(A, B):
    """Whether a product of two sparse matrices is to go by columns: which begins less often."""
    rows, columns = _BEGIN * A.data.size, _BEGIN * B.data.size
    for operand in (A, B):
        rows += _CONVERT * operand.data.size * (operand.format != "csr")
        columns += _CONVERT * operand.data.size * (operand.format != "csc")
    return columns < rows
