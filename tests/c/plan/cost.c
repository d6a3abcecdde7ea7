#include "../../../src/plan/cost.h"

#include <math.h>

#include "../../../src/plan/predict.h"
#include "plan.h"

static int is_cost(double cycles) { return cycles > 0 && isfinite(cycles); }

/* Twice the entries never take less, nor do twice the columns. */
static void check_costs(const spk_sparse *A, const spk_machine *machine) {
  const spk_kernels *kernels = spk_active_kernels();
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  spk_sparse denser = *A;
  denser.nnz = 2 * A->nnz;
  for (int vectors = 1; vectors <= SPK_MAX_ROW_PANEL_VECTORS; vectors++) {
    const ptrdiff_t tile = vectors * lanes;
    for (ptrdiff_t n = 2; n <= 4096; n *= 2) {
      test_case("cost of %td x %td, %td entries, %td columns by tiles of %td", A->rows, A->cols,
                A->nnz, n, tile);
      const double rows = spk_rows_cost(A, n, tile, kernels, machine);
      CHECK(is_cost(rows), "rows: %g", rows);
      CHECK(spk_rows_cost(&denser, n, tile, kernels, machine) >= rows, "rows, more entries");
      CHECK(spk_rows_cost(A, 2 * n, tile, kernels, machine) >= rows, "rows, more columns");
      for (ptrdiff_t block = 16; block <= 2 * A->cols && block < 40000; block *= 8) {
        const double panels = spk_row_panels_cost(A, n, tile, block, kernels, machine);
        CHECK(is_cost(panels), "row panels: %g", panels);
        CHECK(spk_row_panels_cost(&denser, n, tile, block, kernels, machine) >= panels,
              "row panels, more entries");
        CHECK(spk_row_panels_cost(A, 2 * n, tile, block, kernels, machine) >= panels,
              "row panels, more columns");
        /* Rows that share what they load wait for less of it. */
        CHECK(spk_row_panel_row_cost(A, 1, block, vectors, kernels, machine) <=
              spk_row_panel_row_cost(A, 0, block, vectors, kernels, machine));
      }
      const double dense = spk_dense_cost(A, n, kernels, machine);
      CHECK(is_cost(dense), "dense: %g", dense);
      CHECK(spk_dense_cost(A, 2 * n, kernels, machine) >= dense, "dense, more columns");
    }
  }
  const double sell = spk_sell_cost(A, kernels);
  CHECK(is_cost(sell), "SELL slices: %g", sell);
  if (denser.nnz <= spk_product(A->rows, A->cols))
    CHECK(spk_sell_cost(&denser, kernels) >= sell, "SELL slices, more entries");
}

static void check_predictions(const spk_sparse *A, const spk_machine *machine) {
  for (int strategy = SPK_STRATEGY_ROWS; strategy <= SPK_STRATEGY_BITMAP; strategy++) {
    double last = 0;
    for (ptrdiff_t n = 1; n <= 4096; n *= 2) {
      test_case("strategy %d of %td x %td, %td entries, %td columns", strategy, A->rows, A->cols,
                A->nnz, n);
      const double cycles =
          spk_predict_cycles(A, n, (spk_strategy)strategy, spk_active_kernels(), machine);
      CHECK(cycles > 0, "%g", cycles);
      CHECK(isfinite(cycles) || strategy == SPK_STRATEGY_PACKED || strategy == SPK_STRATEGY_BITMAP);
      /* From a vector of columns on: a single column has kernels of its own. */
      const int whole = n >= 2 * SPK_MAX_LANES;
      if (whole) CHECK(cycles >= last, "%g, and %g for half the columns", cycles, last);
      last = cycles;
    }
  }
}

static void check_missing(const spk_machine *machine) {
  test_case("lines that are not in L1");
  double last = 0;
  CHECK(spk_missing((double)machine->l1_bytes, machine) == 0);
  for (double bytes = 1; bytes < 1e12; bytes *= 1.5) {
    const double share = spk_missing(bytes, machine);
    CHECK(share >= last && share <= 1, "%g of %g bytes", share, bytes);
    last = share;
  }
  CHECK(last == 1);
}

void check_cost(void) {
  for (int m = 0; m < MACHINES; m++) {
    check_missing(&machines[m]);
    for (int s = 0; s < SHAPES; s++)
      for (int dtype = 0; dtype < 2; dtype++) {
        const spk_sparse A = sparse_of(SPK_CSR, (spk_dtype)dtype, &shapes[s], 1);
        check_costs(&A, &machines[m]);
        check_predictions(&A, &machines[m]);
      }
  }
}
