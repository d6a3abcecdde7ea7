/* A packed in slices times dense: column by column, slices dealt out by their steps. */
#include <string.h>

#include "drivers.h"
#include "parallel.h"
#include "workspace.h"

/* Tasks per thread: enough to even out disturbances. */
#define TASKS_PER_THREAD 4

typedef struct job {
  const spk_slices *A;
  const spk_dense *C;
  const spk_epilogue *epilogue;
  const spk_kernels *kernels;
  const char *x;
  ptrdiff_t column, parts;
} job;

/* A column of B in windows, each with a zero at its end. */
static void spread(char *x, const spk_slices *A, const spk_dense *B, ptrdiff_t column,
                   const spk_kernels *kernels) {
  const ptrdiff_t width = spk_window_columns(A->lanes), held = 2 * A->lanes;
  const size_t size = spk_dtype_size(A->dtype);
  const void *from = spk_at(B->data, column * B->col_stride, size);
  if (A->windows == 0) return;
  memset(x, 0, (size_t)(A->windows * held) * size);
  for (ptrdiff_t w = 0; w < A->windows; w++) {
    const ptrdiff_t count = spk_min(width, A->cols - w * width);
    const void *part = spk_at(from, w * width * B->row_stride, size);
    void *to = spk_at_mut(x, w * held, size);
    if (B->row_stride == 1)
      memcpy(to, part, (size_t)count * size);
    else
      kernels->unpack[A->dtype](part, B->row_stride, to, 1, 1, count, 1);
  }
}

static void run_part(void *context, ptrdiff_t part, int worker) {
  (void)worker;
  const job *j = context;
  const spk_slices *A = j->A;
  const size_t size = spk_dtype_size(A->dtype);
  const ptrdiff_t first = spk_slices_part(A, part, j->parts);
  spk_slice_task task = {.slices = spk_slices_part(A, part + 1, j->parts) - first,
                         .rows = A->rows,
                         .begin = A->begin + first,
                         .row_ids = A->row_ids + first * A->lanes,
                         .window = A->window,
                         .picks = A->picks,
                         .values = A->values,
                         .x = j->x,
                         .C = spk_at_mut(j->C->data, j->column * j->C->col_stride, size),
                         .ldc = j->C->row_stride,
                         .epilogue = *j->epilogue};
  if (task.epilogue.bias_col)
    task.epilogue.bias_col = spk_at(task.epilogue.bias_col, j->column, size);
  j->kernels->spmv_slices[A->dtype](&task);
}

spk_status spk_drive_slices(const spk_slices *A, const spk_dense *B, const spk_dense *C,
                            const spk_epilogue *epilogue, int threads, const spk_kernels *kernels) {
  spk_workspace space;
  const size_t bytes = (size_t)(A->windows * 2 * A->lanes) * spk_dtype_size(A->dtype);
  const spk_status status = spk_workspace_take(&space, bytes, 0, 1);
  if (status != SPK_OK) return status;
  threads = spk_choose_threads(threads, (double)A->nnz + (double)A->rows);
  job j = {A, C, epilogue, kernels, space.shared, 0, 1};
  if (threads > 1) j.parts = spk_max(1, spk_min(A->slices, threads * TASKS_PER_THREAD));
  for (; j.column < B->cols; j.column++) {
    spread(space.shared, A, B, j.column, kernels);
    spk_parallel(threads, (spk_phase){0}, (spk_phase){j.parts, run_part}, &j);
  }
  spk_workspace_free(&space);
  return SPK_OK;
}
