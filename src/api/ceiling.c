/* spk_measure_ceiling: check and drive. */
#include "../driver/drivers.h"

spk_status spk_measure_ceiling(spk_ceiling what, spk_dtype dtype, size_t bytes, int threads,
                               double *rate) {
  if (!rate || (unsigned)what > SPK_CEILING_LOAD || (unsigned)dtype > SPK_F64)
    return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  return spk_drive_ceiling(what, dtype, bytes, threads, kernels, rate);
}
