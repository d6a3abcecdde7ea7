/* spk_spmspm: check, drive. */
#include "../driver/drivers.h"
#include "operands.h"

spk_status spk_spmspm(const spk_sparse *A, const spk_sparse *B, void *C, ptrdiff_t ldc,
                      int threads) {
  spk_status status = spk_check_sparse(A);
  if (status == SPK_OK) status = spk_check_sparse(B);
  if (status != SPK_OK) return status;
  if (A->format != SPK_CSR || B->format != SPK_CSR || A->itype != B->itype) return SPK_ERR_ARGUMENT;
  if (A->dtype != B->dtype) return SPK_ERR_DTYPE;
  if (A->cols != B->rows) return SPK_ERR_SHAPE;
  if (A->rows > 0 && B->cols > 0 && !C) return SPK_ERR_ARGUMENT;
  if (!spk_extent_fits(A->rows, B->cols, ldc, 1, spk_dtype_size(A->dtype))) return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  spk_sparse left = *A, right = *B;
  status = spk_validate(&left, 0, threads);
  if (status == SPK_OK) status = spk_validate(&right, 0, threads);
  if (status == SPK_OK && A->rows > 0 && B->cols > 0)
    spk_drive_spmspm(&left, &right, C, ldc, threads, kernels);
  return status;
}
