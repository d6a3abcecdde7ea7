#include "row_panels_plan.h"

#include <math.h>

#include "../pack/equal_rows.h"
#include "../pack/reduced_precision.h"
#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "blocks.h"
#include "cost.h"

#define ROW_PANEL_ROWS_FEW 128 /* for matrices with fewer rows than FEW_ROWS */
#define FEW_ROWS 1024
/* The most bytes of sums of a worker, whatever the shapes: see spk_workspace_limit. */
#define MAX_SUMS ((ptrdiff_t)1 << 20)
/* The share of L1 that rows of B may take before loads of them miss it, as A and the sums pass
 * through L1, too.  Times of 128 to 1024 rows of 128 and 256 bytes fit it (Zen 5, L1 48 KiB;
 * doc/decisions/row-panels.rst, decision-share-of-l1). */
#define SHARE_OF_B 0.75

ptrdiff_t spk_row_panels_tile(spk_dtype dtype, ptrdiff_t n, const spk_kernels *kernels,
                              const spk_machine *machine) {
  return spk_tile_of(n, spk_kernels_for(kernels, dtype, n)->lanes[dtype],
                     machine->tuning.row_panel_vectors);
}

/* The number of rows in lockstep: 8 sums are in flight, and 16 with 32 registers. */
static int group_of(ptrdiff_t vectors, const spk_kernels *kernels) {
  if (vectors == 1) return 8;
  return 2 * 4 * vectors <= kernels->registers ? 4 : 2;
}

spk_status spk_choose_row_panels(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows,
                                 int threads, const spk_kernels *kernels,
                                 const spk_machine *machine, spk_row_panels_shape *shape) {
  const ptrdiff_t tile = spk_row_panels_tile(A->dtype, width, kernels, machine);
  kernels = spk_kernels_for(kernels, A->dtype, width);
  const ptrdiff_t vectors = tile / kernels->lanes[A->dtype];
  if (block_rows == 0) {
    spk_machine usable = *machine;
    usable.l1_bytes = (size_t)(SHARE_OF_B * (double)machine->l1_bytes);
    block_rows = spk_row_panels_block(A, spk_equal_rows_share(A, SPK_PAIRED_SHARE), vectors,
                                      kernels, &usable);
  }
  ptrdiff_t height = A->rows < FEW_ROWS ? ROW_PANEL_ROWS_FEW : SPK_ROW_PANEL_ROWS;
  const double row_panels = ceil((double)A->rows / (double)height), entries = (double)A->nnz;
  /* If a row panel has few entries in a block, blocks are as high as possible.  If even these
   * blocks have too few entries, A is too sparse. */
  double cells = row_panels * ceil((double)A->cols / (double)block_rows);
  if (cells * SPK_ENTRIES_PER_CELL > entries) block_rows = SPK_MAX_BLOCK_ROWS;
  if (row_panels * ceil((double)A->cols / SPK_MAX_BLOCK_ROWS) > entries + SPK_MAX_EMPTY_CELLS)
    return SPK_ERR_SPARSE;
  /* A sum does not depend on the height of a row panel.  So the height may depend on the number of
   * threads, which need row panels to share. */
  const ptrdiff_t tasks = 2 * (ptrdiff_t)spk_choose_threads(threads, INFINITY);
  for (; height > SPK_MIN_ROW_PANEL_ROWS && spk_ceil_div(A->rows, height) < tasks; height /= 2) {
    cells *= 2.0;
    if (cells * SPK_ENTRIES_PER_CELL > entries) break;
  }
  height = spk_even_row_panels(A->rows, height, tasks / 2);
  /* All blocks have nearly the same height. */
  const ptrdiff_t most = spk_max(1, spk_min(block_rows, spk_min(SPK_MAX_BLOCK_ROWS, A->cols)));
  const ptrdiff_t blocks = spk_max(1, spk_ceil_div(A->cols, most));
  *shape = (spk_row_panels_shape){.kernels = kernels,
                                  .group = group_of(vectors, kernels),
                                  .vectors = (int)vectors,
                                  .row_panel_rows = height,
                                  .blocks = blocks,
                                  .block_rows = spk_max(1, spk_ceil_div(A->cols, blocks))};
  if (vectors == 1)
    shape->paired_rows = (kernels->halved ? kernels->spmm_paired_rows_half
                                          : kernels->spmm_paired_rows_whole)[A->dtype];
  return SPK_OK;
}

/* Whether paired rows may read B in place.  They load a row of B once for several rows, but a row
 * that is not aligned takes two cache lines.  From L2 that is too slow: 42 us instead of 33 (2048 x
 * 2048, 95% sparse as 4 x 1, N = 16, one thread).  In L1 it takes less than a copy: 1.8 instead of
 * 2.3 us (512 x 512, 4 x 4, N = 8; Zen 5).  See doc/decisions/row-panels.rst,
 * decision-b-in-place. */
static int is_panel(const spk_row_panels *A, const spk_dense *B, ptrdiff_t tile,
                    const spk_machine *machine) {
  const size_t row = (size_t)tile * spk_dtype_size(A->dtype);
  return A->paired_rows && A->paired == A->nnz && B->cols == tile && B->col_stride == 1 &&
         B->row_stride == tile &&
         ((uintptr_t)B->data % row == 0 ||
          spk_size_product((size_t)A->cols, row) <= machine->l1_bytes);
}

void spk_plan_row_panels(const spk_row_panels *A, const spk_dense *B, const spk_dense *C,
                         int threads, const spk_machine *machine, spk_row_panels_plan *plan) {
  const ptrdiff_t size = (ptrdiff_t)spk_dtype_size(A->dtype), n = B->cols;
  /* Shared entries take about a third of the time of other entries (Zen 5, N = 8). */
  const double entries = (double)A->nnz - 0.7 * (double)A->shared;
  const double work = (entries + (double)A->rows) * (double)n;
  *plan = (spk_row_panels_plan){.threads = spk_choose_threads(threads, work)};
  const ptrdiff_t lanes = A->kernels->lanes[A->dtype];
  /* Tiles must not be wider than those that the groups were packed for, and blocks must fit a
   * panel. */
  const ptrdiff_t fits = spk_max(1, SPK_MAX_PANEL_BYTES / (A->block_rows * lanes * size));
  plan->tile = spk_tile_of(n, lanes, spk_min(A->vectors, fits));
  plan->tiles = spk_ceil_div(n, plan->tile);
  plan->direct = C->col_stride == 1 || n == 1;
  plan->stage = A->blocks > 1 || !plan->direct;
  const ptrdiff_t row_bytes = plan->tile * size;
  plan->in_place = is_panel(A, B, plan->tile, machine);
  if (!plan->in_place)
    plan->panel_bytes = spk_aligned_size((size_t)((A->block_rows + 1) * row_bytes));
  if (A->storage != SPK_STORAGE_SAME) {
    const ptrdiff_t rows = A->paired_rows ? SPK_PAIRED_GROUP : A->group;
    const ptrdiff_t values = spk_min(SPK_MAX_EXPANDED, A->longest * rows);
    plan->value_bytes = spk_aligned_size((size_t)spk_max(SPK_EXPANDED, values) * sizeof(float));
  }
  ptrdiff_t most = A->row_panels;
  if (plan->stage) {
    /* The sums of a part wait in L2 until the last block is done. */
    const ptrdiff_t bytes = spk_min((ptrdiff_t)machine->l2_bytes / 2, MAX_SUMS);
    most = spk_max(1, bytes / (A->row_panel_rows * row_bytes));
    most = spk_min(most, A->row_panels);
  }
  const double row_panel =
      ((double)A->nnz + 6.0 * (double)A->rows) / (double)spk_max(1, A->row_panels);
  plan->parts = spk_choose_partition(A->row_panels, row_panel, 3.0 * (double)A->cols, plan->tiles,
                                     plan->threads, spk_ceil_div(A->row_panels, most));
  plan->threads = (int)spk_min(plan->threads, plan->parts * plan->tiles);
  if (!plan->stage) return;
  for (ptrdiff_t part = 0; part < plan->parts; part++) {
    const ptrdiff_t row_panels =
        spk_row_panels_part(A, part + 1, plan->parts) - spk_row_panels_part(A, part, plan->parts);
    plan->stage_rows = spk_max(plan->stage_rows, row_panels * A->row_panel_rows);
  }
  plan->stage_rows = spk_min(plan->stage_rows, most * A->row_panel_rows);
  plan->stage_bytes = spk_aligned_size((size_t)(plan->stage_rows * row_bytes));
}

size_t spk_row_panels_workspace_limit(void) {
  const size_t zeros = SPK_MAX_ROW_PANEL_VECTORS * SPK_MAX_LANES * sizeof(float);
  return SPK_ALIGN + (size_t)(SPK_MAX_PANEL_BYTES + MAX_SUMS) + zeros +
         SPK_MAX_EXPANDED * sizeof(float) + 3 * SPK_ALIGN;
}
