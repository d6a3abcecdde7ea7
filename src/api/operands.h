/* Checks of the structs that callers pass, before any array is read. */
#ifndef SPK_API_OPERANDS_H
#define SPK_API_OPERANDS_H

#include "../common/common.h"

/* The columns that a matrix is packed for where the caller names no number. */
#define SPK_DEFAULT_WIDTH 128

/* Check pointers, sizes and enum values of a sparse operand. */
spk_status spk_check_sparse(const spk_sparse *A);
/* Check the same of a dense operand. */
spk_status spk_check_dense(const spk_dense *D);

/* Whether all elements of a view lie less than PTRDIFF_MAX bytes apart, as those of every array do.
 * Then no product of an index and a stride overflows.  The stride of a lone row or column may be
 * anything. */
int spk_extent_fits(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride, ptrdiff_t col_stride,
                    size_t size);

/* The factors rounded to the dtype of the operands, as products use them. */
spk_epilogue spk_rounded_epilogue(const spk_epilogue *epilogue, spk_dtype dtype);
spk_sampling spk_rounded_sampling(const spk_sampling *sampling, spk_dtype dtype);

/* Check offsets and indices unless the caller vouches for them by SPK_CHECKED.  Set SPK_SORTED only
 * if `wants_sorted`, as the check takes a pass over the rows.  threads: as in spk_spmm. */
spk_status spk_validate(spk_sparse *A, int wants_sorted, int threads);
/* Check the offsets alone, of a sparse operand that spk_check_sparse has passed. */
spk_status spk_check_offsets(const spk_sparse *A);

#endif
