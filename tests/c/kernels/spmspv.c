#include "checks.h"
#include "../active.h"
#include "fixtures.h"

#include <math.h>

void check_spmspv_nonzeros(spk_nonzeros_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (ptrdiff_t count = 0; count < 200; count += count < 20 ? 1 : 37)
    for (ptrdiff_t stride = 1; stride < 3; stride++) {
      test_case("spmspv_nonzeros %s %s, %td, stride %td", dtype_names[dtype], itype_names[itype],
                count, stride);
      void *ids = exact_memory((size_t)count * spk_itype_size(itype));
      matrix x = matrix_input(dtype, count, 1, stride, 1);
      matrix kept = matrix_output(dtype, count, 1, 1, 1);
      for (ptrdiff_t k = 0; k < count; k++)
        if (k % 3 != 1) matrix_put(&x, k, 0, k % 5 == 3 ? NAN : k % 2 ? -0.0 : 0.0);
      const ptrdiff_t found = kernel(x.view.data, stride, count, 7, ids, kept.view.data);
      ptrdiff_t n = 0;
      for (ptrdiff_t k = 0; k < count; k++) {
        const double value = matrix_get(&x, k, 0);
        if (value == 0) continue;
        const double got = n < found ? matrix_get(&kept, n, 0) : 0;
        CHECK(n < found && spk_index(ids, itype, n) == 7 + k, "number %td", n);
        CHECK(got == value || (isnan(got) && isnan(value)), "number %td", n);
        n++;
      }
      CHECK(n == found, "%td, not %td", found, n);
      exact_memory_release();
    }
}

void check_spmspv_csc(spk_spmspv_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (ptrdiff_t count = 0; count < 9; count++) {
    test_case("spmspv_csc %s %s, %td columns", dtype_names[dtype], itype_names[itype], count);
    const active a = active_random(dtype, itype, count);
    exact_memory_freeze();
    matrix y = matrix_output(dtype, ACTIVE_ROWS, 1, 1, 1);
    for (ptrdiff_t i = 0; i < ACTIVE_ROWS; i++) matrix_put(&y, i, 0, 0);
    const spk_spmspv_task task = {a.A.offsets, a.indices, a.A.values, a.ids,
                                  a.x.memory,  count,     2,          y.memory};
    kernel(&task);
    for (ptrdiff_t i = 0; i < ACTIVE_ROWS; i++)
      CHECK(exact_matches(a.expected[i], dtype, matrix_get(&y, i, 0)), "row %td", i);
    exact_memory_release();
  }
}
