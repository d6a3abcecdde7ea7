/* spk_spmspv and spk_spmspv_dense: check the operands, drive. */
#include "../driver/drivers.h"
#include "operands.h"

static spk_status check(const spk_sparse *A, const void *y) {
  const spk_status status = spk_check_sparse(A);
  if (status != SPK_OK) return status;
  if (A->format != SPK_CSC || (A->rows > 0 && !y)) return SPK_ERR_ARGUMENT;
  if (!spk_extent_fits(A->rows, 1, 1, 1, spk_dtype_size(A->dtype))) return SPK_ERR_ARGUMENT;
  /* Only the offsets and indices of columns that are read are checked, by the driver. */
  return spk_index(A->offsets, A->itype, 0) == 0 ? SPK_OK : SPK_ERR_INDPTR;
}

spk_status spk_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count, void *y,
                      int threads) {
  const spk_status status = check(A, y);
  if (status != SPK_OK) return status;
  if (count < 0 || (count > 0 && (!ids || !x))) return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  return kernels ? spk_drive_spmspv(A, ids, x, count, y, threads, kernels) : SPK_ERR_ISA;
}

spk_status spk_spmspv_dense(const spk_sparse *A, const void *x, ptrdiff_t stride, void *y,
                            int threads) {
  const spk_status status = check(A, y);
  if (status != SPK_OK) return status;
  if (A->cols > 0 && !x) return SPK_ERR_ARGUMENT;
  if (!spk_extent_fits(A->cols, 1, stride, 1, spk_dtype_size(A->dtype))) return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  return kernels ? spk_drive_spmspv_dense(A, x, stride, y, threads, kernels) : SPK_ERR_ISA;
}
