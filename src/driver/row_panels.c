/* SpMM with A packed in row panels: a part of A's rows against a tile of B's columns at a time. */
#include <string.h>

#include "../pack/reduced_precision.h"
#include "drivers.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"

/* The row of zeros that the padding of paired rows meets. */
static const _Alignas(SPK_ALIGN) char zeros[SPK_MAX_LANES * sizeof(float)];

/* Members are values and not pointers, so that a worker waits once for lines that another core
 * wrote, and not line after line (doc/decisions/row-panels.rst, decision-one-struct). */
typedef struct job {
  const spk_row_panels *A;
  spk_dense B, C;
  spk_epilogue epilogue;
  spk_row_panels_plan plan;
  spk_workspace space;
} job;

/* The memory of one worker. */
typedef struct scratch {
  ptrdiff_t *packed; /* the number of the tile and block that `panel` holds, or -1 */
  char *panel, *sums;
  float *values; /* values that had 16 bits */
} scratch;

static scratch scratch_of(const job *j, int worker) {
  char *slice = spk_workspace_of(&j->space, worker);
  return (scratch){
      .packed = (ptrdiff_t *)(void *)slice,
      .panel = slice + SPK_ALIGN,
      .sums = slice + SPK_ALIGN + j->plan.panel_bytes,
      .values = (float *)(void *)(slice + SPK_ALIGN + j->plan.panel_bytes + j->plan.stage_bytes)};
}

/* The rows of B of one block, one tile wide, and below them a row of zeros for padding to meet. */
static const void *panel_of(const job *j, const scratch *s, ptrdiff_t tile, ptrdiff_t block) {
  const spk_dense *B = &j->B;
  const ptrdiff_t number = tile * j->A->blocks + block;
  const ptrdiff_t col = tile * j->plan.tile, cols = spk_min(j->plan.tile, B->cols - col);
  const ptrdiff_t k = block * j->A->block_rows, rows = spk_min(j->A->block_rows, B->rows - k);
  const spk_kernels *kernels = j->A->kernels;
  const size_t size = spk_dtype_size(B->dtype);
  const void *from = spk_at(B->data, k * B->row_stride + col * B->col_stride, size);
  if (j->plan.in_place) return from;
  if (*s->packed == number || rows <= 0) return s->panel;
  *s->packed = number;
  const ptrdiff_t width = spk_round_up(cols, kernels->lanes[B->dtype]);
  kernels->pack_panel[B->dtype](s->panel, width, from, B->row_stride, B->col_stride, rows, cols);
  /* The row of zeros that padding meets. */
  memset(spk_at_mut(s->panel, j->A->block_rows * width, size), 0, (size_t)width * size);
  return s->panel;
}

static spk_row_panel_fn kernel_for(const spk_row_panels *A, ptrdiff_t vectors) {
  const spk_kernels *kernels = A->kernels;
  if (A->group == 8) return kernels->spmm_row_panels_8[A->dtype][vectors - 1];
  if (A->group == 4) return kernels->spmm_row_panels_4[A->dtype][vectors - 1];
  return kernels->spmm_row_panels_2[A->dtype][vectors - 1];
}

/* Run the kernel of a task whose values have 16 bits.  The values of as many whole runs as fit
 * SPK_EXPANDED are expanded at a time, or some groups of a longer run.  There is an offset for each
 * `common` entries. */
static void run_reduced_precision(const spk_row_panels *A, spk_row_panel_fn kernel, ptrdiff_t group,
                                  ptrdiff_t common, spk_row_panel_task task, const scratch *s) {
  const spk_expand_fn expand = spk_expander(A->kernels, A->storage);
  const spk_row_panel_run *run = task.runs, *end = run + task.run_count;
  const uint16_t *stored = task.values;
  ptrdiff_t done = 0; /* rows of *run that are done */
  while (run < end) {
    spk_row_panel_run part = {run->entries, 0, run->shared};
    ptrdiff_t entries = 0, rows = 0, runs = 0;
    if (done == 0)
      for (; run + runs < end; runs++) {
        const ptrdiff_t more = (ptrdiff_t)run[runs].entries * run[runs].rows;
        if (entries + more > SPK_EXPANDED) break;
        entries += more, rows += run[runs].rows;
      }
    task.runs = run;
    task.run_count = runs;
    if (runs == 0) {
      const ptrdiff_t groups = spk_max(1, SPK_EXPANDED / (group * (ptrdiff_t)run->entries));
      rows = spk_min(groups * group, run->rows - done);
      entries = rows * run->entries;
      part.rows = (uint32_t)rows;
      task.runs = &part;
      task.run_count = 1;
      done += rows;
    }
    expand(s->values, stored, entries);
    task.values = s->values;
    kernel(&task);
    task.row_ids += rows;
    task.offsets += entries / common;
    stored += entries;
    if (runs == 0 && done == run->rows) done = 0, runs = 1;
    run += runs;
  }
}

/* Run row panels [first, last) of one tile.  If sums are staged, they fit the stage of the
 * worker. */
static void run_row_panels(const job *j, const scratch *s, ptrdiff_t tile, ptrdiff_t first,
                           ptrdiff_t last) {
  const spk_row_panels *A = j->A;
  const spk_dense *C = &j->C;
  const spk_row_panels_plan *plan = &j->plan;
  const size_t size = spk_dtype_size(A->dtype), stored = spk_stored_size(A->dtype, A->storage);
  const ptrdiff_t col = tile * plan->tile, cols = spk_min(plan->tile, C->cols - col);
  const ptrdiff_t row = first * A->row_panel_rows;
  const ptrdiff_t lanes = A->kernels->lanes[A->dtype], vectors = spk_ceil_div(cols, lanes);
  const ptrdiff_t width = vectors * lanes; /* of a row of the panel and of the sums */
  const spk_row_panel_fn kernel = kernel_for(A, vectors);
  spk_epilogue e = j->epilogue;
  if (e.bias_row) e.bias_row = spk_at(e.bias_row, row, size);
  if (e.bias_col) e.bias_col = spk_at(e.bias_col, col, size);
  void *c = spk_at_mut(C->data, row * C->row_stride + col * C->col_stride, size);
  for (ptrdiff_t b = 0; b < A->blocks; b++) {
    const void *panel = panel_of(j, s, tile, b);
    for (ptrdiff_t i = first; i < last; i++) {
      const spk_row_panel *row_panel = &A->row_panel[i];
      const ptrdiff_t below = (i - first) * A->row_panel_rows;
      spk_row_panel_task task = {.panel = panel,
                                 .zeros = zeros,
                                 .padding = A->block_rows,
                                 .first = b == 0,
                                 .n = cols,
                                 .epilogue = e};
      if (plan->stage) task.sums = s->sums + below * width * (ptrdiff_t)size;
      if (plan->direct && b == A->blocks - 1) {
        task.C = spk_at_mut(c, below * C->row_stride, size);
        task.ldc = C->row_stride;
        if (e.bias_row) task.epilogue.bias_row = spk_at(e.bias_row, below, size);
      }
      for (int rest = 0; rest < 2; rest++) {
        const spk_row_panel_cell *cell = &row_panel->cells[2 * b + rest];
        task.run_count = cell[1].run - cell[0].run;
        if (task.run_count == 0) continue;
        task.runs = row_panel->runs + cell[0].run;
        task.row_ids = row_panel->row_ids + cell[0].row;
        task.offsets = row_panel->offsets + cell[0].offset;
        task.values = spk_at(row_panel->values, cell[0].entry, stored);
        const spk_row_panel_fn run = rest ? kernel : A->paired_rows;
        if (A->storage == SPK_STORAGE_SAME)
          run(&task);
        else
          run_reduced_precision(A, run, rest ? A->group : SPK_PAIRED_GROUP,
                                rest ? 1 : SPK_PAIRED_SHARE, task, s);
      }
    }
  }
  if (!plan->direct)
    A->kernels->tile_store[A->dtype](s->sums, width, c, C->row_stride, C->col_stride,
                                     spk_min(A->rows, last * A->row_panel_rows) - row, cols, &e);
}

static void run_part(void *context, ptrdiff_t task, int worker) {
  const job *j = context;
  const spk_row_panels_plan *plan = &j->plan;
  const ptrdiff_t tile = task / plan->parts, part = task % plan->parts;
  const ptrdiff_t last = spk_row_panels_part(j->A, part + 1, plan->parts);
  const ptrdiff_t step = plan->stage ? plan->stage_rows / j->A->row_panel_rows : j->A->row_panels;
  const scratch s = scratch_of(j, worker);
  for (ptrdiff_t i = spk_row_panels_part(j->A, part, plan->parts); i < last; i += step)
    run_row_panels(j, &s, tile, i, spk_min(last, i + step));
}

static job job_of(const spk_row_panels *A, const spk_dense *B, const spk_dense *C,
                  const spk_epilogue *epilogue, const spk_row_panels_plan *plan) {
  job j = {A, *B, *C, *epilogue, *plan, {0}};
  if (C->cols == 1) j.C.col_stride = 1; /* the stride of a lone column means nothing */
  return j;
}

size_t spk_row_panels_scratch(const spk_row_panels_plan *plan) {
  return SPK_ALIGN + plan->panel_bytes + plan->stage_bytes + plan->value_bytes;
}

void spk_run_row_panels(const spk_row_panels *A, const spk_dense *B, const spk_dense *C,
                        const spk_epilogue *epilogue, const spk_row_panels_plan *plan,
                        char *memory) {
  job j = job_of(A, B, C, epilogue, plan);
  j.space.slices = memory;
  *scratch_of(&j, 0).packed = -1;
  for (ptrdiff_t task = 0; task < plan->tiles * plan->parts; task++) run_part(&j, task, 0);
}

spk_status spk_drive_row_panels(const spk_row_panels *A, const spk_dense *B, const spk_dense *C,
                                const spk_epilogue *epilogue, const spk_row_panels_plan *plan) {
  job j = job_of(A, B, C, epilogue, plan);
  const spk_status status =
      spk_workspace_take(&j.space, 0, spk_row_panels_scratch(plan), plan->threads);
  if (status != SPK_OK) return status;
  for (int worker = 0; !plan->in_place && worker < plan->threads; worker++)
    *scratch_of(&j, worker).packed = -1;
  spk_parallel(plan->threads, (spk_phase){0}, (spk_phase){plan->tiles * plan->parts, run_part}, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
