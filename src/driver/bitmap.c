/* A as a bitmap times a dense matrix, up to four columns at a time.  Rows are partitioned evenly:
 * the pieces of a row take their time whatever they hold. */
#include "../pack/bitmap.h"
#include "../plan/bitmap_plan.h"
#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "../threads/workspace.h"
#include "drivers.h"

typedef struct job {
  const spk_bitmap *A;
  const spk_dense *B, *C;
  const spk_epilogue *epilogue;
  const spk_kernels *kernels;
  ptrdiff_t column, n, parts; /* the columns of B of this pass */
  size_t unpacked_bytes;
  spk_workspace space;
} job;

/* The memory of a worker: the number of the column that x begins with, or -1; how x was copied;
 * sums; values of a row that had 4 bits; and columns of B.  Each worker copies these itself,
 * because reading lines that another core wrote takes longer (doc/decisions/sell.rst,
 * decision-sell-copies). */
typedef struct scratch {
  ptrdiff_t *column;
  struct copied {
    int floats, finite; /* see spk_bitmap_x_fn */
  } *copied;
  float *sums, *x;
  int8_t *unpacked;
} scratch;

#define SUM_BYTES (SPK_BITMAP_ROWS * SPK_BITMAP_COLUMNS * sizeof(float))

static scratch scratch_of(const job *j, int worker) {
  char *slice = spk_workspace_of(&j->space, worker), *sums = slice + SPK_ALIGN;
  char *unpacked = sums + SUM_BYTES;
  return (scratch){.column = (ptrdiff_t *)(void *)slice,
                   .copied = (struct copied *)(void *)(slice + sizeof(ptrdiff_t)),
                   .sums = (float *)(void *)sums,
                   .unpacked = (int8_t *)unpacked,
                   .x = (float *)(void *)(unpacked + j->unpacked_bytes)};
}

static void copy_columns(const job *j, const scratch *s) {
  const spk_dense *B = j->B;
  if (*s->column == j->column) return;
  *s->column = j->column;
  const ptrdiff_t group = j->A->groups > 1 ? j->A->group : j->A->pieces * SPK_PIECE;
  for (int floats = 0; floats < 2; floats++) {
    int taken = 1;
    for (ptrdiff_t i = 0; i < j->n; i++) {
      const float *from = spk_at(B->data, (j->column + i) * B->col_stride, sizeof *from);
      float *to = s->x + i * spk_bitmap_x_floats(j->A->pieces);
      taken &= j->kernels->bitmap_x(to, from, B->row_stride, B->rows, j->A->storage, group, floats);
    }
    s->copied->floats = floats;
    s->copied->finite = taken;
    if (taken) return;
  }
}

static void run_part(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_bitmap *A = j->A;
  const spk_dense *C = j->C;
  const scratch s = scratch_of(j, worker);
  const ptrdiff_t blocks = spk_ceil_div(A->rows, SPK_BITMAP_ROWS);
  copy_columns(j, &s);
  const ptrdiff_t last = spk_partition_even(blocks, part + 1, j->parts);
  for (ptrdiff_t i = spk_partition_even(blocks, part, j->parts); i < last; i++) {
    const ptrdiff_t first = i * SPK_BITMAP_ROWS, rows = spk_min(SPK_BITMAP_ROWS, A->rows - first);
    const spk_bitmap_task task = {.storage = A->storage,
                                  .rows = rows,
                                  .pieces = A->pieces,
                                  .bits = A->bits + first * A->pieces,
                                  .begin = A->begin + first,
                                  .values = A->values,
                                  .scales = A->groups ? A->scales + first * A->groups : NULL,
                                  .group = A->group,
                                  .groups = A->groups,
                                  .x = s.x,
                                  .n = j->n,
                                  .floats = s.copied->floats,
                                  .finite = s.copied->finite,
                                  .unpacked = s.unpacked,
                                  .sums = s.sums};
    spk_epilogue e = *j->epilogue;
    if (e.bias_row) e.bias_row = spk_at(e.bias_row, first, sizeof(float));
    if (e.bias_col) e.bias_col = spk_at(e.bias_col, j->column, sizeof(float));
    j->kernels->spmm_bitmap(&task);
    float *to = spk_at_mut(C->data, first * C->row_stride + j->column * C->col_stride, sizeof *to);
    j->kernels->tile_store[SPK_F32](s.sums, j->n, to, C->row_stride, C->col_stride, rows, j->n, &e);
  }
}

spk_status spk_drive_bitmap(const spk_bitmap *A, const spk_dense *B, const spk_dense *C,
                            const spk_epilogue *epilogue, int threads, const spk_kernels *kernels) {
  spk_bitmap_plan plan;
  spk_plan_bitmap(A, B->cols, threads, &plan);
  job j = {.A = A, .B = B, .C = C, .epilogue = epilogue, .kernels = kernels, .parts = plan.parts};
  if (A->storage == SPK_STORAGE_S4)
    j.unpacked_bytes = spk_aligned_size((size_t)A->longest + 1 + SPK_EXPAND_BYTES);
  const ptrdiff_t most = spk_min(B->cols, SPK_BITMAP_COLUMNS);
  const size_t x = (size_t)(spk_bitmap_x_floats(A->pieces) * most) * sizeof(float);
  const spk_status status =
      spk_workspace_take(&j.space, 0, SPK_ALIGN + SUM_BYTES + j.unpacked_bytes + x, plan.threads);
  if (status != SPK_OK) return status;
  for (int worker = 0; worker < plan.threads; worker++) *scratch_of(&j, worker).column = -1;
  for (; j.column < B->cols; j.column += j.n) {
    j.n = spk_min(SPK_BITMAP_COLUMNS, B->cols - j.column);
    spk_parallel(plan.threads, (spk_phase){0}, (spk_phase){j.parts, run_part}, &j);
  }
  spk_workspace_free(&j.space);
  return SPK_OK;
}
