/* spk_softmax: check, drive. */
#include "../driver/drivers.h"
#include "operands.h"

spk_status spk_softmax(const spk_sparse *P, void *values, double scale, int threads) {
  spk_status status = spk_check_sparse(P);
  if (status != SPK_OK) return status;
  if (P->format != SPK_CSR || (P->nnz > 0 && !values)) return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  spk_sparse canonical = *P;
  status = spk_validate(&canonical, 0, threads);
  if (status == SPK_OK && P->nnz > 0)
    spk_drive_softmax(&canonical, values, scale, threads, kernels);
  return status;
}
