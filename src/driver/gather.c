/* SpMM by gathering: every row of C is a sum over the entries of a row of A. */
#include "drivers.h"
#include "../threads/parallel.h"
#include "rows.h"
#include "stage.h"
#include "../threads/workspace.h"

typedef struct job {
  const spk_sparse *A;
  const spk_dense *B, *C;
  const spk_epilogue *epilogue;
  const spk_spmm_plan *plan;
  const spk_kernels *kernels;
  spk_workspace space;
  char *copies; /* tiles [t0, t1) of B, one after another */
  /* The current position: rows [k0, k1) of B (all rows if sums stay apart), rows [r0, r1) of A, and
   * tiles [t0, t1). */
  ptrdiff_t k0, k1, r0, r1, t0, t1;
} job;

/* The rows of A that a task of the first phase cuts. */
#define CUT_ROWS 64
/* The rows of B that a task copies.  With 1024 rows, copies take 5% less time. */
#define COPY_ROWS 256

/* The workspace of one worker.  Each worker packs panels of its own: a line that another core wrote
 * costs more than packing it again (doc/decisions/panels.rst, decision-shared-panel). */
typedef struct scratch {
  ptrdiff_t *packed; /* the number of the panel that is packed now, or -1 */
  char *panel, *stage, *offsets;
} scratch;

static scratch scratch_of(const job *j, int worker) {
  char *slice = spk_workspace_of(&j->space, worker);
  scratch s = {.packed = (ptrdiff_t *)(void *)slice, .panel = slice + SPK_ALIGN};
  s.stage = s.panel + j->plan->panel_bytes;
  s.offsets = s.stage + j->plan->stage_bytes;
  return s;
}

static spk_spmm_fn choose_kernel(const job *j, ptrdiff_t n) {
  const int t = j->A->dtype, i = j->A->itype;
  const ptrdiff_t vectors = spk_ceil_div(n, j->kernels->lanes[t]);
  const spk_kernels *k = j->kernels;
  if (j->A->format == SPK_BSR)
    return j->plan->strided ? k->spmm_bsr_strided[t][i] : k->spmm_bsr[t][i][vectors - 1];
  if (j->plan->strided) return k->spmm_csr_strided[t][i];
  return n == 1 ? k->spmv_csr[t][i] : k->spmm_csr[t][i][vectors - 1];
}

/* Pack rows [k0, k1) of tile t of B. */
static void pack_panel(const job *j, const scratch *s, ptrdiff_t t, ptrdiff_t k0, ptrdiff_t k1) {
  const ptrdiff_t tile = j->plan->tile;
  const spk_dense *B = j->B;
  const ptrdiff_t number = k0 / j->plan->panel_rows * j->plan->tiles + t;
  if (*s->packed == number) return;
  *s->packed = number;
  j->kernels->pack[B->dtype](
      s->panel, tile,
      spk_at(B->data, k0 * B->row_stride + t * tile * B->col_stride, spk_dtype_size(B->dtype)),
      B->row_stride, B->col_stride, k1 - k0, spk_min(tile, B->cols - t * tile));
}

/* The copy of row k of tile t. */
static void *copy_of(const job *j, ptrdiff_t t, ptrdiff_t k) {
  const ptrdiff_t element = ((t - j->t0) * j->B->rows + k) * j->plan->copy_ld;
  return spk_at_mut(j->copies, element, spk_dtype_size(j->B->dtype));
}

/* Copy some rows of B, in all tiles that are copied at a time. */
static void copy_rows(void *context, ptrdiff_t task, int worker) {
  (void)worker;
  const job *j = context;
  const spk_dense *B = j->B;
  const ptrdiff_t k = task * COPY_ROWS, rows = spk_min(COPY_ROWS, B->rows - k);
  const spk_pack_fn pack = j->kernels->pack[B->dtype];
  for (ptrdiff_t t = j->t0; t < j->t1; t++) {
    const ptrdiff_t col = t * j->plan->tile, cols = spk_min(j->plan->tile, B->cols - col);
    const void *from =
        spk_at(B->data, k * B->row_stride + col * B->col_stride, spk_dtype_size(B->dtype));
    /* A lone column is copied as a row, because its column stride means nothing. */
    if (B->cols == 1)
      pack(copy_of(j, t, k), 0, from, 0, B->row_stride, 1, rows);
    else
      pack(copy_of(j, t, k), j->plan->copy_ld, from, B->row_stride, B->col_stride, rows, cols);
  }
}

static ptrdiff_t cut_tasks(const job *j) {
  return j->plan->blocks > 1 ? spk_ceil_div(j->r1 - j->r0, CUT_ROWS) : 0;
}

static void cut_rows(void *context, ptrdiff_t task, int worker) {
  const job *j = context;
  const spk_sparse *A = j->A;
  const spk_spmm_plan *plan = j->plan;
  const size_t isize = spk_itype_size(A->itype);
  const scratch s = scratch_of(j, worker);
  const ptrdiff_t first = j->r0 + task * CUT_ROWS, last = spk_min(j->r1, first + CUT_ROWS);
  for (ptrdiff_t r = first; r < last; r += plan->row_chunk) {
    const ptrdiff_t stop = spk_min(last, r + plan->row_chunk);
    j->kernels->cut_rows[A->itype](A->indices, spk_row_offsets(A, r, stop, s.offsets), stop - r,
                                   plan->block_rows / A->block_cols, plan->blocks,
                                   spk_at_mut(j->space.shared, r - j->r0, isize), plan->band_rows);
  }
}

/* Add rows [k0, k1) of B, times A, to rows [first, last) of one tile of C.  The rows fit the
 * workspace of the worker.  Sums of several blocks are added in C, or in the stage if C must keep
 * its values.  The epilogue follows the last block. */
static void run_panel(const job *j, const scratch *s, ptrdiff_t t, ptrdiff_t first, ptrdiff_t last,
                      ptrdiff_t k0, ptrdiff_t k1) {
  const spk_sparse *A = j->A;
  const spk_dense *B = j->B, *C = j->C;
  const spk_spmm_plan *plan = j->plan;
  spk_epilogue e = *j->epilogue;
  const size_t size = spk_dtype_size(A->dtype), isize = spk_itype_size(A->itype);
  const ptrdiff_t row = first * A->block_rows, rows = (last - first) * A->block_rows;
  const ptrdiff_t col = t * plan->tile, cols = spk_min(plan->tile, B->cols - col);
  const ptrdiff_t first_block = k0 / plan->block_rows;
  const ptrdiff_t last_block = spk_max(first_block + 1, spk_ceil_div(k1, plan->block_rows));
  const int ends = last_block == plan->blocks;
  /* alpha must multiply finished sums.  If alpha is 1, the last kernel applies the epilogue as it
   * stores. */
  const int finish = plan->apart || (plan->blocks > 1 && e.alpha != 1.0);
  if (e.bias_row) e.bias_row = spk_at(e.bias_row, row, size);
  if (e.bias_col) e.bias_col = spk_at(e.bias_col, col, size);
  void *c = spk_at_mut(C->data, row * C->row_stride + col * C->col_stride, size);
  spk_spmm_task task = {.indices = A->indices,
                        .values = A->values,
                        .C = plan->stage ? s->stage : c,
                        .ldc = plan->stage ? plan->tile : C->row_stride,
                        .rows = last - first,
                        .n = cols,
                        .block_rows = A->block_rows,
                        .block_cols = A->block_cols,
                        .col_strideb = B->col_stride,
                        .col_stridec = C->col_stride};
  if (plan->pack) {
    pack_panel(j, s, t, k0, k1);
    task.B = s->panel;
    task.ldb = plan->tile;
    task.base = k0;
  } else if (plan->copy) {
    task.B = copy_of(j, t, 0);
    task.ldb = plan->copy_ld;
  } else {
    task.B = B->rows ? spk_at(B->data, col * B->col_stride, size) : NULL;
    task.ldb = B->row_stride;
  }
  const spk_spmm_fn kernel = choose_kernel(j, cols);
  if (plan->stage && !plan->apart && (e.beta != 0.0 || first_block > 0))
    j->kernels->pack[A->dtype](s->stage, plan->tile, c, C->row_stride, C->col_stride, rows, cols);
  for (ptrdiff_t b = first_block; b < last_block; b++) {
    if (plan->blocks > 1) {
      task.begin = spk_at(j->space.shared, b * plan->band_rows + first - j->r0, isize);
      task.end = spk_at(j->space.shared, (b + 1) * plan->band_rows + first - j->r0, isize);
    } else {
      task.begin = spk_row_offsets(A, first, last, s->offsets);
      task.end = spk_at(task.begin, 1, isize);
    }
    /* Later blocks add to what earlier blocks stored. */
    task.epilogue = (spk_epilogue){.alpha = 1.0, .beta = b > 0};
    if (b == plan->blocks - 1 && !finish) {
      task.epilogue = e;
      if (b > 0) task.epilogue.beta = 1.0;
    }
    kernel(&task);
  }
  if (plan->stage && finish && ends) {
    if (!plan->apart) e.beta = 0.0;
    spk_stage_store(j->kernels, s->stage, plan->tile, c, C, rows, cols, &e);
  } else if (plan->stage && !plan->apart) {
    j->kernels->unpack[A->dtype](s->stage, plan->tile, c, C->row_stride, C->col_stride, rows, cols);
  } else if (finish && ends) {
    j->kernels->tile_finish[A->dtype](c, C->row_stride, C->col_stride, rows, cols, &e);
  }
}

/* Compute rows [first, last) of one tile of C. */
static void run_rows(const job *j, const scratch *s, ptrdiff_t t, ptrdiff_t first, ptrdiff_t last) {
  const ptrdiff_t panel = j->plan->apart ? j->plan->panel_rows : j->k1 - j->k0;
  ptrdiff_t k0 = j->k0;
  do {
    const ptrdiff_t k1 = spk_min(j->k1, k0 + panel);
    run_panel(j, s, t, first, last, k0, k1);
    k0 = k1;
  } while (k0 < j->k1);
}

/* Run a range of rows against one tile.  Neighbouring tasks share the tile, and so its panel. */
static void run_part(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_spmm_plan *plan = j->plan;
  const ptrdiff_t t = j->t0 + part / plan->row_parts, range = part % plan->row_parts;
  const ptrdiff_t first = spk_partition_begin(j->A, j->r0, j->r1, range, plan->row_parts);
  const ptrdiff_t last = spk_partition_begin(j->A, j->r0, j->r1, range + 1, plan->row_parts);
  const scratch s = scratch_of(j, worker);
  for (ptrdiff_t r = first; r < last; r += plan->row_chunk)
    run_rows(j, &s, t, r, spk_min(last, r + plan->row_chunk));
}

/* Fill rows [first, last) of C, in all columns, where A has no entries.  Columns are contiguous
 * here, or there is one column, whose stride means nothing. */
static void fill_rows(const job *j, ptrdiff_t first, ptrdiff_t last) {
  const spk_dense *C = j->C;
  const size_t size = spk_dtype_size(C->dtype);
  void *c = spk_at_mut(C->data, first * C->row_stride, size);
  spk_epilogue e = *j->epilogue;
  if (e.bias_row) e.bias_row = spk_at(e.bias_row, first, size);
  /* Rows without gaps are filled as one long row, because memset is fastest on long ranges. */
  const int touch = C->row_stride == C->cols;
  const ptrdiff_t rows = touch ? 1 : last - first, n = touch ? (last - first) * C->cols : C->cols;
  j->kernels->tile_scale[C->dtype](c, C->row_stride, 1, rows, n, &e);
  e.alpha = 1.0;
  j->kernels->tile_finish[C->dtype](c, C->row_stride, 1, last - first, C->cols, &e);
}

static int is_empty(const spk_sparse *A, ptrdiff_t row) {
  return spk_index(A->offsets, A->itype, row) == spk_index(A->offsets, A->itype, row + 1);
}

/* Run a range of rows against all tiles, for a matrix whose rows are mostly empty. */
static void run_hollow_part(void *context, ptrdiff_t range, int worker) {
  const job *j = context;
  const spk_spmm_plan *plan = j->plan;
  const ptrdiff_t last = spk_partition_begin(j->A, j->r0, j->r1, range + 1, plan->row_parts);
  ptrdiff_t row = spk_partition_begin(j->A, j->r0, j->r1, range, plan->row_parts);
  const scratch s = scratch_of(j, worker);
  while (row < last) {
    ptrdiff_t stop = row;
    while (stop < last && is_empty(j->A, stop)) stop++;
    if (stop > row && j->t0 == 0) fill_rows(j, row, stop);
    row = stop;
    while (stop < last && !is_empty(j->A, stop)) stop++;
    for (ptrdiff_t t = j->t0; stop > row && t < j->t1; t++) run_rows(j, &s, t, row, stop);
    row = stop;
  }
}

/* Run all rows of A against some tiles. */
static void run_tiles(job *j) {
  const spk_spmm_plan *plan = j->plan;
  const ptrdiff_t rows = spk_outer_rows(j->A), k = j->B->rows;
  const ptrdiff_t tiles = plan->hollow ? 1 : j->t1 - j->t0;
  j->k0 = 0;
  do { /* The loop runs once even if B has no rows, because C must be written. */
    j->k1 = plan->apart ? k : spk_min(k, j->k0 + plan->panel_rows);
    for (j->r0 = 0; j->r0 < rows; j->r0 = j->r1) {
      j->r1 = spk_min(rows, j->r0 + plan->band_rows);
      /* A B that is copied is not cut into blocks, so there is one band. */
      const spk_phase first = plan->copy ? (spk_phase){spk_ceil_div(k, COPY_ROWS), copy_rows}
                                         : (spk_phase){cut_tasks(j), cut_rows};
      spk_parallel(plan->threads, first,
                   (spk_phase){tiles * plan->row_parts, plan->hollow ? run_hollow_part : run_part},
                   j);
    }
    j->k0 = j->k1;
  } while (j->k0 < k);
}

spk_status spk_drive_gather(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                            const spk_epilogue *epilogue, const spk_spmm_plan *plan,
                            const spk_kernels *kernels) {
  job j = {.A = A, .B = B, .C = C, .epilogue = epilogue, .plan = plan, .kernels = kernels};
  const spk_status status = spk_workspace_take(
      &j.space, spk_size_sum(plan->cut_bytes, plan->copy_bytes),
      SPK_ALIGN + plan->panel_bytes + plan->stage_bytes + plan->offset_bytes, plan->threads);
  if (status != SPK_OK) return status;
  j.copies = j.space.shared + plan->cut_bytes;
  for (int worker = 0; worker < plan->threads; worker++) *scratch_of(&j, worker).packed = -1;
  for (j.t0 = 0; j.t0 < plan->tiles; j.t0 = j.t1) {
    j.t1 = spk_min(plan->tiles, j.t0 + plan->copy_tiles);
    run_tiles(&j);
  }
  spk_workspace_free(&j.space);
  return SPK_OK;
}
