/* spk_attend: check, drive. */
#include "../driver/drivers.h"
#include "operands.h"

spk_status spk_attend(const spk_column_runs *mask, const spk_attention *attention, int threads) {
  const spk_attention *a = attention;
  if (!mask || !a || (unsigned)a->dtype > SPK_F64 || a->heads < 0 || a->d < 0 || a->dv < 0)
    return SPK_ERR_ARGUMENT;
  if (a->heads == 0 || mask->rows == 0) return SPK_OK;
  if (!a->q_offsets || !a->k_offsets || !a->v_offsets || !a->out_offsets) return SPK_ERR_ARGUMENT;
  if (a->bias && !a->bias_offsets) return SPK_ERR_ARGUMENT;
  const int keys = mask->cols > 0;
  if ((a->d > 0 && (!a->Q || (keys && !a->K))) || (a->dv > 0 && (!a->out || (keys && !a->V))))
    return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  return kernels ? spk_drive_attention(mask, a, threads, kernels) : SPK_ERR_ISA;
}
