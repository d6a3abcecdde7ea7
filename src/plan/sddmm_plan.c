#include "sddmm_plan.h"

#include "../driver/parallel.h"

#define X_MOST ((ptrdiff_t)1 << 18)
#define Y_MOST ((ptrdiff_t)1 << 20)
#define CUT_MOST ((ptrdiff_t)1 << 18)
#define PARTS_PER_THREAD 8

void spk_plan_sddmm(const spk_sparse *P, const spk_dense *X, const spk_dense *Yt, int threads,
                    const spk_machine *machine, spk_sddmm_plan *plan) {
  (void)machine;
  const ptrdiff_t k = X->cols, n = Yt->rows, size = (ptrdiff_t)spk_dtype_size(P->dtype);
  const ptrdiff_t isize = (ptrdiff_t)spk_itype_size(P->itype);
  const ptrdiff_t entries = P->nnz * P->block_rows * P->block_cols;
  const ptrdiff_t row_bytes = spk_max(1, k * size);
  const int x_unit = X->col_stride == 1 || k <= 1, y_unit = Yt->col_stride == 1 || k <= 1;
  const int is_sorted = (P->flags & SPK_SORTED) != 0;
  const int by_rows = P->format != SPK_COO || is_sorted;
  *plan = (spk_sddmm_plan){.threads = spk_choose_threads(threads, (double)entries * (double)k),
                           .panel_rows = spk_max(1, n),
                           .panels = 1,
                           .row_chunk = spk_max(1, P->rows / P->block_rows)};
  plan->pack_x = !x_unit;
  plan->pack_y = !y_unit;
  if (plan->pack_x && (!by_rows || P->block_rows * row_bytes > X_MOST)) plan->strided = 1;
  if (plan->pack_y && n * row_bytes > Y_MOST &&
      (!by_rows || !is_sorted || P->format == SPK_BSR || row_bytes > Y_MOST / 8))
    plan->strided = 1;
  /* A copy pays where rows are read more than once or so. */
  if ((plan->pack_y && entries < n) || (plan->pack_x && entries < P->rows)) plan->strided = 1;
  if (plan->strided) plan->pack_x = plan->pack_y = 0;

  if (plan->pack_y) {
    plan->panel_rows = spk_max(1, spk_min(n, Y_MOST / row_bytes));
    plan->panels = spk_max(1, spk_ceil_div(n, plan->panel_rows));
    plan->y_bytes = spk_slice((size_t)(plan->panel_rows * row_bytes));
  }
  if (plan->pack_x) {
    const ptrdiff_t per_row = row_bytes * P->block_rows;
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, X_MOST / per_row));
    plan->x_bytes = spk_slice((size_t)(plan->row_chunk * per_row));
  }
  if (plan->panels > 1) {
    const ptrdiff_t per_row = (plan->panels + 1) * isize;
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, CUT_MOST / per_row));
    plan->cut_bytes = spk_slice((size_t)(plan->row_chunk * per_row));
  }
  if (P->format == SPK_COO && by_rows) {
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, CUT_MOST / isize - 1));
    plan->offset_bytes = spk_slice((size_t)((plan->row_chunk + 1) * isize));
  }
  if (P->format == SPK_BSR)
    plan->block_bytes = spk_slice((size_t)((2 * size + isize) * SPK_SDDMM_BLOCK_ENTRIES));

  plan->parts = plan->threads;
  if (plan->threads > 1 && !plan->pack_y) plan->parts *= PARTS_PER_THREAD;
  const ptrdiff_t most = by_rows ? P->rows / P->block_rows : P->nnz;
  plan->parts = spk_max(1, spk_min(plan->parts, most));
}
