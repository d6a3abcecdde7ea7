/* SpMM by gathering: every row of C is a sum over the entries of a row of A. */
#include "drivers.h"
#include "parallel.h"
#include "rows.h"
#include "workspace.h"

typedef struct job {
  const spk_sparse *A;
  const spk_dense *B, *C;
  const spk_epilogue *epilogue;
  const spk_spmm_plan *plan;
  const spk_kernels *kernels;
  spk_workspace space;
} job;

/* A worker's slice of the workspace, and what it holds now. */
typedef struct scratch {
  char *panel, *stage, *cuts, *offsets;
  ptrdiff_t cut_first, cut_last; /* the rows that cuts describes */
} scratch;

/* A tile of columns against one panel of B. */
typedef struct tile {
  ptrdiff_t col, cols;             /* columns of B and C */
  const void *B;
  ptrdiff_t ldb, base;             /* leading dimension; the row of B that B points at */
  ptrdiff_t first_block, last_block;
} tile;

static spk_spmm_fn pick_kernel(const job *j, ptrdiff_t n) {
  const int t = j->A->dtype, i = j->A->itype;
  const ptrdiff_t vectors = spk_ceil_div(n, j->kernels->lanes[t]);
  const spk_kernels *k = j->kernels;
  if (j->A->format == SPK_BSR)
    return j->plan->strided ? k->spmm_bsr_strided[t][i] : k->spmm_bsr[t][i][vectors - 1];
  if (j->plan->strided) return k->spmm_csr_strided[t][i];
  return n == 1 ? k->spmm_csr_vector[t][i] : k->spmm_csr[t][i][vectors - 1];
}

/* The entries of rows [first, last) that lie in the blocks of B that a tile spans, cut if needed. */
static void cut_rows(const job *j, scratch *s, ptrdiff_t first, ptrdiff_t last) {
  if (s->cut_first == first && s->cut_last == last) return;
  const spk_sparse *A = j->A;
  const void *offsets = spk_row_offsets(A, first, last, s->offsets);
  j->kernels->cut_rows[A->itype](A->indices, offsets, last - first,
                                 j->plan->block_rows / A->block_cols, j->plan->blocks, s->cuts,
                                 j->plan->row_chunk);
  s->cut_first = first;
  s->cut_last = last;
}

/* Rows [first, last) of one tile of C. */
static void run_rows(const job *j, scratch *s, const tile *w, ptrdiff_t first, ptrdiff_t last) {
  const spk_sparse *A = j->A;
  const spk_dense *C = j->C;
  const spk_spmm_plan *plan = j->plan;
  const spk_epilogue *e = j->epilogue;
  const size_t size = spk_dtype_size(A->dtype), isize = spk_itype_size(A->itype);
  const ptrdiff_t row = first * A->block_rows, rows = (last - first) * A->block_rows;
  void *c = spk_at_mut(C->data, row * C->row_stride + w->col * C->col_stride, size);
  spk_spmm_task task = {.indices = A->indices,
                        .values = A->values,
                        .B = w->B,
                        .C = plan->stage ? s->stage : c,
                        .ldb = w->ldb,
                        .ldc = plan->stage ? plan->tile : C->row_stride,
                        .base = w->base,
                        .rows = last - first,
                        .n = w->cols,
                        .block_rows = A->block_rows,
                        .block_cols = A->block_cols,
                        .col_strideb = j->B->col_stride,
                        .col_stridec = C->col_stride,
                        .epilogue = {.alpha = e->alpha}};
  const spk_spmm_fn kernel = pick_kernel(j, w->cols);
  if (plan->stage && (e->beta != 0.0 || w->first_block > 0))
    j->kernels->pack[A->dtype](s->stage, plan->tile, c, C->row_stride, C->col_stride, rows,
                               w->cols);
  if (plan->blocks > 1) cut_rows(j, s, first, last);
  for (ptrdiff_t b = w->first_block; b < w->last_block; b++) {
    if (plan->blocks > 1) {
      task.begin = s->cuts + (size_t)(b * plan->row_chunk) * isize;
      task.end = s->cuts + (size_t)((b + 1) * plan->row_chunk) * isize;
    } else {
      task.begin = spk_row_offsets(A, first, last, s->offsets);
      task.end = spk_at(task.begin, 1, isize);
    }
    /* Later blocks add to what earlier ones stored; the last one finishes. */
    task.epilogue.beta = b == 0 ? e->beta : 1.0;
    if (b == plan->blocks - 1) {
      if (e->bias_row) task.epilogue.bias_row = spk_at(e->bias_row, row, size);
      if (e->bias_col) task.epilogue.bias_col = spk_at(e->bias_col, w->col, size);
      task.epilogue.activation = e->activation;
    }
    kernel(&task);
  }
  if (plan->stage)
    j->kernels->unpack[A->dtype](s->stage, plan->tile, c, C->row_stride, C->col_stride, rows,
                                 w->cols);
}

static void run_part(void *context, ptrdiff_t part, int worker) {
  const job *j = context;
  const spk_spmm_plan *plan = j->plan;
  const spk_dense *B = j->B;
  const size_t size = spk_dtype_size(B->dtype);
  const ptrdiff_t row_part = part / plan->col_parts, col_part = part % plan->col_parts;
  const ptrdiff_t r0 = spk_part_begin(j->A, row_part, plan->row_parts);
  const ptrdiff_t r1 = spk_part_begin(j->A, row_part + 1, plan->row_parts);
  const ptrdiff_t t0 = plan->tiles * col_part / plan->col_parts;
  const ptrdiff_t t1 = plan->tiles * (col_part + 1) / plan->col_parts;
  if (r0 == r1) return;

  scratch s = {.panel = spk_workspace_of(&j->space, worker)};
  s.stage = s.panel + plan->panel_bytes;
  s.cuts = s.stage + plan->stage_bytes;
  s.offsets = s.cuts + plan->cut_bytes;
  s.cut_first = s.cut_last = -1;

  for (ptrdiff_t t = t0; t < t1; t++) {
    tile w = {.col = t * plan->tile, .cols = spk_min(plan->tile, B->cols - t * plan->tile)};
    ptrdiff_t k = 0;
    do { /* once even for k == 0: C is written all the same */
      const ptrdiff_t panel_rows = spk_min(plan->panel_rows, B->rows - k);
      const void *b =
          B->rows ? spk_at(B->data, k * B->row_stride + w.col * B->col_stride, size) : NULL;
      w.first_block = k / plan->block_rows;
      w.last_block = spk_min(plan->blocks, spk_ceil_div(k + plan->panel_rows, plan->block_rows));
      w.B = b;
      w.ldb = B->row_stride;
      w.base = k;
      if (plan->pack) {
        j->kernels->pack[B->dtype](s.panel, plan->tile, b, B->row_stride, B->col_stride,
                                   panel_rows, w.cols);
        w.B = s.panel;
        w.ldb = plan->tile;
      }
      for (ptrdiff_t r = r0; r < r1; r += plan->row_chunk)
        run_rows(j, &s, &w, r, spk_min(r1, r + plan->row_chunk));
      k += plan->panel_rows;
    } while (k < B->rows);
  }
}

spk_status spk_drive_gather(const spk_sparse *A, const spk_dense *B, const spk_dense *C,
                            const spk_epilogue *epilogue, const spk_spmm_plan *plan,
                            const spk_kernels *kernels) {
  job j = {A, B, C, epilogue, plan, kernels, {0}};
  const size_t bytes =
      plan->panel_bytes + plan->stage_bytes + plan->cut_bytes + plan->offset_bytes;
  const spk_status status = spk_workspace_take(&j.space, bytes, plan->threads);
  if (status != SPK_OK) return status;
  spk_parallel_for(plan->col_parts * plan->row_parts, plan->threads, run_part, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
