/* C = A @ B from the parts of rows, as kernels/spmm_rows.h takes them. */
#include "rows.h"

int spk_packed_rows(const spk_sparse *A, ptrdiff_t n, const double *B, double *C);

static void add_part(const spk_entries *entries, const spk_part *part, const double *values,
                     ptrdiff_t n, const double *B, double *sum) {
  for (int64_t p = part->begin; p < part->begin + part->length; p++) {
    for (ptrdiff_t j = 0; j < n; j++)
      sum[j] += values[entries->slots[p]] * B[entries->columns[p] * n + j];
  }
}

/* values are float64; C is m x n, and written once per element. */
int spk_packed_rows(const spk_sparse *A, ptrdiff_t n, const double *B, double *C) {
  spk_entries entries;
  spk_rows rows;
  int status = spk_entries_make(A, &entries);
  if (status != SPK_OK) return status;
  status = spk_rows_make(&entries, &rows);
  double *sums =
      status == SPK_OK ? (double *)calloc((size_t)(rows.sums * n + 1), sizeof *sums) : NULL;
  for (int64_t i = 0; sums && i < rows.parts; i++) {
    const spk_part *part = &rows.part[i];
    double *to = part->sum < 0 ? C + part->row * n : sums + part->sum * n;
    if (part->sum < 0) memset(to, 0, (size_t)n * sizeof *to);
    if (i && part->length > rows.part[i - 1].length) status = SPK_ERR_ARGUMENT;
    add_part(&entries, part, (const double *)A->values, n, B, to);
  }
  for (int64_t i = 0; sums && i < rows.cut_rows; i++) {
    const spk_cut_row *cut = &rows.cut[i];
    for (ptrdiff_t j = 0; j < n; j++) {
      double sum = 0;
      for (int s = 0; s < cut->count; s++) sum += sums[(cut->first + s) * n + j];
      C[cut->row * n + j] = sum;
    }
  }
  if (!sums && status == SPK_OK) status = SPK_ERR_MEMORY;
  free(sums);
  spk_rows_free(&rows);
  spk_entries_free(&entries);
  return status;
}
