#include "blocks.h"

#include <math.h>

#include "../threads/partition.h"
#include "cost.h"

/* Kernels take rows by groups of up to 8. */
#define ROW_GROUP 8

ptrdiff_t spk_even_row_panels(ptrdiff_t rows, ptrdiff_t height, ptrdiff_t threads) {
  const ptrdiff_t row_panels = spk_ceil_div(rows, height);
  if (row_panels < threads) return height;
  const ptrdiff_t even = spk_round_up(row_panels, threads);
  return spk_min(height, spk_round_up(spk_ceil_div(rows, even), ROW_GROUP));
}

ptrdiff_t spk_row_panels_block(const spk_sparse *A, double shared, ptrdiff_t vectors,
                               const spk_kernels *kernels, const spk_machine *machine) {
  const ptrdiff_t row_bytes =
      vectors * kernels->lanes[A->dtype] * (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t half_l2 = (ptrdiff_t)machine->l2_bytes / 2;
  const ptrdiff_t most = spk_max(1, spk_min(half_l2, SPK_MAX_PANEL_BYTES) / row_bytes);
  ptrdiff_t best = 0;
  double least = 0;
  for (ptrdiff_t blocks = spk_ceil_div(spk_max(1, A->cols), most);; blocks += 1 + blocks / 8) {
    const ptrdiff_t block = spk_max(1, spk_ceil_div(A->cols, blocks));
    const double cost = spk_row_panel_row_cost(A, shared, block, vectors, kernels, machine);
    if (best == 0 || cost < least) best = block, least = cost;
    if (block * row_bytes * 2 <= (ptrdiff_t)machine->l1_bytes || block <= 16) return best;
  }
}

/* Rows of B that are used together.  They fit L1 if the rows of A have enough entries to pay for
 * sums that come and go between blocks. */
ptrdiff_t spk_int8_gather4_block(const spk_sparse *A, ptrdiff_t tile, const spk_machine *machine) {
  const double per_row = (double)A->nnz / (double)spk_max(1, A->rows);
  const ptrdiff_t most = SPK_MAX_PANEL_BYTES / tile;
  const ptrdiff_t in_l1 = spk_max(16, ((ptrdiff_t)machine->l1_bytes - 3072) / tile);
  ptrdiff_t best = 0;
  double least = INFINITY;
  for (ptrdiff_t blocks = spk_ceil_div(spk_max(1, A->cols), most);; blocks += 1 + blocks / 8) {
    const ptrdiff_t block = spk_max(1, spk_ceil_div(A->cols, blocks));
    const double groups = per_row / 4.0 + 0.4 * (double)blocks;
    const double cost =
        groups * (block <= in_l1 ? SPK_INT8_GROUP_CYCLES : SPK_INT8_GROUP_CYCLES_L2) +
        (double)blocks * SPK_INT8_ROW_CYCLES;
    if (cost < least) least = cost, best = block;
    if (block <= in_l1) return best;
  }
}
