#include "checks.h"
#include "fixtures.h"

#include <math.h>

void check_roofline_fma(spk_roofline_fn kernel, spk_dtype dtype) {
  const double lanes = lanes_of(dtype);
  const double after = kernel(NULL, 0, 100), expected = 12 * lanes * (1 + 0x1p-20);
  CHECK(kernel(NULL, 0, 0) == 78 * lanes);
  CHECK(fabs(after - expected) < 1e-6 * expected, "%.17g", after);
}

void check_roofline_load(spk_roofline_fn kernel, spk_dtype dtype) {
  for (ptrdiff_t steps = 0; steps < 4; steps++) {
    const ptrdiff_t count = steps * 8 * lanes_of(dtype);
    void *values = exact_memory((size_t)count * spk_dtype_size(dtype));
    for (ptrdiff_t i = 0; i < count; i++) put_value(values, dtype, i, (double)(i % 7));
    double expected = 0;
    for (ptrdiff_t i = 0; i < count; i++) expected += (double)(i % 7);
    exact_memory_freeze();
    CHECK(kernel(values, count, 3) == 3 * expected, "%td values", count);
    exact_memory_release();
  }
}
