/* A in SELL slices times a dense matrix, column by column.  Row panels are partitioned by their
 * steps. */
#include "../pack/reduced_precision.h"
#include "../plan/sell_plan.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"

typedef struct job {
  const spk_sell *A;
  const spk_dense *B, *C;
  const spk_epilogue *epilogue;
  const spk_kernels *kernels;
  ptrdiff_t column, parts;
  size_t window_bytes, plain_bytes; /* 0: no slice needs it */
  spk_workspace space;
} job;

/* The memory of one worker: the number of the column that x holds, or -1; sums; x in windows, for
 * slices with permutes; and x without windows, for other slices.  Each worker copies x itself,
 * because reading lines that another core wrote takes longer (doc/decisions/sell.rst,
 * decision-sell-copies). */
typedef struct scratch {
  ptrdiff_t *column;
  char *sums, *x, *plain;
} scratch;

#define SUM_BYTES ((size_t)SPK_SELL_ROW_PANEL_ROWS * sizeof(double))

static scratch scratch_of(const job *j, int worker) {
  char *slice = spk_workspace_of(&j->space, worker);
  char *sums = slice + SPK_ALIGN, *x = sums + SUM_BYTES;
  return (scratch){
      .column = (ptrdiff_t *)(void *)slice, .sums = sums, .x = x, .plain = x + j->window_bytes};
}

/* x without windows, or in windows of whole vectors, and the zeros behind it. */
static ptrdiff_t plain_elements(const spk_sell *A) {
  return spk_max(A->cols + SPK_PLAIN_ZEROS, A->windows * A->window_columns);
}

/* Copy a column of B, into windows that each end in a zero, or contiguously with zeros behind
 * it. */
static void spread(const job *j, const scratch *s) {
  const spk_sell *A = j->A;
  const spk_dense *B = j->B;
  if (*s->column == j->column) return;
  *s->column = j->column;
  const size_t size = spk_dtype_size(A->dtype);
  const void *from = spk_at(B->data, j->column * B->col_stride, size);
  if (j->window_bytes) j->kernels->spmv_sell_windows[A->dtype](s->x, from, B->row_stride, A->cols);
  if (!j->plain_bytes) return;
  j->kernels->pack[A->dtype](s->plain, 0, from, 0, B->row_stride, 1, A->cols);
  memset(spk_at_mut(s->plain, A->cols, size), 0, (size_t)(plain_elements(A) - A->cols) * size);
}

static void run_part(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_sell *A = j->A;
  const size_t size = spk_dtype_size(A->dtype), stored = spk_stored_size(A->dtype, A->storage);
  const scratch s = scratch_of(j, worker);
  spread(j, &s);
  const ptrdiff_t last = spk_sell_part(A, part + 1, j->parts);
  for (ptrdiff_t i = spk_sell_part(A, part, j->parts); i < last; i++) {
    const spk_sell_row_panel *at = &A->begin[i];
    const size_t vector = (size_t)A->lanes * size;
    spk_sell_task task = {
        .rows = spk_min(A->row_panel_rows, A->rows - i * A->row_panel_rows),
        .first = i * A->row_panel_rows,
        .row_ids = A->in_order[i] ? NULL : A->row_ids + i * A->row_panel_rows,
        .runs = A->runs + at[0].run,
        .run_count = at[1].run - at[0].run,
        .segments = A->segments + at[0].segment,
        .permutes = spk_at(A->permutes, at[0].permute, vector),
        .values = spk_at(A->values, at[0].step * A->lanes, stored),
        .storage = A->storage,
        .scales = A->scales,
        .windows = A->kind,
        .x = spk_sell_ends_in_zeros(A) ? s.x : s.plain,
        .plain = s.plain,
        .sums = s.sums,
        .C = spk_at_mut(j->C->data, j->column * j->C->col_stride, size),
        .ldc = j->C->row_stride,
        .epilogue = *j->epilogue,
    };
    if (task.epilogue.bias_col)
      task.epilogue.bias_col = spk_at(task.epilogue.bias_col, j->column, size);
    j->kernels->spmv_sell[A->dtype](&task);
  }
}

spk_status spk_drive_sell(const spk_sell *A, const spk_dense *B, const spk_dense *C,
                          const spk_epilogue *epilogue, int threads, const spk_kernels *kernels) {
  spk_sell_plan plan;
  spk_plan_sell(A, threads, &plan);
  threads = plan.threads;
  job j = {.A = A, .B = B, .C = C, .epilogue = epilogue, .kernels = kernels, .parts = plan.parts};
  const size_t size = spk_dtype_size(A->dtype);
  const ptrdiff_t shared = A->begin[A->row_panels].shared;
  if (shared < A->nnz && spk_sell_ends_in_zeros(A))
    j.window_bytes = spk_aligned_size((size_t)(A->windows * 2 * A->lanes) * size);
  if (shared > 0 || !spk_sell_ends_in_zeros(A))
    j.plain_bytes = spk_aligned_size((size_t)plain_elements(A) * size);
  const spk_status status = spk_workspace_take(
      &j.space, 0, SPK_ALIGN + SUM_BYTES + j.window_bytes + j.plain_bytes, threads);
  if (status != SPK_OK) return status;
  for (int worker = 0; worker < threads; worker++) *scratch_of(&j, worker).column = -1;
  for (; j.column < B->cols; j.column++)
    spk_parallel(threads, (spk_phase){0}, (spk_phase){j.parts, run_part}, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
