/* SDDMM: every stored entry of P is a dot product of a row of X and a row of Yt, the transpose of
 * Y. */
#include "../threads/partition.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "rows.h"
#include "sddmm_tiles.h"
#include "../threads/workspace.h"

typedef struct job {
  const spk_sparse *P;
  const spk_column_runs *column_runs; /* those of P, or NULL */
  const spk_dense *X, *Yt;
  void *values;
  const spk_sampling *sampling;
  const spk_sddmm_plan *plan;
  const spk_kernels *kernels;
  spk_workspace space;
} job;

/* The workspace of one worker. */
typedef struct scratch {
  char *kept; /* for each panel, whether y holds it, if y has room for all of them */
  char *x, *y, *cuts, *offsets, *block, *tile;
  ptrdiff_t packed; /* the number of the panel that y holds otherwise */
} scratch;

static scratch scratch_of(const job *j, int worker) {
  const spk_sddmm_plan *plan = j->plan;
  scratch s = {.kept = spk_workspace_of(&j->space, worker), .packed = -1};
  s.x = s.kept + plan->flag_bytes;
  s.y = s.x + plan->x_bytes;
  s.cuts = s.y + plan->y_bytes;
  s.offsets = s.cuts + plan->cut_bytes;
  s.block = s.offsets + plan->offset_bytes;
  s.tile = s.block + plan->block_bytes;
  return s;
}

static spk_sddmm_fn choose_kernel(const job *j) {
  const int t = j->P->dtype;
  const int i = j->P->format == SPK_BSR ? spk_sddmm_list_itype(j->P) : j->P->itype;
  return j->plan->strided ? j->kernels->sddmm_csr_strided[t][i] : j->kernels->sddmm_csr[t][i];
}

/* Run a task, whose rows begin at row `first` of P. */
static void run_task(const job *j, const scratch *s, const spk_sddmm_task *task, ptrdiff_t first) {
  if (j->plan->tiles)
    spk_sddmm_tiles(task, j->P->dtype, j->P->itype, j->plan->panels == 1 ? j->column_runs : NULL,
                    first, s->tile, j->kernels, choose_kernel(j));
  else
    choose_kernel(j)(task);
}

/* The rows of Yt that a task copies. */
#define COPY_ROWS 256

static void copy_rows(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_dense *Yt = j->Yt;
  const size_t size = spk_dtype_size(Yt->dtype);
  const ptrdiff_t row = part * COPY_ROWS;
  (void)worker;
  j->kernels->pack[Yt->dtype](spk_at_mut(j->space.shared, row * j->plan->ld, size), j->plan->ld,
                              spk_at(Yt->data, row * Yt->row_stride, size), Yt->row_stride,
                              Yt->col_stride, spk_min(COPY_ROWS, Yt->rows - row), Yt->cols);
}

/* A task over the operands in place.  Callers replace the operands that they packed. */
static spk_sddmm_task plain_task(const job *j) {
  const int copied = j->plan->copy_y;
  return (spk_sddmm_task){.indices = j->P->indices,
                          .values = j->P->values,
                          .out = j->values,
                          .X = j->X->data,
                          .Yt = copied ? j->space.shared : j->Yt->data,
                          .ldx = j->X->row_stride,
                          .ldy = copied ? j->plan->ld : j->Yt->row_stride,
                          .k = j->X->cols,
                          .col_stridex = j->X->col_stride,
                          .col_stridey = j->Yt->col_stride,
                          .sampling = *j->sampling};
}

static void point_x(const job *j, const scratch *s, spk_sddmm_task *task, ptrdiff_t row,
                    ptrdiff_t rows) {
  const spk_dense *X = j->X;
  const void *x = spk_at(X->data, row * X->row_stride, spk_dtype_size(X->dtype));
  task->X = x;
  if (!j->plan->pack_x) return;
  j->kernels->pack[X->dtype](s->x, j->plan->ld, x, X->row_stride, X->col_stride, rows, X->cols);
  task->X = s->x;
  task->ldx = j->plan->ld;
}

static void point_yt(const job *j, scratch *s, spk_sddmm_task *task, ptrdiff_t panel) {
  const spk_dense *Yt = j->Yt;
  const spk_sddmm_plan *plan = j->plan;
  if (!plan->pack_y) return;
  const size_t size = spk_dtype_size(Yt->dtype);
  const ptrdiff_t row = panel * plan->panel_rows;
  const ptrdiff_t rows = spk_min(plan->panel_rows, Yt->rows - row);
  char *y = plan->keep_y ? spk_at_mut(s->y, row * plan->ld, size) : s->y;
  if (plan->keep_y ? !s->kept[panel] : s->packed != panel)
    j->kernels->pack[Yt->dtype](y, plan->ld, spk_at(Yt->data, row * Yt->row_stride, size),
                                Yt->row_stride, Yt->col_stride, rows, Yt->cols);
  if (plan->keep_y) s->kept[panel] = 1;
  s->packed = panel;
  task->Yt = y;
  task->ldy = plan->ld;
  task->base = row;
}

/* The panels that rows with given offsets reach.  Structures like windows reach few of them. */
static void panels_of(const job *j, const void *offsets, ptrdiff_t rows, ptrdiff_t *first,
                      ptrdiff_t *last) {
  const spk_sparse *P = j->P;
  ptrdiff_t low = P->cols, high = -1;
  for (ptrdiff_t i = 0; i < rows; i++) {
    const ptrdiff_t p = spk_index(offsets, P->itype, i), q = spk_index(offsets, P->itype, i + 1);
    if (p == q) continue;
    low = spk_min(low, spk_index(P->indices, P->itype, p));
    high = spk_max(high, spk_index(P->indices, P->itype, q - 1));
  }
  *first = low / j->plan->panel_rows;
  *last = high < 0 ? *first - 1 : high / j->plan->panel_rows;
}

/* Sample rows [first, last) of CSR or sorted COO. */
static void run_rows(const job *j, scratch *s, spk_sddmm_task *task, ptrdiff_t first,
                     ptrdiff_t last) {
  const spk_sparse *P = j->P;
  const spk_sddmm_plan *plan = j->plan;
  const size_t isize = spk_itype_size(P->itype);
  const void *offsets = spk_row_offsets(P, first, last, s->offsets);
  task->rows = last - first;
  if (plan->panels == 1) {
    point_yt(j, s, task, 0);
    task->begin = offsets;
    task->end = spk_at(offsets, 1, isize);
    run_task(j, s, task, first);
    return;
  }
  ptrdiff_t low, high;
  panels_of(j, offsets, task->rows, &low, &high);
  j->kernels->cut_rows[P->itype](P->indices, offsets, task->rows, plan->panel_rows, plan->panels,
                                 s->cuts, plan->row_chunk);
  for (ptrdiff_t panel = low; panel <= high; panel++) {
    point_yt(j, s, task, panel);
    task->begin = s->cuts + (size_t)(panel * plan->row_chunk) * isize;
    task->end = s->cuts + (size_t)((panel + 1) * plan->row_chunk) * isize;
    run_task(j, s, task, first);
  }
}

/* Sample the blocks of one block row.  Each row of the blocks becomes a list of columns in the
 * workspace.  Its dot products are computed together and copied back block by block. */
static void run_block_row(const job *j, const scratch *s, const spk_sddmm_task *shared,
                          ptrdiff_t block, ptrdiff_t x_row) {
  const spk_sparse *P = j->P;
  const spk_itype itype = spk_sddmm_list_itype(P);
  const size_t size = spk_dtype_size(P->dtype), isize = spk_itype_size(itype);
  const ptrdiff_t R = P->block_rows, W = P->block_cols;
  const ptrdiff_t p0 = spk_index(P->offsets, P->itype, block);
  const ptrdiff_t p1 = spk_index(P->offsets, P->itype, block + 1);
  const ptrdiff_t span = spk_min(W, SPK_SDDMM_BLOCK_ENTRIES);
  const ptrdiff_t most = spk_max(1, SPK_SDDMM_BLOCK_ENTRIES / span);
  char *values = s->block, *out = values + SPK_SDDMM_BLOCK_ENTRIES * size;
  char *list = out + SPK_SDDMM_BLOCK_ENTRIES * size;
  const int reads_values = shared->sampling.beta != 0.0 || shared->sampling.scale;
  for (ptrdiff_t w = 0; w < W; w += span) {
    const ptrdiff_t wide = spk_min(span, W - w);
    for (ptrdiff_t p = p0; p < p1; p += most) {
      const ptrdiff_t blocks = spk_min(most, p1 - p), count = blocks * wide;
      for (ptrdiff_t b = 0; b < blocks; b++) {
        const ptrdiff_t col = spk_index(P->indices, P->itype, p + b) * W + w;
        for (ptrdiff_t c = 0; c < wide; c++) {
          if (itype == SPK_I32)
            ((int32_t *)list)[b * wide + c] = (int32_t)(col + c);
          else
            ((int64_t *)list)[b * wide + c] = col + c;
        }
      }
      const int64_t bounds64[2] = {0, count};
      const int32_t bounds32[2] = {0, (int32_t)count};
      for (ptrdiff_t r = 0; r < R; r++) {
        spk_sddmm_task task = *shared;
        task.indices = list;
        task.values = values;
        task.out = out;
        task.begin = itype == SPK_I32 ? (const void *)bounds32 : bounds64;
        task.end = spk_at(task.begin, 1, isize);
        task.rows = 1;
        task.X = spk_at(shared->X, (x_row + r) * shared->ldx, size);
        const ptrdiff_t at = (p * R + r) * W + w;
        if (reads_values)
          j->kernels->pack[P->dtype](values, wide, spk_at(P->values, at, size), R * W, 1, blocks,
                                     wide);
        choose_kernel(j)(&task);
        j->kernels->pack[P->dtype](spk_at_mut(j->values, at, size), R * W, out, wide, 1, blocks,
                                   wide);
      }
    }
  }
}

static void run_row_part(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_sparse *P = j->P;
  const spk_sddmm_plan *plan = j->plan;
  ptrdiff_t r0 = spk_partition_begin(P, 0, spk_outer_rows(P), part, plan->parts);
  ptrdiff_t r1 = spk_partition_begin(P, 0, spk_outer_rows(P), part + 1, plan->parts);
  if (plan->tiles) {
    /* The tiles must be the same for any number of parts. */
    r0 = spk_min(P->rows, spk_round_up(r0, SPK_TILE_ROWS));
    r1 = spk_min(P->rows, spk_round_up(r1, SPK_TILE_ROWS));
  }
  if (r0 == r1) return;
  scratch s = scratch_of(j, worker);
  spk_sddmm_task task = plain_task(j);
  for (ptrdiff_t r = r0; r < r1; r += plan->row_chunk) {
    const ptrdiff_t last = spk_min(r1, r + plan->row_chunk);
    point_x(j, &s, &task, r * P->block_rows, (last - r) * P->block_rows);
    if (P->format != SPK_BSR) {
      run_rows(j, &s, &task, r, last);
      continue;
    }
    point_yt(j, &s, &task, 0);
    for (ptrdiff_t b = r; b < last; b++) run_block_row(j, &s, &task, b, (b - r) * P->block_rows);
  }
}

/* The most entries of one row that go together, because there may be more than an index of 32 bits
 * can count. */
#define MAX_RUN ((ptrdiff_t)1 << 30)

/* Let a task begin at entry p. */
static void point_entries(const job *j, spk_sddmm_task *task, ptrdiff_t p) {
  const spk_sparse *P = j->P;
  const size_t size = spk_dtype_size(P->dtype);
  task->indices = spk_at(P->indices, p, spk_itype_size(P->itype));
  task->values = P->values ? spk_at(P->values, p, size) : NULL;
  task->out = spk_at_mut(j->values, p, size);
}

/* For COO in any order: consecutive entries of the same row go together. */
#define RUN_ENTRIES(I)                                 \
  do {                                                 \
    const I *row_of = P->row_indices;                  \
    for (ptrdiff_t p = p0; p < p1;) {                  \
      const ptrdiff_t most = spk_min(p1, p + MAX_RUN); \
      ptrdiff_t q = p + 1;                             \
      while (q < most && row_of[q] == row_of[p]) q++;  \
      const I bounds[2] = {0, (I)(q - p)};             \
      task.begin = bounds;                             \
      task.end = bounds + 1;                           \
      point_x(j, &s, &task, (ptrdiff_t)row_of[p], 1);  \
      point_entries(j, &task, p);                      \
      kernel(&task);                                   \
      p = q;                                           \
    }                                                  \
  } while (0)

static void run_entry_part(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_sparse *P = j->P;
  const ptrdiff_t p0 = spk_partition_even(P->nnz, part, j->plan->parts);
  const ptrdiff_t p1 = spk_partition_even(P->nnz, part + 1, j->plan->parts);
  scratch s = scratch_of(j, worker);
  const spk_sddmm_fn kernel = choose_kernel(j);
  spk_sddmm_task task = plain_task(j);
  task.rows = 1;
  point_yt(j, &s, &task, 0);
  if (P->itype == SPK_I32)
    RUN_ENTRIES(int32_t);
  else
    RUN_ENTRIES(int64_t);
}

spk_status spk_drive_sddmm(const spk_sparse *P, const spk_column_runs *column_runs,
                           const spk_dense *X, const spk_dense *Yt, void *values,
                           const spk_sampling *sampling, const spk_sddmm_plan *plan,
                           const spk_kernels *kernels) {
  job j = {P, column_runs, X, Yt, values, sampling, plan, kernels, {0}};
  const size_t bytes =
      spk_size_sum(plan->flag_bytes + plan->x_bytes + plan->y_bytes + plan->cut_bytes,
                   plan->offset_bytes + plan->block_bytes + plan->tile_bytes);
  const spk_status status = spk_workspace_take(&j.space, plan->copy_bytes, bytes, plan->threads);
  if (status != SPK_OK) return status;
  for (int worker = 0; plan->keep_y && worker < plan->threads; worker++)
    memset(spk_workspace_of(&j.space, worker), 0, plan->flag_bytes);
  const int by_rows = P->format != SPK_COO || (P->flags & SPK_SORTED);
  const ptrdiff_t copies = plan->copy_y ? spk_ceil_div(Yt->rows, COPY_ROWS) : 0;
  spk_parallel(plan->threads, (spk_phase){copies, copy_rows},
               (spk_phase){plan->parts, by_rows ? run_row_part : run_entry_part}, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
