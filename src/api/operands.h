/* Checks of the structs that callers hand in, before any array is read. */
#ifndef SPK_API_OPERANDS_H
#define SPK_API_OPERANDS_H

#include "../common/common.h"

/* Pointers, sizes and enum values of a sparse operand. */
spk_status spk_check_sparse(const spk_sparse *A);
/* The same for a dense one. */
spk_status spk_check_dense(const spk_dense *D);

/* Whether all elements of a view lie less than PTRDIFF_MAX bytes from each other, as those of every
 * array do: then no product of an index and a stride overflows.  The stride of a lone row or column
 * may be anything. */
int spk_extent_fits(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride, ptrdiff_t col_stride,
                    size_t size);

/* The factors as the products use them: in the dtype of the operands. */
spk_epilogue spk_rounded_epilogue(const spk_epilogue *epilogue, spk_dtype dtype);
spk_sampling spk_rounded_sampling(const spk_sampling *sampling, spk_dtype dtype);

/* Check offsets and indices unless the caller vouches for them; find out whether they are sorted
 * (SPK_SORTED) only if wanted, as that takes a pass over the rows.  `threads` as in spk_spmm. */
spk_status spk_validate(spk_sparse *A, int wants_sorted, int threads);
/* The offsets alone, of a sparse operand that spk_check_sparse has passed. */
spk_status spk_check_offsets(const spk_sparse *A);

#endif
