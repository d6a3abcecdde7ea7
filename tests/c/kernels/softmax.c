#include "checks.h"
#include "fixtures.h"

#include <math.h>

void check_softmax(spk_softmax_fn kernel, spk_dtype dtype) {
  const double u = dtype == SPK_F32 ? 0x1p-24 : 0x1p-53;
  for (ptrdiff_t count = 1; count < 60; count += 1 + count / 9)
    for (int in_place = 0; in_place < 2; in_place++) {
      test_case("softmax %s of %td%s", dtype_names[dtype], count, in_place ? ", in place" : "");
      matrix x = matrix_output(dtype, count, 1, 1, 1);
      for (ptrdiff_t j = 0; j < count; j++) matrix_put(&x, j, 0, 30 * random_number());
      const matrix old = matrix_copy(&x);
      const matrix y = in_place ? x : matrix_output(dtype, count, 1, 1, 1);
      kernel(y.memory, x.memory, count, -0.5);
      double most = -INFINITY, sum = 0;
      for (ptrdiff_t j = 0; j < count; j++) most = fmax(most, -0.5 * matrix_get(&old, j, 0));
      for (ptrdiff_t j = 0; j < count; j++) sum += exp(-0.5 * matrix_get(&old, j, 0) - most);
      for (ptrdiff_t j = 0; j < count; j++) {
        /* The difference to the maximum is rounded: 30 is below 32. */
        const double p = exp(-0.5 * matrix_get(&old, j, 0) - most) / sum;
        CHECK(fabs(matrix_get(&y, j, 0) - p) <= p * u * (double)(32 + 32 + 6 + count), "%td", j);
      }
      exact_memory_release();
    }
  test_case("exp by softmax, %s", dtype_names[dtype]);
  /* exp(x) / (exp(0) + exp(x)) of x so small that the sum is 1. */
  const double lowest = dtype == SPK_F32 ? -87.3 : -708.3, highest = dtype == SPK_F32 ? -17 : -37;
  double worst = 0;
  for (int i = 0; i < 200000; i++) {
    const double at = lowest + (highest - lowest) * (i / 200000.0);
    float f32[2] = {0, (float)at};
    double f64[2] = {0, at};
    kernel(dtype == SPK_F32 ? (void *)f32 : f64, dtype == SPK_F32 ? (void *)f32 : f64, 2, 1);
    const double x = dtype == SPK_F32 ? (double)(float)at : at;
    const double got = dtype == SPK_F32 ? (double)f32[1] : f64[1];
    int exponent;
    frexp(exp(x), &exponent);
    worst = fmax(worst, fabs(got - exp(x)) / ldexp(2 * u, exponent - 1));
  }
  CHECK(worst <= 1.1, "%g units in the last place", worst);
}
