#include "../../../src/plan/sell_plan.h"

#include <stdlib.h>

#include "plan.h"

static void check_suit(const spk_sparse *A) {
  const spk_kernels *kernels = spk_active_kernels();
  const int suits = spk_sell_suit(A, kernels);
  spk_sparse other = *A;
  other.flags &= ~(unsigned)SPK_SORTED;
  CHECK(!spk_sell_suit(&other, kernels), "rows in any order");
  if (!suits) return;
  CHECK(kernels->spmv_sell[A->dtype] != NULL, "without a kernel");
  CHECK(spk_ceil_div(A->cols, spk_window_columns(kernels->lanes[A->dtype])) <=
        SPK_SELL_MAX_WINDOWS);
  other = *A;
  other.nnz *= 2;
  CHECK(spk_sell_suit(&other, kernels), "with twice the entries");
}

static void check_plan(ptrdiff_t row_panels) {
  spk_sell A = {.row_panels = row_panels};
  A.weights = malloc((size_t)(row_panels + 1) * sizeof *A.weights);
  A.weights[0] = 0;
  for (ptrdiff_t i = 0; i < row_panels; i++)
    A.weights[i + 1] = A.weights[i] + random_below(1000) + 1;
  for (int t = 0; t < THREAD_COUNTS; t++) {
    test_case("%td row panels of SELL slices, %d threads", row_panels, thread_counts[t]);
    spk_sell_plan p;
    spk_plan_sell(&A, thread_counts[t], &p);
    CHECK(p.threads >= 1 && p.threads <= thread_counts[t] && p.threads <= p.parts, "%d threads",
          p.threads);
    CHECK(p.parts <= row_panels, "%td parts", p.parts);
    ptrdiff_t next = 0;
    for (ptrdiff_t part = 0; part < p.parts; part++) {
      CHECK(spk_sell_part(&A, part, p.parts) == next, "part %td", part);
      next = spk_sell_part(&A, part + 1, p.parts);
    }
    CHECK(next == row_panels, "%td of %td row panels", next, row_panels);
  }
  free(A.weights);
}

void check_sell(void) {
  for (int s = 0; s < SHAPES; s++)
    for (int dtype = 0; dtype < 2; dtype++) {
      const spk_sparse A = sparse_of(SPK_CSR, (spk_dtype)dtype, &shapes[s], 1);
      test_case("SELL slices of %td x %td, %td entries", A.rows, A.cols, A.nnz);
      check_suit(&A);
    }
  for (ptrdiff_t row_panels = 1; row_panels < 1000; row_panels += 1 + row_panels / 2)
    check_plan(row_panels);
}
