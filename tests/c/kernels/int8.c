#include "checks.h"

#include <math.h>
#include <string.h>

#include "fixtures.h"

/* What AVX512_VNNI and AVX_VNNI lie over; only some builds have them. */
extern const spk_kernels spk_kernels__avx512 __attribute__((weak));
extern const spk_kernels spk_kernels__avx2 __attribute__((weak));

static ptrdiff_t tile_width(void) { return 4 * lanes_of(SPK_F32); }

/* Bytes with the extremes among them, as sums may saturate only there. */
static uint8_t random_byte(void) {
  const ptrdiff_t x = random_below(300);
  return (uint8_t)(x < 256 ? x : x < 270 ? 255 : x < 285 ? 128 : 127);
}

static void check_int8_gather4_of(spk_int8_gather4_fn kernel, const char *which) {
  enum { RUNS = 6, BLOCK = 23, HEIGHT = 40 };
  /* None, one and several groups and items; row ids are those of whole items, in any order. */
  const spk_int8_gather4_run runs[RUNS] = {{0, 1, 1}, {1, 2, 1}, {5, 3, 1},
                                           {0, 1, 4}, {1, 3, 4}, {7, 2, 4}};
  static const uint16_t ids[] = {39, 38, 2, 0, 37, 1, 20, 3, 7, 30, 11, 34};
  test_case("int8_gather4 %s", which);
  const ptrdiff_t tile = tile_width();
  ptrdiff_t groups = 0, values = 0;
  for (int r = 0; r < RUNS; r++) {
    groups += (ptrdiff_t)runs[r].groups * runs[r].items;
    values += (ptrdiff_t)4 * runs[r].groups * runs[r].items * runs[r].rows;
  }
  uint8_t *B = exact_memory((size_t)(BLOCK * tile));
  uint8_t *panel = exact_memory((size_t)(BLOCK * tile));
  uint16_t *offsets = exact_memory((size_t)groups * 4 * sizeof *offsets);
  int8_t *w = exact_memory((size_t)values);
  for (ptrdiff_t i = 0; i < BLOCK * tile; i++) B[i] = random_byte();
  for (ptrdiff_t i = 0; i < 4 * groups; i++) offsets[i] = (uint16_t)random_below(BLOCK);
  for (ptrdiff_t i = 0; i < values; i++) w[i] = (int8_t)random_byte();
  checked->int8_gather4_panel(panel, B, tile, 1, BLOCK, tile, 0);
  int32_t *sums = exact_memory((size_t)(HEIGHT * tile) * sizeof *sums);
  int32_t before[HEIGHT * 64];
  for (ptrdiff_t i = 0; i < HEIGHT * tile; i++)
    sums[i] = before[i] = (int32_t)random_below(1000) - 500;
  const spk_int8_gather4_task task = {runs, RUNS, ids, offsets, w, panel, sums};
  kernel(&task);
  const uint16_t *id = ids, *o = offsets;
  const int8_t *a = w;
  for (int r = 0; r < RUNS; r++)
    for (uint32_t i = 0; i < runs[r].items; i++, id++) {
      const ptrdiff_t rows = runs[r].rows;
      for (uint32_t q = 0; q < runs[r].groups; q++, o += 4, a += 4 * rows)
        for (ptrdiff_t g = 0; g < rows; g++)
          for (ptrdiff_t j = 0; j < tile; j++)
            for (int c = 0; c < 4; c++)
              before[(*id + g) * tile + j] += (int32_t)a[4 * g + c] * B[o[c] * tile + j];
    }
  for (ptrdiff_t i = 0; i < HEIGHT * tile; i++)
    CHECK(sums[i] == before[i], "[%td, %td] = %d, not %d", i / tile, i % tile, sums[i], before[i]);
  exact_memory_release();
}

void check_int8_gather4(spk_int8_gather4_fn kernel) {
  check_int8_gather4_of(kernel, "in use");
  const spk_kernels *plain[] = {&spk_kernels__avx512, &spk_kernels__avx2};
  for (int i = 0; i < 2; i++)
    if (plain[i] && !strcmp(checked->isa, plain[i]->isa) && plain[i]->int8_gather4 != kernel)
      check_int8_gather4_of(plain[i]->int8_gather4, "without VNNI");
}

/* A panel is what four of its rows give once they are interleaved: through a group whose weights
 * choose one of its columns. */
void check_int8_gather4_panel(spk_int8_gather4_panel_fn kernel) {
  const ptrdiff_t tile = tile_width();
  enum { MAX = 150 }; /* more than two vectors have bytes */
  for (ptrdiff_t n = 1; n <= tile; n += 1 + n / 5)
    for (int how = 0; how < 8; how++) {
      const ptrdiff_t rows = how & 4 ? MAX : 5;
      const uint8_t flip = how & 1 ? 0x80 : 0;
      const ptrdiff_t row_stride = how & 2 ? 1 : n + 3, col_stride = how & 2 ? rows + 2 : 1;
      test_case("int8_gather4_panel, %td columns, case %d", n, how);
      const ptrdiff_t held = (rows - 1) * row_stride + (n - 1) * col_stride + 1;
      uint8_t *B = exact_memory((size_t)held);
      for (ptrdiff_t i = 0; i < held; i++) B[i] = random_byte();
      exact_memory_freeze();
      uint8_t *panel = exact_memory((size_t)(rows * tile));
      kernel(panel, B, row_stride, col_stride, rows, n, flip);
      for (uint16_t i = 0; i < rows; i++) {
        const uint16_t offsets[] = {i, i, i, i};
        const int8_t w[] = {0, 0, 1, 0};
        const uint16_t id = 0;
        const spk_int8_gather4_run run = {1, 1, 1};
        int32_t sums[64] = {0};
        const spk_int8_gather4_task task = {&run, 1, &id, offsets, w, panel, sums};
        checked->int8_gather4(&task);
        for (ptrdiff_t j = 0; j < n; j++) {
          const int32_t wanted = B[i * row_stride + j * col_stride] ^ flip;
          CHECK(sums[j] == wanted, "[%d, %td] = %d, not %d", i, j, sums[j], wanted);
        }
      }
      exact_memory_release();
    }
}

void check_int8_block4(spk_int8_block4_fn kernel) {
  for (ptrdiff_t rows = 0; rows < 14; rows++)
    for (ptrdiff_t n = 1; n < 40; n += 1 + n / 3)
      for (int how = 0; how < 6; how++) {
        const uint8_t flip = how & 1 ? 0x80 : 0;
        const int by_column = how >= 4;
        const ptrdiff_t row_stride = by_column ? 1 : how & 2 ? -n - 3 : n + 3;
        const ptrdiff_t col_stride = by_column ? rows + 2 : 1, most = (rows - 1) * row_stride;
        test_case("int8_block4, %td x %td, case %d", rows, n, how);
        const ptrdiff_t held = rows ? (most < 0 ? -most : most) + (n - 1) * col_stride + 1 : 0;
        uint8_t *B = exact_memory((size_t)held);
        for (ptrdiff_t i = 0; i < held; i++) B[i] = random_byte();
        exact_memory_freeze();
        const uint8_t *first = most < 0 ? B - most : B;
        const ptrdiff_t high = spk_round_up(rows, 4);
        uint8_t *to = exact_memory((size_t)(high * n));
        kernel(to, first, row_stride, col_stride, rows, n, flip);
        for (ptrdiff_t i = 0; i < high; i++)
          for (ptrdiff_t j = 0; j < n; j++) {
            const int wanted = i < rows ? first[i * row_stride + j * col_stride] ^ flip : 0;
            const int got = to[i / 4 * 4 * n + 4 * j + i % 4];
            CHECK(got == wanted, "[%td, %td] = %d, not %d", i, j, got, wanted);
          }
        exact_memory_release();
      }
}

void check_int8_block2(spk_int8_block2_fn kernel) {
  for (ptrdiff_t rows = 0; rows < 9; rows++)
    for (ptrdiff_t n = 1; n < 40; n += 1 + n / 3)
      for (int how = 0; how < 6; how++) {
        const uint8_t flip = how & 1 ? 0x80 : 0;
        const int by_column = how >= 4;
        const ptrdiff_t row_stride = by_column ? 1 : how & 2 ? -n - 3 : n + 3;
        const ptrdiff_t col_stride = by_column ? rows + 2 : 1, most = (rows - 1) * row_stride;
        test_case("int8_block2, %td x %td, case %d", rows, n, how);
        const ptrdiff_t held = rows ? (most < 0 ? -most : most) + (n - 1) * col_stride + 1 : 0;
        uint8_t *B = exact_memory((size_t)held);
        for (ptrdiff_t i = 0; i < held; i++) B[i] = random_byte();
        exact_memory_freeze();
        const uint8_t *first = most < 0 ? B - most : B;
        const ptrdiff_t high = spk_round_up(rows, 2);
        int16_t *to = exact_memory((size_t)(high * n) * sizeof *to);
        kernel(to, first, row_stride, col_stride, rows, n, flip);
        for (ptrdiff_t i = 0; i < high; i++)
          for (ptrdiff_t j = 0; j < n; j++) {
            const int wanted = i < rows ? first[i * row_stride + j * col_stride] ^ flip : 0;
            const int got = to[i / 2 * 2 * n + 2 * j + i % 2];
            CHECK(got == wanted, "[%td, %td] = %d, not %d", i, j, got, wanted);
          }
        exact_memory_release();
      }
}

/* In float, rounded as they are there: the same bits.  Activations are those of products of floats,
 * which have tests of their own. */
static double result_of(int32_t sum, const spk_requantise *how, ptrdiff_t i, ptrdiff_t j) {
  if (how->result == SPK_RESULT_I32) return sum;
  const float row_scale = how->scale ? how->scale[i] : 1.0f;
  const float scale = how->column_scale ? row_scale * how->column_scale[j] : row_scale;
  const float product = (float)sum * scale;
  float x = product + (how->bias ? how->bias[i] : 0.0f);
  const spk_epilogue e = {.alpha = 1, .activation = how->activation};
  checked->tile_store[SPK_F32](&x, 1, &x, 1, 1, 1, 1, &e);
  if (how->result == SPK_RESULT_F32) return x;
  const double low = how->result == SPK_RESULT_S8 ? -128 : 0;
  const double y = rint((double)(x / how->out_scale)) + how->out_zero_point;
  return isnan(y) || y < low ? low : y > low + 255 ? low + 255 : y;
}

static double element(const void *C, spk_result result, ptrdiff_t at) {
  if (result == SPK_RESULT_I32) return ((const int32_t *)C)[at];
  if (result == SPK_RESULT_F32) return (double)((const float *)C)[at];
  return result == SPK_RESULT_S8 ? ((const int8_t *)C)[at] : ((const uint8_t *)C)[at];
}

void check_int8_store(spk_int8_store_fn kernel) {
  enum { ROWS = 83 }; /* more than a vector has bytes */
  const ptrdiff_t tile = tile_width();
  const spk_activation activations[] = {SPK_IDENTITY, SPK_RELU, SPK_TANH};
  for (ptrdiff_t n = 1; n <= tile; n = n == tile ? n + 1 : spk_min(tile, n + 1 + n / 3))
    for (int how = 0; how < 4 * 6 * 2 * 3 * 3; how++) {
      const spk_result result = (spk_result)(how % 4);
      /* By columns, and by rows that lie side by side, there also in place of the sums; by columns
       * from such sums, and with gaps in rows and columns. */
      const int layout = how / 4 % 6, plain = how / 24 % 2;
      const int by_column = layout == 1 || layout >= 4, close = layout >= 2;
      const ptrdiff_t pitch = close ? n : tile, step = layout == 5 ? 2 : 1;
      const int by_scale = how / 144 >= 1, by_zero = how / 144 == 2; /* of columns */
      float scale[ROWS], bias[ROWS], *column_scale = exact_memory((size_t)n * sizeof *column_scale);
      int32_t sums[ROWS * 64], row_sums[ROWS], *zeros = exact_memory((size_t)n * sizeof *zeros);
      for (ptrdiff_t j = 0; j < n; j++) {
        column_scale[j] = j % 3 == 0 ? 1.0f : (float)random_number() / 10;
        zeros[j] = (int32_t)random_below(200);
      }
      for (ptrdiff_t i = 0; i < ROWS; i++) {
        scale[i] = (float)random_number() / 100;
        bias[i] = (float)random_number() * 10;
        row_sums[i] = (int32_t)random_below(1 << 23) - (1 << 22);
      }
      if (!plain) scale[1] = NAN, scale[2] = INFINITY, bias[3] = -INFINITY;
      /* What is half way between two numbers, too. */
      scale[4] = 0.5f, bias[4] = 0, scale[5] = -0.5f;
      for (ptrdiff_t i = 0; i < ROWS * tile; i++)
        sums[i] = (int32_t)random_below(1 << 20) - (1 << 19);
      for (ptrdiff_t i = 4; i < 6; i++)
        for (ptrdiff_t j = 0; j < n; j++) sums[i * pitch + j] = (int32_t)j - 20 + 7 * row_sums[i];
      const spk_requantise task_how = {.result = result,
                                       .scale = plain ? NULL : scale,
                                       .bias = plain ? NULL : bias,
                                       .column_scale = by_scale ? column_scale : NULL,
                                       .column_zero_points = by_zero ? zeros : NULL,
                                       .activation = activations[how / 48 % 3],
                                       .out_scale = result == SPK_RESULT_S8 ? 1.0f : 0.7f,
                                       .out_zero_point = result == SPK_RESULT_S8 ? -3 : 131};
      test_case("int8_store, %td columns, case %d", n, how);
      const size_t size = result <= SPK_RESULT_F32 ? 4 : 1;
      const ptrdiff_t ld = by_column ? step * (ROWS + 2) : close ? n : n + 2;
      const size_t held =
          (size_t)(by_column ? (n - 1) * ld + step * (ROWS - 1) + 1 : (ROWS - 1) * ld + n);
      char *C = exact_memory(held * size);
      memset(C, 77, held * size);
      const int in_place = layout == 3 && size == 4;
      if (in_place) memcpy(C, sums, held * size);
      int32_t scratch[ROWS * 64];
      memcpy(scratch, sums, sizeof sums);
      const spk_int8_store_task task = {.sums = in_place ? (int32_t *)(void *)C : scratch,
                                        .sum_row_stride = pitch,
                                        .sum_col_stride = 1,
                                        .row_sums = row_sums,
                                        .shift = 7,
                                        .rows = ROWS,
                                        .cols = n,
                                        .C = C,
                                        .row_stride = by_column ? step : ld,
                                        .col_stride = by_column ? ld : 1,
                                        .how = &task_how};
      kernel(&task);
      for (ptrdiff_t i = 0; i < ROWS; i++)
        for (ptrdiff_t j = 0; j < n; j++) {
          const int32_t shift = by_zero ? 7 + zeros[j] : 7;
          const int32_t sum = sums[i * pitch + j] - shift * row_sums[i];
          const double wanted = result_of(sum, &task_how, i, j);
          const double got = element(C, result, by_column ? j * ld + i * step : i * ld + j);
          CHECK(got == wanted || (isnan(got) && isnan(wanted)), "[%td, %td] = %.9g, not %.9g", i, j,
                got, wanted);
        }
      int gaps = 0;
      for (size_t at = 0; at < held; at++) {
        const ptrdiff_t inner = (ptrdiff_t)at % ld;
        if (inner >= (by_column ? step * ROWS : n) || (by_column && inner % step))
          for (size_t b = 0; b < size; b++) gaps += C[at * size + b] != 77;
      }
      CHECK(gaps == 0, "%d bytes between elements written", gaps);
      exact_memory_release();
    }
}
