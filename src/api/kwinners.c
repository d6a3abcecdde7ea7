/* spk_kwinners: check, drive. */
#include "../driver/drivers.h"
#include "operands.h"

spk_status spk_kwinners(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, const void *X,
                        ptrdiff_t ldx, ptrdiff_t k, void *out, ptrdiff_t ldout, int32_t *winners,
                        int threads) {
  if (dtype != SPK_F32 && dtype != SPK_F64) return SPK_ERR_ARGUMENT;
  if (rows < 0 || cols < 0 || k < 0 || (winners && cols > INT32_MAX)) return SPK_ERR_ARGUMENT;
  if (rows == 0 || cols == 0) return SPK_OK;
  if (!X || (!out && !winners)) return SPK_ERR_ARGUMENT;
  const size_t size = spk_dtype_size(dtype);
  k = spk_min(k, cols);
  if (!spk_extent_fits(rows, cols, ldx, 1, size) ||
      (out && !spk_extent_fits(rows, cols, ldout, 1, size)) ||
      (winners && !spk_extent_fits(rows, k, k, 1, sizeof *winners)))
    return SPK_ERR_ARGUMENT;
  if (!out && k == 0) return SPK_OK; /* there are no winners, whatever the number of rows */
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  const spk_winners w = {dtype, rows, cols, X, ldx, k, out, ldout, winners};
  spk_drive_kwinners(&w, threads, kernels);
  return SPK_OK;
}
