/* The verb, for rows that lie apart and any number of threads; rounding is checked with its kernel
 * (kernels/quantise.c). */
#include <math.h>
#include <string.h>

#include "matrix.h"

enum { ROWS = 300, COLS = 1019, LDX = 1023, LDOUT = 1021 };

static void check_threads(int is_signed) {
  const matrix X = matrix_input(SPK_F32, ROWS, COLS, LDX, 1);
  const size_t bytes = (size_t)(ROWS - 1) * LDOUT + COLS;
  uint8_t *one = exact_memory(bytes), *many = exact_memory(bytes);
  const float scale = 1.0f / 64;
  const int zero_point = is_signed ? -3 : 125;
  memset(one, 77, bytes);
  memset(many, 77, bytes);
  test_case("quantise, signed %d", is_signed);
  CHECK(spk_quantise(ROWS, COLS, X.memory, LDX, scale, zero_point, is_signed, one, LDOUT, 1) ==
        SPK_OK);
  for (ptrdiff_t i = 0; i < ROWS; i++)
    for (ptrdiff_t j = 0; j < (i + 1 < ROWS ? LDOUT : COLS); j++) {
      const uint8_t byte = one[i * LDOUT + j];
      if (j >= COLS) {
        CHECK(byte == 77, "a gap of row %td was written", i);
        continue;
      }
      const int low = is_signed ? -128 : 0;
      const double exact = nearbyint(64 * matrix_get(&X, i, j)) + zero_point;
      CHECK((is_signed ? (int)(int8_t)byte : (int)byte) == (int)fmin(fmax(exact, low), low + 255),
            "[%td, %td]", i, j);
    }
  for (int threads = 2; threads < 5; threads++) {
    CHECK(spk_quantise(ROWS, COLS, X.memory, LDX, scale, zero_point, is_signed, many, LDOUT,
                       threads) == SPK_OK);
    CHECK(memcmp(one, many, bytes) == 0, "%d threads", threads);
  }
  exact_memory_release();
}

static void check_arguments(void) {
  test_case("arguments of quantise");
  float x[4] = {0};
  uint8_t out[4];
  const spk_status wrong = SPK_ERR_ARGUMENT;
  CHECK(spk_quantise(-1, 2, x, 2, 1.0f, 0, 0, out, 2, 1) == wrong);
  CHECK(spk_quantise(2, 2, NULL, 2, 1.0f, 0, 0, out, 2, 1) == wrong);
  CHECK(spk_quantise(2, 2, x, 2, 1.0f, 0, 0, NULL, 2, 1) == wrong);
  CHECK(spk_quantise(2, 2, x, PTRDIFF_MIN, 1.0f, 0, 0, out, 2, 1) == wrong);
  CHECK(spk_quantise(2, 2, x, 2, 1.0f, 0, 0, out, PTRDIFF_MAX, 1) == wrong);
  const float scales[] = {0.0f, -1.0f, INFINITY, NAN};
  for (int s = 0; s < 4; s++)
    CHECK(spk_quantise(2, 2, x, 2, scales[s], 0, 0, out, 2, 1) == wrong, "scale %d", s);
  CHECK(spk_quantise(2, 2, x, 2, 1.0f, 256, 0, out, 2, 1) == wrong);
  CHECK(spk_quantise(2, 2, x, 2, 1.0f, -1, 0, out, 2, 1) == wrong);
  CHECK(spk_quantise(2, 2, x, 2, 1.0f, 128, 1, out, 2, 1) == wrong);
  CHECK(spk_quantise(0, 2, NULL, 2, 1.0f, 0, 0, NULL, 2, 1) == SPK_OK);
}

int main(void) {
  if (spk_init() != SPK_OK) return TEST_SKIPPED;
  seed_random(61);
  check_threads(0);
  check_threads(1);
  check_arguments();
  return test_result();
}
