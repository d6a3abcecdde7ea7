#include "checks.h"
#include "fixtures.h"

#include <math.h>

/* Whether element i goes before element j: NaN first, then the larger, then the one on the left. */
static int goes_before(const matrix *x, ptrdiff_t i, ptrdiff_t j) {
  const double a = matrix_get(x, 0, i), b = matrix_get(x, 0, j);
  if (isnan(a) != isnan(b)) return isnan(a);
  return a > b || (!(a < b) && i < j);
}

void check_kwinners(spk_kwinners_fn kernel, spk_dtype dtype) {
  static const double specials[] = {NAN, INFINITY, -INFINITY, 0.0, -0.0, 1.0, -1.0, 0x1p-149};
  for (ptrdiff_t count = 0; count < 80; count += 1 + count / 3)
    for (int kind = 0; kind < 4; kind++)
      for (ptrdiff_t k = 0; k <= count; k += 1 + k / 2) {
        test_case("kwinners %s, %td of %td, values of kind %d", dtype_names[dtype], k, count, kind);
        matrix x = matrix_output(dtype, 1, count, count, 1);
        for (ptrdiff_t j = 0; j < count; j++)
          matrix_put(&x, 0, j,
                     kind == 0   ? random_number()
                     : kind == 1 ? (double)(random_below(5) - 2)
                     : kind == 2 ? specials[random_below(8)]
                                 : NAN);
        const matrix out = matrix_output(dtype, 1, count, count, 1);
        int32_t *winners = exact_memory((size_t)k * sizeof *winners);
        for (int what = 0; what < 4; what++) {
          /* Into both, into one, in place. */
          const matrix from = what == 3 ? matrix_copy(&x) : x;
          const matrix to = what == 3 ? from : out;
          kernel(what == 1 ? NULL : to.memory, what == 0 || what == 1 ? winners : NULL, from.memory,
                 count, k);
          ptrdiff_t found = 0;
          for (ptrdiff_t j = 0; j < count; j++) {
            ptrdiff_t rank = 0;
            for (ptrdiff_t i = 0; i < count; i++) rank += goes_before(&x, i, j);
            const double was = matrix_get(&x, 0, j), got = matrix_get(&to, 0, j);
            if (what != 1)
              CHECK(rank >= k ? got == 0 : isnan(was) ? isnan(got) : got == was, "element %td", j);
            if (rank < k && what < 2) CHECK(winners[found] == j, "winner %td", found);
            found += rank < k;
          }
        }
        exact_memory_release();
      }
}
