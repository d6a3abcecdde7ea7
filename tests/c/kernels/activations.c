#include "activations.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "fixtures.h"

/* In a type that is wider than double where the machine has one; where it has none, itself some
 * units off. */
static long double activated(long double x, spk_activation activation) {
  const int left = activation != SPK_ELU && activation != SPK_TANH && activation != SPK_LEAKY_RELU;
  if (x == -INFINITY && left)
    return activation == SPK_SIGMOID || activation == SPK_HARDSIGMOID || activation == SPK_RELU ||
                   activation == SPK_RELU6
               ? 0.0L
               : -0.0L;
  if (x == INFINITY && (activation == SPK_GELU_TANH || activation == SPK_HARDSWISH)) return x;
  switch (activation) {
    case SPK_GELU:
      return 0.5L * x * erfcl(-x * 0.707106781186547524400844362104849039L);
    case SPK_SILU:
      return x < -700 ? x * expl(x) : x / (1 + expl(-x));
    case SPK_TANH:
      return tanhl(x);
    case SPK_SIGMOID:
      return x < -700 ? expl(x) : 1 / (1 + expl(-x));
    case SPK_GELU_TANH: {
      if (fabsl(x) > 1000) return x < 0 ? -0.0L : x;
      const long double z =
          2 * 0.797884560802865355879892119868763737L * (x + x * x * x * 0.044715L);
      return z < -700 ? x * expl(z) : x / (1 + expl(-z));
    }
    case SPK_LEAKY_RELU:
      return x < 0 ? x * 0.01L : x;
    case SPK_ELU:
      return x < 0 ? expm1l(x) : x;
    case SPK_HARDSWISH:
      return x <= -3 ? -0.0L : x >= 3 ? x : x * (x + 3) / 6;
    case SPK_HARDSIGMOID:
      return x <= -3 ? 0 : x >= 3 ? 1 : (x + 3) / 6;
    case SPK_RELU6:
      return x < 0 ? 0 : x > 6 ? 6 : x;
    default:
      return x < 0 ? 0 : x;
  }
}

/* The distance from one number of the dtype to the next, at x. */
static long double unit_of(long double x, spk_dtype dtype) {
  const int bits = dtype == SPK_F32 ? 24 : 53, least = dtype == SPK_F32 ? -149 : -1074;
  int exponent;
  frexpl(x, &exponent);
  const int unit = exponent - bits > least ? exponent - bits : least;
  return ldexpl(1, x == 0 ? least : unit);
}

/* From 0 to 1. */
static double random_unit(void) { return ldexp((double)random_below(1 << 30), -30); }

static int same_sign(double a, long double b) { return !signbit(a) == !signbit(b); }

/* Where results become subnormal or 0, where formulas change, and what rounds worst. */
static const double hard_cases[] = {
    0.0,       -0.0,   INFINITY, -INFINITY, NAN,        1e300,       -1e300,   -103.98,  -87.34,
    -14.42,    -13.19, -10.73,   -745.2,    -708.4,     -38.6,       -37.5,    -21.6,    -3.0,
    -2.999999, 3.0,    2.999999, 6.0,       0.34657359, -0.34657359, -1.42145, -2.19244, -0.75,
    9.01,      19.06,  50.0,     49.9999,   -40.0,      1e-45,       -1e-45,   5e-324,   -5e-324};

void check_activations(spk_store_fn kernel, spk_dtype dtype) {
  enum { COUNT = 5001, OTHERS = sizeof hard_cases / sizeof *hard_cases };
  const matrix x = matrix_input(dtype, 1, COUNT, COUNT, 1);
  for (int i = 0; i < COUNT; i++) {
    const int tiny = dtype == SPK_F32 ? 140 : 1060;
    double at = i < OTHERS          ? hard_cases[i]
                : i < COUNT / 2     ? -random_unit() * (dtype == SPK_F32 ? 110 : 760)
                : i < COUNT * 3 / 4 ? 20 * random_unit() - 10
                                    : ldexp(2 * random_unit() - 1, -(int)random_below(tiny));
    if (dtype == SPK_F32 && fabs(at) > 1e299) at = at < 0 ? -3e38 : 3e38;
    put_value(x.memory, dtype, i, at);
  }
  exact_memory_freeze();
  /* Where long double is no wider, the reference is not right to half a unit. */
  const double most = LDBL_MANT_DIG >= 64 || dtype == SPK_F32 ? 2 : 8;
  for (int a = SPK_RELU; a <= SPK_RELU6; a++) {
    test_case("activation %d of %s", a, dtype_names[dtype]);
    const int cut = a == SPK_RELU || a == SPK_RELU6;
    const matrix y = matrix_output(dtype, 1, COUNT, COUNT, 1);
    const spk_epilogue e = {.alpha = 1, .activation = (spk_activation)a};
    kernel(x.view.data, COUNT, y.view.data, COUNT, 1, 1, COUNT, &e);
    for (int i = 0; i < COUNT; i++) {
      const double from = matrix_get(&x, 0, i), got = matrix_get(&y, 0, i);
      const long double right = activated(from, e.activation);
      if (isnan(from)) {
        CHECK(isnan(got), "of NaN: %g", got);
        continue;
      }
      if (isinf(right)) {
        CHECK(got == (double)right, "of %g: %g", from, got);
        continue;
      }
      const double off = (double)(fabsl(got - right) / unit_of(right, dtype));
      CHECK(off <= (cut ? 0 : most), "of %.17g: %.17g, not %.17Lg, %g units", from, got, right,
            off);
      CHECK(cut || from == 0 || got == 0 || same_sign(got, right), "sign of %.17g", from);
      if (from == 0 && a != SPK_SIGMOID && a != SPK_HARDSIGMOID)
        CHECK(same_sign(got, from), "sign of zero");
      if (from == -INFINITY && got == 0) CHECK(same_sign(got, right), "sign of a limit");
    }
  }
  exact_memory_release();
}

void check_places(spk_store_fn kernel, spk_dtype dtype) {
  enum { ROWS_HERE = 7, MAX = 70 };
  const size_t size = spk_dtype_size(dtype);
  for (int a = SPK_GELU; a <= SPK_RELU6; a++)
    for (ptrdiff_t n = 1; n <= MAX; n += 1 + n / 4)
      for (int by_column = 0; by_column < 2; by_column++) {
        test_case("places of activation %d, %s, %td columns", a, dtype_names[dtype], n);
        const ptrdiff_t count = ROWS_HERE * n;
        const ptrdiff_t rs = by_column ? 1 : n + 1, cs = by_column ? ROWS_HERE + 1 : 1;
        const matrix x = matrix_input(dtype, 1, count, count, 1);
        for (int i = 0; i < count; i++) {
          const double at = i % 97 == 0 ? NAN : i % 89 == 0 ? -INFINITY : 12 * random_unit() - 9;
          put_value(x.memory, dtype, i, at);
        }
        exact_memory_freeze();
        const matrix y = matrix_output(dtype, ROWS_HERE, n, rs, cs);
        const matrix alone = matrix_output(dtype, 1, 1, 1, 1);
        const spk_epilogue e = {.alpha = 1, .activation = (spk_activation)a};
        kernel(x.view.data, n, y.view.data, rs, cs, ROWS_HERE, n, &e);
        for (ptrdiff_t i = 0; i < ROWS_HERE; i++)
          for (ptrdiff_t j = 0; j < n; j++) {
            const char *from = (const char *)x.memory + (size_t)(i * n + j) * size;
            kernel(from, 1, alone.view.data, 1, 1, 1, 1, &e);
            const double one = matrix_get(&alone, 0, 0), here = matrix_get(&y, i, j);
            CHECK(isnan(one) ? isnan(here) : memcmp(&one, &here, sizeof one) == 0,
                  "(%td, %td): %.17g, alone %.17g", i, j, here, one);
          }
        CHECK(matrix_gaps_intact(&y));
        exact_memory_release();
      }
}
