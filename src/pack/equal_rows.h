/* Rows of a CSR matrix that have the same columns. */
#ifndef SPK_PACK_EQUAL_ROWS_H
#define SPK_PACK_EQUAL_ROWS_H

#include "../common/common.h"

static inline ptrdiff_t spk_row_length(const spk_sparse *A, ptrdiff_t row) {
  return spk_index(A->offsets, A->itype, row + 1) - spk_index(A->offsets, A->itype, row);
}

static inline int spk_same_columns(const spk_sparse *A, ptrdiff_t row, ptrdiff_t other) {
  const size_t size = spk_itype_size(A->itype);
  const ptrdiff_t length = spk_row_length(A, row);
  return length == spk_row_length(A, other) &&
         memcmp(spk_at(A->indices, spk_index(A->offsets, A->itype, row), size),
                spk_at(A->indices, spk_index(A->offsets, A->itype, other), size),
                (size_t)length * size) == 0;
}

/* The share of entries in runs of at least `least` consecutive rows that have the same columns. */
double spk_equal_rows_share(const spk_sparse *A, ptrdiff_t least);

#endif
