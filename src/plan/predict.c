#include "predict.h"

#include <math.h>

#include "bitmap_plan.h"
#include "blocks.h"
#include "cost.h"
#include "row_panels_plan.h"
#include "sell_plan.h"

/* Rows of B in the blocks of row panels of a matrix that is just not too sparse for row panels. */
#define MIN_BLOCK_ROWS 512.0

static double row_panels(const spk_sparse *A, ptrdiff_t n, ptrdiff_t tile,
                         const spk_kernels *kernels, const spk_machine *machine) {
  const double cells =
      ceil((double)A->rows / SPK_ROW_PANEL_ROWS) * ceil((double)A->cols / MIN_BLOCK_ROWS);
  if ((double)A->nnz < SPK_ENTRIES_PER_CELL * cells) return INFINITY;
  const ptrdiff_t vectors = tile / kernels->lanes[A->dtype];
  const ptrdiff_t block = spk_row_panels_block(A, 0, vectors, kernels, machine);
  return spk_row_panels_cost(A, n, tile, block, kernels, machine);
}

double spk_predict_cycles(const spk_sparse *A, ptrdiff_t n, spk_strategy strategy,
                          const spk_kernels *kernels, const spk_machine *machine) {
  if (strategy == SPK_STRATEGY_DENSE) return spk_dense_cost(A, n, kernels, machine);
  if (strategy == SPK_STRATEGY_BITMAP)
    return spk_bitmap_suits(A) ? spk_bitmap_cost(A, n, kernels) : INFINITY;
  const ptrdiff_t tile = spk_row_panels_tile(A->dtype, n, kernels, machine);
  const spk_kernels *of_n = spk_kernels_for(kernels, A->dtype, n);
  if (strategy == SPK_STRATEGY_ROWS) return spk_rows_cost(A, n, tile, of_n, machine);
  if (n == 1 && spk_sell_suit(A, kernels)) return spk_sell_cost(A, kernels);
  return row_panels(A, n, tile, of_n, machine);
}
