/* The verb, for rows that lie apart and any number of threads; what a row keeps is checked with its
 * kernel (kernels/kwinners.c). */
#include <string.h>

#include "matrix.h"

enum { ROWS = 37, COLS = 19, LDX = 23, LDY = 21, K = 5 };

static void check_threads(spk_dtype dtype) {
  const matrix X = matrix_input(dtype, ROWS, COLS, LDX, 1);
  int32_t *winners = exact_memory(ROWS * K * sizeof *winners);
  int32_t *others = exact_memory(ROWS * K * sizeof *others);
  const matrix one = matrix_output(dtype, ROWS, COLS, LDY, 1), many = matrix_copy(&one);
  CHECK(spk_kwinners(dtype, ROWS, COLS, X.memory, LDX, K, one.memory, LDY, winners, 1) == SPK_OK);
  for (int threads = 2; threads < 5; threads++) {
    test_case("kwinners of dtype %d, %d threads", dtype, threads);
    CHECK(spk_kwinners(dtype, ROWS, COLS, X.memory, LDX, K, many.memory, LDY, others, threads) ==
          SPK_OK);
    CHECK(matrix_same_bits(&one, &many) && matrix_gaps_intact(&many));
    CHECK(memcmp(winners, others, ROWS * K * sizeof *winners) == 0);
  }
  exact_memory_release();
}

static void check_arguments(spk_dtype dtype) {
  test_case("arguments of kwinners, dtype %d", dtype);
  const matrix X = matrix_input(dtype, ROWS, COLS, LDX, 1);
  const matrix Y = matrix_output(dtype, ROWS, COLS, LDY, 1);
  CHECK(spk_kwinners(dtype, ROWS, COLS, X.memory, LDX, -1, Y.memory, LDY, NULL, 1) ==
        SPK_ERR_ARGUMENT);
  CHECK(spk_kwinners(dtype, ROWS, COLS, NULL, LDX, 1, Y.memory, LDY, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_kwinners(dtype, ROWS, COLS, X.memory, LDX, 1, NULL, LDY, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_kwinners(dtype, 0, COLS, NULL, LDX, 1, NULL, LDY, NULL, 1) == SPK_OK);
  exact_memory_release();
}

int main(void) {
  if (spk_init() != SPK_OK) return TEST_SKIPPED;
  seed_random(60);
  for (int dtype = 0; dtype < 2; dtype++) {
    check_threads((spk_dtype)dtype);
    check_arguments((spk_dtype)dtype);
  }
  return test_result();
}
