/* SpMM by scattering: every entry of A adds a row of B to a row of C. */
#include "drivers.h"
#include "../threads/parallel.h"
#include "stage.h"
#include "../threads/workspace.h"

typedef struct job {
  const spk_sparse *A;
  const spk_dense *B, *C;
  const spk_epilogue *epilogue;
  const spk_spmm_plan *plan;
  const spk_kernels *kernels;
  spk_workspace space;
} job;

static spk_spmm_fn choose_kernel(const job *j, ptrdiff_t n) {
  const int t = j->A->dtype, i = j->A->itype;
  if (j->A->format == SPK_COO) return j->kernels->spmm_coo[t][i];
  if (j->plan->strided) return j->kernels->spmm_csc_strided[t][i];
  return j->kernels->spmm_csc[t][i][spk_ceil_div(n, j->kernels->lanes[t]) - 1];
}

/* Run all columns of A (for COO, all entries) against one tile of C. */
static void run_entries(const job *j, spk_spmm_task *task, char *panel, ptrdiff_t col) {
  const spk_sparse *A = j->A;
  const spk_dense *B = j->B;
  const spk_spmm_plan *plan = j->plan;
  const size_t size = spk_dtype_size(A->dtype), isize = spk_itype_size(A->itype);
  const spk_spmm_fn kernel = choose_kernel(j, task->n);
  const void *b = B->rows ? spk_at(B->data, col * B->col_stride, size) : NULL;
  if (A->format == SPK_COO) {
    task->B = b;
    /* There may be more entries than an index of 32 bits can count. */
    for (ptrdiff_t p = 0, count; p < A->nnz; p += count) {
      count = spk_min(A->nnz - p, INT32_MAX);
      const int64_t wide[2] = {0, count};
      const int32_t narrow[2] = {0, (int32_t)count};
      task->begin = A->itype == SPK_I32 ? (const void *)narrow : wide;
      task->end = spk_at(task->begin, 1, isize);
      task->rows_coo = spk_at(A->row_indices, p, isize);
      task->indices = spk_at(A->indices, p, isize);
      task->values = spk_at(A->values, p, size);
      kernel(task);
    }
    return;
  }
  for (ptrdiff_t k = 0; k < A->cols; k += plan->panel_rows) {
    task->rows = spk_min(plan->panel_rows, A->cols - k);
    task->begin = spk_at(A->offsets, k, isize);
    task->end = spk_at(A->offsets, k + 1, isize);
    task->B = spk_at(b, k * B->row_stride, size);
    if (plan->pack) {
      j->kernels->pack[A->dtype](panel, plan->tile, task->B, B->row_stride, B->col_stride,
                                 task->rows, task->n);
      task->B = panel;
    }
    kernel(task);
  }
}

/* Compute rows [r0, r1) of one tile of C. */
static void run_rows(const job *j, ptrdiff_t t, ptrdiff_t r0, ptrdiff_t r1, char *panel,
                     char *stage) {
  const spk_sparse *A = j->A;
  const spk_dense *B = j->B, *C = j->C;
  const spk_spmm_plan *plan = j->plan;
  const spk_kernels *kernels = j->kernels;
  const size_t size = spk_dtype_size(A->dtype);
  const ptrdiff_t col = t * plan->tile, cols = spk_min(plan->tile, B->cols - col);
  void *c = spk_at_mut(C->data, r0 * C->row_stride + col * C->col_stride, size);
  static const spk_epilogue zeros = {.alpha = 1.0};
  spk_epilogue e = *j->epilogue;
  if (e.bias_row) e.bias_row = spk_at(e.bias_row, r0, size);
  if (e.bias_col) e.bias_col = spk_at(e.bias_col, col, size);
  spk_spmm_task task = {.indices = A->indices,
                        .values = A->values,
                        .rows_coo = A->row_indices,
                        .C = plan->stage ? stage : c,
                        .ldb = plan->pack ? plan->tile : B->row_stride,
                        .ldc = plan->stage ? plan->tile : C->row_stride,
                        .n = cols,
                        /* A lone column goes as one with a stride, because it would fill one lane
                         * of a vector. */
                        .col_strideb = plan->pack     ? 1
                                       : B->cols == 1 ? 0
                                                      : B->col_stride,
                        .col_stridec = plan->stage ? 1 : C->col_stride,
                        .row_low = r0,
                        .row_high = r1};
  /* Rows without gaps are one long row, and take one memset. */
  if (task.ldc == cols && (cols == 1 || task.col_stridec == 1))
    kernels->tile_scale[A->dtype](task.C, 0, 1, 1, (r1 - r0) * cols, &zeros);
  else
    kernels->tile_scale[A->dtype](task.C, task.ldc, task.col_stridec, r1 - r0, cols, &zeros);
  run_entries(j, &task, panel, col);
  if (plan->stage)
    spk_stage_store(kernels, stage, plan->tile, c, C, r1 - r0, cols, &e);
  else
    kernels->tile_finish[A->dtype](c, C->row_stride, C->col_stride, r1 - r0, cols, &e);
}

static void run_part(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_spmm_plan *plan = j->plan;
  const ptrdiff_t rows = j->A->rows;
  const ptrdiff_t t0 = plan->tiles * part / plan->col_parts;
  const ptrdiff_t t1 = plan->tiles * (part + 1) / plan->col_parts;
  char *panel = spk_workspace_of(&j->space, worker);
  for (ptrdiff_t t = t0; t < t1; t++)
    for (ptrdiff_t r = 0; r < rows; r += plan->row_chunk)
      run_rows(j, t, r, spk_min(rows, r + plan->row_chunk), panel, panel + plan->panel_bytes);
}

spk_status spk_drive_scatter(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, const spk_spmm_plan *plan,
                             const spk_kernels *kernels) {
  job j = {A, B, C, epilogue, plan, kernels, {0}};
  const spk_status status =
      spk_workspace_take(&j.space, 0, plan->panel_bytes + plan->stage_bytes, plan->threads);
  if (status != SPK_OK) return status;
  spk_parallel(plan->threads, (spk_phase){0}, (spk_phase){plan->col_parts, run_part}, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
