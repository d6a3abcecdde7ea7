/* spk_measure_roofline: check and drive. */
#include "../driver/drivers.h"

spk_status spk_measure_roofline(spk_roofline what, spk_dtype dtype, size_t bytes, int threads,
                                double *rate) {
  if (!rate || (unsigned)what > SPK_ROOFLINE_LOAD || (unsigned)dtype > SPK_F64)
    return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  return spk_drive_roofline(what, dtype, bytes, threads, kernels, rate);
}
