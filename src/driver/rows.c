#include "rows.h"

/* The first entry whose row is `row` or a later one. */
static ptrdiff_t entries_before(const spk_sparse *A, ptrdiff_t row) {
  if (A->format != SPK_COO) return spk_index(A->offsets, A->itype, row);
  ptrdiff_t low = 0, high = A->nnz;
  while (low < high) {
    const ptrdiff_t middle = low + (high - low) / 2;
    if (spk_index(A->row_indices, A->itype, middle) < row)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

ptrdiff_t spk_partition_begin(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, ptrdiff_t part,
                              ptrdiff_t parts) {
  if (part <= 0) return first;
  if (part >= parts) return last;
  /* Weights are doubles, because entries times parts may exceed 2**63. */
  const double low_weight = (double)entries_before(A, first) + (double)first;
  const double high_weight = (double)entries_before(A, last) + (double)last;
  const double target = low_weight + (high_weight - low_weight) * (double)part / (double)parts;
  ptrdiff_t low = first, high = last;
  while (low < high) {
    const ptrdiff_t middle = low + (high - low) / 2;
    if ((double)entries_before(A, middle) + (double)middle < target)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

#define FILL(I)                                              \
  do {                                                       \
    const I *row_of = A->row_indices;                        \
    I *offsets = space;                                      \
    for (ptrdiff_t row = first; row < last; row++) {         \
      offsets[row - first] = (I)p;                           \
      while (p < A->nnz && (ptrdiff_t)row_of[p] == row) p++; \
    }                                                        \
    offsets[last - first] = (I)p;                            \
  } while (0)

const void *spk_row_offsets(const spk_sparse *A, ptrdiff_t first, ptrdiff_t last, void *space) {
  if (A->format != SPK_COO) return spk_at(A->offsets, first, spk_itype_size(A->itype));
  ptrdiff_t p = entries_before(A, first);
  if (A->itype == SPK_I32)
    FILL(int32_t);
  else
    FILL(int64_t);
  return space;
}
