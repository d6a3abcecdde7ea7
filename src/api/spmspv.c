/* spk_spmspv: check what is read, drive. */
#include "../driver/drivers.h"
#include "operands.h"

spk_status spk_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count,
                      void *y) {
  const spk_status status = spk_check_sparse(A);
  if (status != SPK_OK) return status;
  if (A->format != SPK_CSC || count < 0 || (count > 0 && (!ids || !x)) || (A->rows > 0 && !y))
    return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  return kernels ? spk_drive_spmspv(A, ids, x, count, y, kernels) : SPK_ERR_ISA;
}
