/* Checks of the structs that callers hand in, before any array is read. */
#ifndef SPK_API_OPERANDS_H
#define SPK_API_OPERANDS_H

#include "../common.h"

/* Pointers, sizes and enum values of a sparse operand. */
spk_status spk_check_sparse(const spk_sparse *A);
/* The same for a dense one. */
spk_status spk_check_dense(const spk_dense *D);

/* The factors as the products use them: in the dtype of the operands. */
spk_epilogue spk_rounded_epilogue(const spk_epilogue *epilogue, spk_dtype dtype);
spk_sampling spk_rounded_sampling(const spk_sampling *sampling, spk_dtype dtype);

/* Check offsets and indices unless the caller vouches for them; find out whether they are sorted
 * (SPK_SORTED) only if wanted, as that takes a pass over the rows.  `threads` as in spk_spmm. */
spk_status spk_ready(spk_sparse *A, int wants_sorted, int threads);

#endif
