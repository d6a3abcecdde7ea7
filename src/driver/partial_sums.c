/* SpMM of CSC and COO, and CSR times a vector, by partial sums. */
#include <stdatomic.h>
#include <string.h>

#include "../threads/partition.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "rows.h"
#include "stage.h"
#include "../threads/workspace.h"

typedef struct job {
  const spk_sparse *A;
  const spk_dense *B, *C;
  const spk_epilogue *epilogue;
  const spk_partial_plan *plan;
  const spk_kernels *kernels;
  spk_workspace space;
  spk_sparse by_row;  /* A in CSR, or for CSC the transpose in CSR, whose rows are partitioned */
  ptrdiff_t tile;     /* the number of the tile */
  atomic_int outside; /* whether an index was outside; then C is not written */
} job;

static ptrdiff_t tile_columns(const job *j) {
  return spk_min(j->plan->tile, j->B->cols - j->tile * j->plan->tile);
}

/* Elements from a row of the sums to the next: whole vectors.  The last tile may have fewer than
 * the others. */
static ptrdiff_t width_of(const job *j) {
  const ptrdiff_t lanes = j->kernels->lanes[j->A->dtype];
  return j->plan->tile == 1 ? 1 : spk_round_up(tile_columns(j), lanes);
}

static char *sums_of(const job *j, ptrdiff_t array) {
  return j->space.shared + j->plan->copy_bytes + (size_t)array * j->plan->sums_bytes;
}

static const void *tile_of_b(const job *j, ptrdiff_t row) {
  const spk_dense *B = j->B;
  const ptrdiff_t col = j->tile * j->plan->tile;
  return spk_at(B->data, row * B->row_stride + col * B->col_stride, spk_dtype_size(B->dtype));
}

static spk_spmm_fn choose_kernel(const job *j, ptrdiff_t n) {
  const int t = j->A->dtype, i = j->A->itype;
  const spk_kernels *k = j->kernels;
  const ptrdiff_t vectors = spk_ceil_div(n, k->lanes[t]);
  if (j->A->format == SPK_CSR) return k->spmv_partial_csr[t][i];
  if (j->A->format == SPK_CSC)
    return j->plan->tile == 1 ? k->spmv_partial_csc[t][i] : k->spmm_partial_csc[t][i][vectors - 1];
  return j->plan->tile == 1 ? k->spmv_partial_coo[t][i] : k->spmm_partial_coo[t][i][vectors - 1];
}

/* A bound that an index in range is below, and that fits the type of the indices. */
static uint64_t bound_of(const job *j, ptrdiff_t extent) {
  return j->A->itype == SPK_I32 ? (uint64_t)spk_min(extent, (ptrdiff_t)INT32_MAX + 1)
                                : (uint64_t)extent;
}

/* Sum the rows of CSR, or the columns of CSC. */
static void sum_rows(job *j, spk_spmm_task *task, ptrdiff_t part, int worker) {
  const spk_sparse *A = j->A;
  const spk_partial_plan *plan = j->plan;
  const size_t size = spk_dtype_size(A->dtype), isize = spk_itype_size(A->itype);
  const int by_column = A->format == SPK_CSC;
  const ptrdiff_t all = by_column ? A->cols : A->rows;
  const ptrdiff_t first = spk_partition_begin(&j->by_row, 0, all, part, plan->parts);
  const ptrdiff_t last = spk_partition_begin(&j->by_row, 0, all, part + 1, plan->parts);
  const ptrdiff_t step = by_column ? plan->panel_rows : spk_max(1, last - first);
  const spk_spmm_fn kernel = choose_kernel(j, task->n);
  void *panel = spk_workspace_of(&j->space, worker);
  task->indices = A->indices;
  task->values = A->values;
  task->bound = bound_of(j, by_column ? A->rows : A->cols);
  if (!by_column) task->C = spk_at_mut(task->C, first, size);
  for (ptrdiff_t k = first; k < last; k += step) {
    task->rows = spk_min(step, last - k);
    task->begin = spk_at(A->offsets, k, isize);
    task->end = spk_at(A->offsets, k + 1, isize);
    task->B = by_column ? tile_of_b(j, k) : j->B->rows ? tile_of_b(j, 0) : NULL;
    if (plan->pack) {
      j->kernels->pack[A->dtype](panel, plan->tile, task->B, j->B->row_stride, j->B->col_stride,
                                 task->rows, task->n);
      task->B = panel;
    }
    kernel(task);
  }
}

static void sum_entries(job *j, spk_spmm_task *task, ptrdiff_t part) {
  const spk_sparse *A = j->A;
  const size_t isize = spk_itype_size(A->itype);
  const ptrdiff_t p = spk_partition_even(A->nnz, part, j->plan->parts);
  task->rows = spk_partition_even(A->nnz, part + 1, j->plan->parts) - p;
  task->bound = bound_of(j, A->rows);
  task->col_bound = bound_of(j, A->cols);
  task->B = j->plan->pack ? j->space.shared : j->B->rows ? tile_of_b(j, 0) : NULL;
  task->rows_coo = spk_at(A->row_indices, p, isize);
  task->indices = spk_at(A->indices, p, isize);
  task->values = spk_at(A->values, p, spk_dtype_size(A->dtype));
  choose_kernel(j, task->n)(task);
}

static void sum_part(void *context, ptrdiff_t part, int worker) {
  job *j = context;
  const spk_partial_plan *plan = j->plan;
  int outside = 0;
  spk_spmm_task task = {.C = sums_of(j, plan->arrays > 1 ? part : 0),
                        .ldb = plan->pack ? plan->tile : j->B->row_stride,
                        .n = tile_columns(j),
                        .outside = &outside,
                        .by_blocks = plan->by_blocks,
                        .several = plan->several,
                        .streams = plan->streams};
  if (atomic_load_explicit(&j->outside, memory_order_relaxed)) return;
  if (j->A->format != SPK_CSR) memset(task.C, 0, plan->sums_bytes);
  if (j->A->format == SPK_COO)
    sum_entries(j, &task, part);
  else
    sum_rows(j, &task, part, worker);
  if (outside) atomic_store_explicit(&j->outside, 1, memory_order_relaxed);
}

/* Add the partial sums of some rows of C, and store them with the epilogue. */
static void store_band(void *context, ptrdiff_t task, int worker) {
  job *j = context;
  const spk_dense *C = j->C;
  const spk_partial_plan *plan = j->plan;
  const size_t size = spk_dtype_size(C->dtype);
  const ptrdiff_t first = task * plan->band, rows = spk_min(plan->band, C->rows - first);
  const ptrdiff_t col = j->tile * plan->tile, cols = tile_columns(j), width = width_of(j);
  char *sums = sums_of(j, 0) + (size_t)(first * width) * size;
  spk_epilogue e = *j->epilogue;
  (void)worker;
  if (atomic_load_explicit(&j->outside, memory_order_relaxed)) return;
  if (e.bias_row) e.bias_row = spk_at(e.bias_row, first, size);
  if (e.bias_col) e.bias_col = spk_at(e.bias_col, col, size);
  if (plan->arrays > 1)
    j->kernels->partial_add[C->dtype](sums, (ptrdiff_t)(plan->sums_bytes / size), plan->arrays,
                                      rows * width);
  spk_stage_store(j->kernels, sums, width,
                  spk_at_mut(C->data, first * C->row_stride + col * C->col_stride, size), C, rows,
                  cols, &e);
}

/* Copy some rows of B into the copy of its tile. */
static void copy_rows(void *context, ptrdiff_t task, int worker) {
  const job *j = context;
  const spk_dense *B = j->B;
  const spk_partial_plan *plan = j->plan;
  const ptrdiff_t first = task * plan->band, rows = spk_min(plan->band, B->rows - first);
  (void)worker;
  j->kernels->pack[B->dtype](
      j->space.shared + (size_t)(first * plan->tile) * spk_dtype_size(B->dtype), plan->tile,
      tile_of_b(j, first), B->row_stride, B->col_stride, rows, tile_columns(j));
}

static void run_tile(job *j) {
  const spk_partial_plan *plan = j->plan;
  if (plan->copy_bytes)
    spk_parallel(plan->threads, (spk_phase){0},
                 (spk_phase){spk_ceil_div(j->B->rows, plan->band), copy_rows}, j);
  spk_parallel(plan->threads, (spk_phase){plan->parts, sum_part},
               (spk_phase){spk_ceil_div(j->C->rows, plan->band), store_band}, j);
}

spk_status spk_drive_partial(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, const spk_partial_plan *plan,
                             const spk_kernels *kernels) {
  job j = {.A = A, .B = B, .C = C, .epilogue = epilogue, .plan = plan, .kernels = kernels};
  const size_t shared = plan->copy_bytes + (size_t)plan->arrays * plan->sums_bytes;
  const spk_status status = spk_workspace_take(&j.space, shared, plan->panel_bytes, plan->threads);
  if (status != SPK_OK) return status;
  j.by_row = *A;
  j.by_row.format = SPK_CSR;
  atomic_init(&j.outside, 0);
  /* Each tile reads the same indices, so indices that were in range for the first tile are in range
   * for the others. */
  for (; j.tile < plan->tiles && !atomic_load_explicit(&j.outside, memory_order_relaxed); j.tile++)
    run_tile(&j);
  spk_workspace_free(&j.space);
  return atomic_load_explicit(&j.outside, memory_order_relaxed) ? SPK_ERR_INDEX : SPK_OK;
}
