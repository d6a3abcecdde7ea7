#include "equal_rows.h"

double spk_equal_rows_share(const spk_sparse *A, ptrdiff_t least) {
  ptrdiff_t shared = 0;
  for (ptrdiff_t i = 0, next; i < A->rows; i = next) {
    for (next = i + 1; next < A->rows && spk_same_columns(A, i, next);) next++;
    if (next - i >= least) shared += (next - i) * spk_row_length(A, i);
  }
  return (double)shared / (double)spk_max(1, A->nnz);
}
