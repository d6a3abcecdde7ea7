/* spk_attend and the patterns that it goes by. */
#include <stdlib.h>

#include "../driver/drivers.h"
#include "operands.h"

ptrdiff_t spk_pattern_nnz(const spk_pattern *pattern) { return pattern ? pattern->nnz : 0; }

size_t spk_pattern_bytes(const spk_pattern *pattern) { return pattern ? pattern->bytes : 0; }

spk_status spk_pattern_make(const spk_sparse *P, int threads, spk_pattern **made) {
  if (!P || !made) return SPK_ERR_ARGUMENT;
  spk_sparse canonical = *P;
  canonical.values = P->indices; /* not read, and may be missing */
  spk_status status = spk_check_sparse(&canonical);
  if (status != SPK_OK) return status;
  if (P->format != SPK_CSR) return SPK_ERR_ARGUMENT;
  status = spk_validate(&canonical, 1, threads);
  if (status != SPK_OK) return status;
  if (!(canonical.flags & SPK_SORTED)) return SPK_ERR_ARGUMENT;
  return spk_plan_pattern(&canonical, threads, made);
}

spk_status spk_attend(const spk_pattern *mask, const spk_attention *attention, int threads) {
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
