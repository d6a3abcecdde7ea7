#include "checks.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "fixtures.h"

/* The byte of x by arithmetic in double, whose quotient is rounded to a float first. */
static int byte_of(float x, float scale, int low, int zero_point) {
  const double quotient = (float)((double)x / (double)scale);
  if (isnan(quotient)) return low;
  const double byte = nearbyint(quotient) + zero_point;
  return byte < low ? low : byte > low + 255 ? low + 255 : (int)byte;
}

void check_quantise(spk_quantise_fn kernel) {
  static const float scales[] = {1.0f, 0.5f, 0.03f, 3e5f, FLT_MIN, 1e-42f};
  static const float specials[] = {NAN,       INFINITY, -INFINITY, 0.0f,     -0.0f,
                                   0x1p-149f, -1e-40f,  FLT_MAX,   -FLT_MAX, FLT_MIN};
  for (int low = -128; low <= 0; low += 128)
    for (int s = 0; s < 6; s++)
      for (ptrdiff_t count = 0; count < 300; count += 1 + count / 9) {
        const float scale = scales[s];
        const int zero_point = low + (int)random_below(256);
        test_case("quantise, %td numbers, scale %g, zero point %d", count, (double)scale,
                  zero_point);
        float *from = exact_memory((size_t)count * sizeof *from);
        uint8_t *to = exact_memory((size_t)count);
        for (ptrdiff_t j = 0; j < count; j++) {
          const ptrdiff_t kind = random_below(4);
          /* Halves and integers around the range, anything else, and specials. */
          const float steps = (float)random_below(1400) / 2.0f - 350.0f;
          from[j] = kind == 0   ? specials[random_below(10)]
                    : kind == 1 ? (float)(300.0 * random_number()) * scale
                                : steps * scale;
        }
        kernel(to, from, count, scale, low, zero_point);
        for (ptrdiff_t j = 0; j < count; j++) {
          const int got = low ? (int)(int8_t)to[j] : (int)to[j];
          const int expected = byte_of(from[j], scale, low, zero_point);
          CHECK(got == expected, "[%td]: %g became %d, not %d", j, (double)from[j], got, expected);
        }
        exact_memory_release();
      }
}
