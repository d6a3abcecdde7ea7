#include "sell_plan.h"

#include <math.h>

#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "cost.h"

int spk_sell_suit(const spk_sparse *A, const spk_kernels *kernels) {
  if (!kernels->spmv_sell[A->dtype] || !(A->flags & SPK_SORTED)) return 0;
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const double windows = ceil((double)A->cols / (double)spk_window_columns(lanes));
  const double segments = ceil((double)A->rows / (double)lanes) * windows;
  /* With fewer entries than segments, most steps would hold a single entry. */
  return windows <= SPK_SELL_MAX_WINDOWS && A->rows < UINT32_MAX && (double)A->nnz >= segments;
}

void spk_plan_sell(const spk_sell *A, int threads, spk_sell_plan *plan) {
  threads = spk_choose_threads(threads, SPK_WORK_SELL_STEP * (double)A->weights[A->row_panels]);
  plan->threads = (int)spk_max(1, spk_min(threads, A->row_panels));
  plan->parts = 1;
  if (plan->threads > 1)
    plan->parts = spk_max(1, spk_min(A->row_panels, plan->threads * SPK_TASKS_PER_THREAD));
}
