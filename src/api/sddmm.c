/* spk_sddmm: check, turn CSC into CSR of the transpose, plan, drive. */
#include "../driver/drivers.h"
#include "operands.h"

/* Rows per entry from which on sorted COO goes entry by entry, and not row by row.  A row without
 * entries takes about a nanosecond; an entry that is a row of its own takes about ten more. */
#define ROWS_PER_ENTRY 8

/* No default: where a format is missing, the compiler warns. */
static int is_sampled(spk_format format) {
  switch (format) {
    case SPK_CSR:
    case SPK_CSC:
    case SPK_COO:
    case SPK_BSR:
      return 1;
  }
  return 0;
}

static spk_dense transposed(const spk_dense *D) {
  return (spk_dense){D->dtype, D->cols, D->rows, D->col_stride, D->row_stride, D->data};
}

static spk_status sample(const spk_sparse *P, const spk_column_runs *column_runs,
                         const spk_dense *X, const spk_dense *Y, void *values,
                         const spk_sampling *sampling, int threads) {
  static const spk_sampling plain = {.alpha = 1.0};
  spk_sparse canonical;
  spk_status status = SPK_ERR_ARGUMENT;
  if (!P || (P->nnz > 0 && !values)) return status;
  canonical = *P;
  const spk_sampling s = spk_rounded_sampling(sampling ? sampling : &plain, P->dtype);
  /* P.values is not read without beta or scale, and may then be missing. */
  if (!canonical.values && s.beta == 0.0 && !s.scale) canonical.values = values;
  status = spk_check_sparse(&canonical);
  if (status == SPK_OK) status = spk_check_dense(X);
  if (status == SPK_OK) status = spk_check_dense(Y);
  if (status != SPK_OK) return status;
  if (!is_sampled(P->format)) return SPK_ERR_ARGUMENT;
  if (P->rows != X->rows || X->cols != Y->rows || P->cols != Y->cols) return SPK_ERR_SHAPE;
  if (P->dtype != X->dtype || P->dtype != Y->dtype) return SPK_ERR_DTYPE;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  status = spk_validate(&canonical, 1, threads);
  if (status != SPK_OK || P->nnz == 0 || P->rows == 0 || P->cols == 0) return status;

  /* Time must grow with the entries, even if few rows have any. */
  if (P->format == SPK_COO && P->rows / ROWS_PER_ENTRY > P->nnz) canonical.flags &= ~SPK_SORTED;
  /* P in CSC is P^T in CSR, and (X Y)^T = Y^T X^T. */
  const spk_dense yt = transposed(Y);
  const spk_dense *left = X, *right = &yt;
  if (P->format == SPK_CSC) {
    left = &yt;
    right = X;
    canonical.format = SPK_CSR;
    canonical.rows = P->cols;
    canonical.cols = P->rows;
  }
  spk_sddmm_plan plan;
  spk_plan_sddmm(&canonical, column_runs, left, right, threads, spk_active_machine(), &plan);
  return spk_drive_sddmm(&canonical, column_runs, left, right, values, &s, &plan, kernels);
}

spk_status spk_sddmm(const spk_sparse *P, const spk_dense *X, const spk_dense *Y, void *values,
                     const spk_sampling *sampling, int threads) {
  return sample(P, NULL, X, Y, values, sampling, threads);
}

spk_status spk_column_runs_sddmm(const spk_column_runs *column_runs, const spk_sparse *P,
                                 const spk_dense *X, const spk_dense *Y, void *values,
                                 const spk_sampling *sampling, int threads) {
  if (!column_runs || !P || P->format != SPK_CSR) return SPK_ERR_ARGUMENT;
  if (column_runs->rows != P->rows || column_runs->cols != P->cols || column_runs->nnz != P->nnz)
    return SPK_ERR_SHAPE;
  return sample(P, column_runs, X, Y, values, sampling, threads);
}

ptrdiff_t spk_column_runs_tiled(const spk_column_runs *column_runs, ptrdiff_t k) {
  return column_runs && k > 0 ? spk_entries_in_tiles(column_runs, k) : 0;
}
