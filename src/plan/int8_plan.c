#include "int8_plan.h"

#include <math.h>

#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "blocks.h"
#include "cost.h"

/* The most bytes of sums that wait for further blocks. */
#define MAX_STAGE ((ptrdiff_t)1 << 20)

/* The number of int8_block4 numbers per entry from which on int8_gather4 is faster with two vectors
 * of columns, although they fill only half of a panel.  N = 32, 95% sparse: scattered 58 us by
 * int8_block4 and 54 by int8_gather4, 16 x 1 46 and 34; but 4 x 4 36 and 56, 2:4 165 and 272 (Zen
 * 5, two threads).  WIDE: with more columns.  PAIRS: for numbers of two values
 * (doc/decisions/int8.rst, decision-int8-wide and decision-int8-pairs). */
#define MAX_NUMBERS 0.75
#define MAX_NUMBERS_WIDE 0.55
#define MAX_PAIRS 0.75

int spk_int8_is_scattered(const spk_sparse *A, const spk_sparse *grouped, ptrdiff_t width,
                          const spk_kernels *kernels) {
  const int pairs = kernels->bytes->number_values == 2;
  if (width <= kernels->lanes[SPK_F32] * (pairs ? 2 : 1)) return 0;
  const double most = width > SPK_INT8_BLOCK4_MAX_COLUMNS ? MAX_NUMBERS_WIDE : MAX_NUMBERS;
  return (double)grouped->nnz > (pairs ? MAX_PAIRS : most) * (double)A->nnz;
}

spk_status spk_choose_int8_gather4(const spk_sparse *A, int threads, const spk_kernels *kernels,
                                   const spk_machine *machine, spk_int8_gather4_shape *shape) {
  const ptrdiff_t tile = 4 * kernels->lanes[SPK_F32];
  const ptrdiff_t block_rows = spk_int8_gather4_block(A, tile, machine);
  const ptrdiff_t blocks = spk_max(1, spk_ceil_div(A->cols, block_rows));
  ptrdiff_t height = SPK_INT8_GATHER4_PANEL_ROWS;
  /* Lower row panels must not make too many cells, either: the number of threads must not cause an
   * error. */
  const double most = ((double)A->nnz + SPK_MAX_EMPTY_CELLS) / (double)blocks;
  if ((double)spk_ceil_div(A->rows, height) > most) return SPK_ERR_SPARSE;
  const ptrdiff_t tasks = 2 * (ptrdiff_t)spk_choose_threads(threads, INFINITY);
  while (height > SPK_MIN_ROW_PANEL_ROWS && spk_ceil_div(A->rows, height) < tasks &&
         (double)spk_ceil_div(A->rows, height / 2) <= most)
    height /= 2;
  height = spk_even_row_panels(A->rows, height, tasks / 2);
  *shape = (spk_int8_gather4_shape){.kernels = kernels,
                                    .tile = tile,
                                    .row_panel_rows = height,
                                    .block_rows = block_rows,
                                    .blocks = blocks,
                                    .row_cycles = SPK_INT8_GROUP_CYCLES,
                                    .rows_cycles = SPK_INT8_GROUP4_CYCLES};
  if (kernels->bytes && kernels->bytes->number_values == 2) {
    shape->row_cycles = SPK_INT8_PLAIN_GROUP_CYCLES;
    shape->rows_cycles = SPK_INT8_PLAIN_GROUP4_CYCLES;
  }
  return SPK_OK;
}

void spk_plan_int8_gather4(const spk_int8_gather4 *A, ptrdiff_t n, int threads,
                           const spk_machine *machine, spk_int8_gather4_plan *plan) {
  const double work = ((double)A->nnz / 3.0 + (double)A->rows) * (double)n;
  *plan = (spk_int8_gather4_plan){.threads = spk_choose_threads(threads, work)};
  plan->tiles = spk_ceil_div(n, A->tile);
  const ptrdiff_t row_panel_bytes = A->row_panel_rows * A->tile * (ptrdiff_t)sizeof(int32_t);
  /* With one block, a row panel is finished at once. */
  const ptrdiff_t bytes = spk_min((ptrdiff_t)machine->l2_bytes / 2, MAX_STAGE);
  plan->stage_row_panels = A->blocks == 1 ? 1 : spk_max(1, bytes / row_panel_bytes);
  plan->stage_row_panels = spk_min(plan->stage_row_panels, spk_max(1, A->row_panels));
  const double row_panel =
      ((double)A->nnz / 4.0 * SPK_INT8_GROUP_CYCLES + (double)A->rows * SPK_INT8_ROW_CYCLES) /
      (double)spk_max(1, A->row_panels);
  /* Each thread gets rows of its own.  All sums of a tile are stored at once, and two tiles of the
   * same rows meet in cache lines of C unless C begins with one (N = 128: 228 us by columns, 112 by
   * rows; doc/decisions/int8.rst, decision-int8-rows). */
  plan->parts =
      spk_choose_partition(A->row_panels, row_panel, SPK_INT8_PANEL_ROW_CYCLES * (double)A->cols,
                           plan->tiles, plan->threads, spk_min(plan->threads, A->row_panels));
  plan->threads = (int)spk_max(1, spk_min(plan->threads, plan->parts * plan->tiles));
  plan->panel_bytes = spk_aligned_size((size_t)(A->block_rows * A->tile));
  plan->stage_bytes = spk_aligned_size((size_t)(plan->stage_row_panels * row_panel_bytes));
}

size_t spk_int8_gather4_workspace_limit(void) {
  const size_t row_panel =
      (size_t)SPK_INT8_GATHER4_PANEL_ROWS * 4 * SPK_MAX_LANES * sizeof(int32_t);
  return (size_t)SPK_MAX_PANEL_BYTES + spk_max(MAX_STAGE, (ptrdiff_t)row_panel) + 3 * SPK_ALIGN;
}
