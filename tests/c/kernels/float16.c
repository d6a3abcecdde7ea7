#include "checks.h"

#include <math.h>

#include "../../../src/common/float16.h"
#include "../testing.h"

/* The number that 16 bits stand for, of which `exponent_bits` are the exponent. */
static double value_of_bits(uint32_t h, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits, most = (1 << exponent_bits) - 1;
  const int exponent = (int)(h >> fraction_bits) & most;
  const double fraction = ldexp((double)(h & ((1u << fraction_bits) - 1)), -fraction_bits);
  const double sign = h >> 15 ? -1 : 1;
  if (exponent == most) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * ldexp(fraction, 2 - (most + 1) / 2);
  return sign * ldexp(1 + fraction, exponent - (most - 1) / 2);
}

static void check_expand(spk_expand_fn kernel, int exponent_bits) {
  test_case("expand values with %d bits of exponent", exponent_bits);
  const ptrdiff_t counts[] = {0, 1, 3, 15, 16, 17, 65536};
  for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
    uint16_t *from = exact_memory((size_t)counts[c] * sizeof *from);
    for (ptrdiff_t i = 0; i < counts[c]; i++) from[i] = (uint16_t)(counts[c] > 17 ? i : 3000 * i);
    float *to = exact_memory((size_t)counts[c] * sizeof *to);
    kernel(to, from, counts[c]);
    for (ptrdiff_t i = 0; i < counts[c]; i++) {
      const double expected = value_of_bits(from[i], exponent_bits);
      CHECK(isnan(expected) ? isnan(to[i])
                            : to[i] == expected && !signbit(to[i]) == !signbit(expected),
            "%#x is %.9g, not %.9g", from[i], (double)to[i], expected);
    }
    exact_memory_release();
  }
}

/* To the nearest, ties to even, of both signs. */
static void check_rounding(uint16_t (*round_to)(float), int exponent_bits) {
  test_case("round to values with %d bits of exponent", exponent_bits);
  const uint32_t infinite = ((1u << exponent_bits) - 1) << (15 - exponent_bits);
  for (uint32_t h = 0; h < infinite; h++) {
    const double low = value_of_bits(h, exponent_bits);
    /* Where the next one would be, if there is none. */
    const double high = h + 1 < infinite ? value_of_bits(h + 1, exponent_bits)
                                         : 2 * low - value_of_bits(h - 1, exponent_bits);
    const float middle = (float)((low + high) / 2);
    for (uint32_t sign = 0; sign <= 0x8000u; sign += 0x8000u) {
      const float s = sign ? -1.0f : 1.0f;
      CHECK(round_to(s * (float)low) == (h | sign), "%#x stays", h);
      CHECK(round_to(s * middle) == ((h + (h & 1)) | sign), "tie above %#x", h);
      CHECK(round_to(s * nextafterf(middle, 0)) == (h | sign), "below the tie above %#x", h);
      CHECK(round_to(s * nextafterf(middle, INFINITY)) == ((h + 1) | sign), "above, %#x", h);
    }
  }
  CHECK(round_to(INFINITY) == infinite && round_to(-INFINITY) == (infinite | 0x8000u));
  CHECK(isnan(value_of_bits(round_to(NAN), exponent_bits)));
}

/* The kernel that widens, and the function that narrows. */
void check_expand_f16(spk_expand_fn kernel) {
  check_expand(kernel, 5);
  check_rounding(spk_to_f16, 5);
}

void check_expand_bf16(spk_expand_fn kernel) {
  check_expand(kernel, 8);
  check_rounding(spk_to_bf16, 8);
}
