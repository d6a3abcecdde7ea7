#include "bitmap_plan.h"

#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "cost.h"

int spk_bitmap_suits(const spk_sparse *A) {
  const double pieces = (double)A->rows * (double)spk_ceil_div(A->cols, SPK_PIECE);
  return A->dtype == SPK_F32 && A->cols <= SPK_BITMAP_MAX_COLS && (double)A->nnz >= pieces;
}

void spk_plan_bitmap(const spk_bitmap *A, ptrdiff_t n, int threads, spk_bitmap_plan *plan) {
  const double passes = (double)spk_ceil_div(n, SPK_BITMAP_COLUMNS);
  const double pieces = (double)A->rows * (double)A->pieces * passes;
  const ptrdiff_t blocks = spk_ceil_div(A->rows, SPK_BITMAP_ROWS);
  threads = spk_choose_threads(threads, SPK_WORK_BITMAP_PIECE * pieces);
  plan->threads = (int)spk_max(1, spk_min(threads, blocks));
  plan->parts = plan->threads == 1 ? 1 : spk_min(blocks, plan->threads * SPK_TASKS_PER_THREAD);
}
