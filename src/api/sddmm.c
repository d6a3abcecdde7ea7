/* spk_sddmm: check, turn CSC into CSR of the transpose, plan, drive. */
#include "../driver/drivers.h"
#include "operands.h"

static spk_dense transposed(const spk_dense *D) {
  return (spk_dense){D->dtype, D->cols, D->rows, D->col_stride, D->row_stride, D->data};
}

spk_status spk_sddmm(const spk_sparse *P, const spk_dense *X, const spk_dense *Y, void *values,
                     const spk_sampling *sampling, int threads) {
  static const spk_sampling plain = {.alpha = 1.0};
  if (!sampling) sampling = &plain;
  spk_sparse ready;
  spk_status status = SPK_ERR_ARGUMENT;
  if (!P || (P->nnz > 0 && !values)) return status;
  ready = *P;
  /* P.values is not read without beta or scale, and may then be missing. */
  if (!ready.values && sampling->beta == 0.0 && !sampling->scale) ready.values = values;
  status = spk_check_sparse(&ready);
  if (status == SPK_OK) status = spk_check_dense(X);
  if (status == SPK_OK) status = spk_check_dense(Y);
  if (status != SPK_OK) return status;
  if (P->rows != X->rows || X->cols != Y->rows || P->cols != Y->cols) return SPK_ERR_SHAPE;
  if (P->dtype != X->dtype || P->dtype != Y->dtype) return SPK_ERR_DTYPE;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  status = spk_ready(&ready, 1, threads);
  if (status != SPK_OK || P->nnz == 0 || P->rows == 0 || P->cols == 0) return status;

  /* P in CSC is P^T in CSR, and (X Y)^T = Y^T X^T. */
  const spk_dense yt = transposed(Y);
  const spk_dense *left = X, *right = &yt;
  if (P->format == SPK_CSC) {
    left = &yt;
    right = X;
    ready.format = SPK_CSR;
    ready.rows = P->cols;
    ready.cols = P->rows;
  }
  spk_sddmm_plan plan;
  spk_plan_sddmm(&ready, left, right, threads, spk_active_machine(), &plan);
  return spk_drive_sddmm(&ready, left, right, values, sampling, &plan, kernels);
}
