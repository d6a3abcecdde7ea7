/* spk_quantise: check, drive. */
#include <math.h>

#include "../driver/drivers.h"
#include "operands.h"

spk_status spk_quantise(ptrdiff_t rows, ptrdiff_t cols, const float *X, ptrdiff_t ldx, float scale,
                        int zero_point, int is_signed, void *out, ptrdiff_t ldout, int threads) {
  const int low = is_signed ? INT8_MIN : 0;
  if (rows < 0 || cols < 0 || zero_point < low || zero_point > low + UINT8_MAX || !(scale > 0) ||
      !isfinite(scale))
    return SPK_ERR_ARGUMENT;
  if (rows == 0 || cols == 0) return SPK_OK;
  if (!X || !out) return SPK_ERR_ARGUMENT;
  if (!spk_extent_fits(rows, cols, ldx, 1, sizeof *X) || !spk_extent_fits(rows, cols, ldout, 1, 1))
    return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  const spk_floats f = {rows, cols, X, ldx, scale, low, zero_point, out, ldout};
  spk_drive_quantise(&f, threads, kernels);
  return SPK_OK;
}
