/* int8 x bytes: a part of A's rows against a tile of B's columns at a time. */
#include <string.h>

#include "drivers.h"
#include "../threads/parallel.h"
#include "../threads/workspace.h"

typedef struct job {
  const spk_int8_gather4 *A;
  const spk_bytes *B;
  void *C;
  ptrdiff_t row_stride, col_stride;
  size_t size; /* bytes of an element of C */
  const int32_t *row_sums;
  const spk_requantise *how;
  const spk_int8_gather4_plan *plan;
  spk_workspace space;
} job;

/* The memory of one worker. */
typedef struct scratch {
  ptrdiff_t *packed; /* the number of the tile and block that `panel` holds, or -1 */
  uint8_t *panel;
  int32_t *sums;
} scratch;

static scratch scratch_of(const job *j, int worker) {
  char *slice = spk_workspace_of(&j->space, worker);
  return (scratch){.packed = (ptrdiff_t *)(void *)slice,
                   .panel = (uint8_t *)slice + SPK_ALIGN,
                   .sums = (int32_t *)(void *)(slice + SPK_ALIGN + j->plan->panel_bytes)};
}

static void pack(const job *j, const scratch *s, ptrdiff_t tile, ptrdiff_t block) {
  const spk_int8_gather4 *A = j->A;
  const spk_bytes *B = j->B;
  const ptrdiff_t number = tile * A->blocks + block;
  if (*s->packed == number) return;
  *s->packed = number;
  const ptrdiff_t col = tile * A->tile, k = block * A->block_rows;
  const uint8_t *from = (const uint8_t *)B->data + k * B->row_stride + col * B->col_stride;
  A->kernels->int8_gather4_panel(s->panel, from, B->row_stride, B->col_stride,
                                 spk_min(A->block_rows, B->rows - k),
                                 spk_min(A->tile, B->cols - col), B->is_signed ? 0x80 : 0);
}

/* Run row panels [first, last) of one tile, whose sums fit the stage. */
static void run_row_panels(const job *j, const scratch *s, ptrdiff_t tile, ptrdiff_t first,
                           ptrdiff_t last) {
  const spk_int8_gather4 *A = j->A;
  const ptrdiff_t row = first * A->row_panel_rows, col = tile * A->tile;
  const ptrdiff_t rows = spk_min(A->rows, last * A->row_panel_rows) - row;
  memset(s->sums, 0, (size_t)(rows * A->tile) * sizeof *s->sums);
  for (ptrdiff_t b = 0; b < A->blocks; b++) {
    pack(j, s, tile, b);
    for (ptrdiff_t i = first; i < last; i++) {
      const spk_int8_gather4_row_panel *row_panel = &A->row_panel[i];
      const spk_int8_gather4_cell *cell = &row_panel->cells[b];
      const spk_int8_gather4_task task = {
          .runs = row_panel->runs + cell[0].run,
          .run_count = cell[1].run - cell[0].run,
          .row_ids = row_panel->row_ids + cell[0].item,
          .offsets = row_panel->offsets + 4 * cell[0].group,
          .values = row_panel->values + cell[0].value,
          .panel = s->panel,
          .sums = s->sums + (i - first) * A->row_panel_rows * A->tile};
      A->kernels->int8_gather4(&task);
    }
  }
  spk_requantise how = *j->how;
  if (how.scale) how.scale += row;
  if (how.bias) how.bias += row;
  if (how.column_scale) how.column_scale += col;
  if (how.column_zero_points) how.column_zero_points += col;
  const spk_int8_store_task store = {
      .sums = s->sums,
      .sum_row_stride = A->tile,
      .sum_col_stride = 1,
      .row_sums = j->row_sums + row,
      .shift = spk_int8_shift(&how, j->B),
      .rows = rows,
      .cols = spk_min(A->tile, j->B->cols - col),
      .C = spk_at_mut(j->C, row * j->row_stride + col * j->col_stride, j->size),
      .row_stride = j->row_stride,
      .col_stride = j->col_stride,
      .how = &how};
  A->kernels->int8_store(&store);
}

static void run_part(void *context, ptrdiff_t task, int worker) {
  const job *j = context;
  const spk_int8_gather4_plan *plan = j->plan;
  const ptrdiff_t tile = task % plan->tiles, part = task / plan->tiles;
  const ptrdiff_t last = spk_int8_gather4_part(j->A, part + 1, plan->parts);
  const scratch s = scratch_of(j, worker);
  for (ptrdiff_t i = spk_int8_gather4_part(j->A, part, plan->parts); i < last;
       i += plan->stage_row_panels)
    run_row_panels(j, &s, tile, i, spk_min(last, i + plan->stage_row_panels));
}

spk_status spk_drive_int8_gather4(const spk_int8_gather4 *A, const int32_t *row_sums,
                                  const spk_bytes *B, void *C, ptrdiff_t row_stride,
                                  ptrdiff_t col_stride, const spk_requantise *how,
                                  const spk_int8_gather4_plan *plan) {
  job j = {.A = A, .B = B, .C = C, .row_stride = row_stride, .col_stride = col_stride};
  j.size = spk_result_size(how->result);
  j.row_sums = row_sums;
  j.how = how;
  j.plan = plan;
  const spk_status status = spk_workspace_take(
      &j.space, 0, SPK_ALIGN + plan->panel_bytes + plan->stage_bytes, plan->threads);
  if (status != SPK_OK) return status;
  for (int worker = 0; worker < plan->threads; worker++) *scratch_of(&j, worker).packed = -1;
  spk_parallel(plan->threads, (spk_phase){0}, (spk_phase){plan->tiles * plan->parts, run_part}, &j);
  spk_workspace_free(&j.space);
  return SPK_OK;
}
