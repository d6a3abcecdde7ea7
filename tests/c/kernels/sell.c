#include "checks.h"

#include <math.h>

#include "../../../src/common/float16.h"
#include "../../../src/pack/reduced_precision.h"
#include "../../../src/pack/sell.h"
#include "fixtures.h"

/* Of numbers of steps that are constants in the kernel, and of larger ones; and without permutes.
 */
static const spk_sell_run slice_runs[] = {{1, 2, 0},
                                          {2, 1, 0},
                                          {3, 3, 0},
                                          {4, 1, 0},
                                          {5, 2, 0},
                                          {6, 1, 0},
                                          {7, 1, 0},
                                          {8, 2, 0},
                                          {9, 1, 0},
                                          {13, 2, 0},
                                          {3, 1, 1},
                                          {31, 1, 0},
                                          {12, 0, 0},
                                          {9, 1, 2},
                                          {1, 1, 4},
                                          {21, 1, 1},
                                          {8, 1, 4},
                                          {4, 1, SPK_SELL_BLOCKS},
                                          {12, 1, SPK_SELL_BLOCKS}};
enum {
  SLICE_FIRST = 5,
  SLICES = 3,
  SLICE_RUNS = sizeof slice_runs / sizeof *slice_runs,
  SLICE_WINDOWS = 3,
  SLICE_PLAIN = 37
};

/* Store a random value, and return it. */
static double put_stored(void *values, spk_dtype dtype, spk_storage storage, ptrdiff_t i) {
  const float few = (float)(random_below(255) - 127);
  switch (storage) {
    case SPK_STORAGE_S8:
      ((int8_t *)values)[i] = (int8_t)few;
      return few;
    case SPK_STORAGE_F16:
      ((uint16_t *)values)[i] = spk_to_f16(few);
      return few;
    case SPK_STORAGE_BF16:
      ((uint16_t *)values)[i] = spk_to_bf16(few);
      return few;
    default:
      put_value(values, dtype, i, random_number());
      return get_value(values, dtype, i);
  }
}

/* One row panel of three slices; the last has two lanes without a row. */
static void check_sell(spk_sell_fn kernel, spk_dtype dtype, int in_order, layout c_layout,
                       const epilogue_case *how, spk_sell_windows kind, spk_storage storage) {
  const ptrdiff_t lanes = lanes_of(dtype), rows = SLICES * lanes - 2, bits = checked->permute_bits;
  const ptrdiff_t words = (ptrdiff_t)(spk_dtype_size(dtype) / sizeof(uint32_t));
  const size_t vector_bytes = (size_t)lanes * spk_dtype_size(dtype);
  test_case("spmv_sell %s, %s, layout %d, %s, windows %d, storage %d", dtype_names[dtype],
            in_order ? "in order" : "sorted", c_layout, how->name, kind, storage);
  const ptrdiff_t held = kind == SPK_SELL_TWO ? 2 * lanes : lanes; /* elements of a window */
  ptrdiff_t steps = 0, vectors = 0, count = 0;
  for (int r = 0; r < SLICE_RUNS; r++) {
    steps += slice_runs[r].segments * slice_runs[r].steps;
    vectors +=
        slice_runs[r].segments * spk_sell_permutes(&slice_runs[r], (int)bits, lanes, vector_bytes);
    count += slice_runs[r].segments;
  }
  uint32_t *ids = exact_memory((size_t)rows * sizeof *ids);
  spk_sell_segment *cells = exact_memory((size_t)count * sizeof *cells);
  uint32_t *permutes = exact_memory((size_t)(vectors * lanes * words) * sizeof *permutes);
  void *values = exact_memory((size_t)(steps * lanes) * spk_stored_size(dtype, storage));
  float *scales = NULL;
  if (storage == SPK_STORAGE_S8) {
    scales = exact_memory((size_t)(rows + SLICE_FIRST) * sizeof *scales);
    for (ptrdiff_t i = 0; i < rows + SLICE_FIRST; i++) scales[i] = (float)random_number();
  }
  const matrix x = matrix_input(dtype, SLICE_WINDOWS * held, 1, 1, 1);
  const matrix plain = matrix_input(dtype, SLICE_PLAIN, 1, 1, 1);
  exact expected[SLICES * SPK_MAX_LANES] = {{0}};
  for (ptrdiff_t i = 0; i < rows; i++)
    ids[i] = (uint32_t)(in_order ? i + SLICE_FIRST : rows - 1 - i);
  for (ptrdiff_t i = 0; i < vectors * lanes * words; i++) /* bits of no code may be anything */
    permutes[i] = (uint32_t)random_below((ptrdiff_t)1 << 32);
  ptrdiff_t cell = 0, vector = 0, step = 0;
  for (int r = 0; r < SLICE_RUNS; r++)
    for (uint32_t c = 0; c < slice_runs[r].segments; c++, cell++) {
      const ptrdiff_t window = random_below(SLICE_WINDOWS), slice = random_below(SLICES);
      const ptrdiff_t by_blocks = slice_runs[r].shared == SPK_SELL_BLOCKS;
      const ptrdiff_t of = by_blocks ? 4 : 1, groups = by_blocks ? lanes / 4 : slice_runs[r].shared;
      cells[cell] = (spk_sell_segment){(uint16_t)window, (uint16_t)slice};
      for (uint32_t k = 0; groups && k < slice_runs[r].steps; k++, step++) {
        uint32_t *places = &permutes[vector * lanes * words + k / of * groups];
        for (ptrdiff_t g = 0; k % of == 0 && g < groups; g++)
          places[g] = (uint32_t)random_below(SLICE_PLAIN - of + 1);
        for (ptrdiff_t l = 0; l < lanes; l++) {
          const double value = put_stored(values, dtype, storage, step * lanes + l);
          exact_add(&expected[slice * lanes + l],
                    value * matrix_get(&plain, places[l * groups / lanes] + k % of, 0));
        }
      }
      for (uint32_t k = 0; !groups && k < slice_runs[r].steps; k++, step++)
        for (ptrdiff_t l = 0; l < lanes; l++) {
          /* What lies behind a window of one vector is zero. */
          const ptrdiff_t permute = random_below(kind == SPK_SELL_ONE ? lanes : 2 * lanes),
                          shift = k % (32 / bits) * bits;
          for (ptrdiff_t w = 0; w < words; w++) {
            uint32_t *code = &permutes[((vector + k / (32 / bits)) * lanes + l) * words + w];
            *code &= ~(((1u << bits) - 1) << shift);
            *code |= (uint32_t)(permute * words + w) << shift;
          }
          const double value = put_stored(values, dtype, storage, step * lanes + l);
          const double element = permute < held ? matrix_get(&x, window * held + permute, 0) : 0;
          exact_add(&expected[slice * lanes + l], value * element);
        }
      vector += spk_sell_permutes(&slice_runs[r], (int)bits, lanes, vector_bytes);
    }
  const matrix bias_row = random_bias(dtype, rows + SLICE_FIRST, 0),
               bias_col = random_bias(dtype, 1, 0);
  exact_memory_freeze();
  matrix C = random_output(dtype, rows + SLICE_FIRST, 1, c_layout);
  if (how->beta == 0) matrix_put(&C, 1, 0, NAN);
  const matrix sums = matrix_output(dtype, SLICES * lanes, 1, 1, 1), old = matrix_copy(&C);
  const spk_sell_task task = {.rows = rows,
                              .first = SLICE_FIRST,
                              .row_ids = in_order ? NULL : ids,
                              .runs = slice_runs,
                              .run_count = SLICE_RUNS,
                              .segments = cells,
                              .permutes = permutes,
                              .values = values,
                              .storage = storage,
                              .scales = scales,
                              .windows = kind,
                              .x = x.view.data,
                              .plain = plain.view.data,
                              .sums = sums.view.data,
                              .C = C.view.data,
                              .ldc = C.view.row_stride,
                              .epilogue = epilogue_of(how, &bias_row, &bias_col)};
  kernel(&task);
  for (ptrdiff_t i = 0; i < rows; i++) {
    exact sum = expected[i];
    if (scales) {
      sum.value *= scales[ids[i]];
      sum.magnitude *= fabs((double)scales[ids[i]]);
      sum.roundings++;
    }
    const exact e = exact_epilogue(sum, &task.epilogue, matrix_get(&old, ids[i], 0),
                                   matrix_get(&bias_row, ids[i], 0), matrix_get(&bias_col, 0, 0));
    CHECK(exact_matches(e, dtype, matrix_get(&C, ids[i], 0)), "row %u = %.17g, not %.17g", ids[i],
          matrix_get(&C, ids[i], 0), e.value);
  }
  CHECK(matrix_gaps_intact(&C));
  exact_memory_release();
}

void check_spmv_sell_windows(spk_sell_windows_fn kernel, spk_dtype dtype) {
  const ptrdiff_t held = 2 * lanes_of(dtype), width = held - 1;
  for (ptrdiff_t count = 0; count <= 3 * width + 1; count++)
    for (ptrdiff_t stride = 1; stride <= 3; stride++) {
      test_case("windows %s, %td elements, stride %td", dtype_names[dtype], count, stride);
      const ptrdiff_t rows = spk_ceil_div(count, width) * held;
      const matrix src = matrix_input(dtype, count, 1, stride, 1);
      exact_memory_freeze();
      const matrix windows = matrix_output(dtype, rows, 1, 1, 1);
      kernel(windows.view.data, src.view.data, stride, count);
      for (ptrdiff_t i = 0; i < rows; i++) {
        const ptrdiff_t at = i / held * width + i % held;
        const double expected = i % held < width && at < count ? matrix_get(&src, at, 0) : 0;
        CHECK(matrix_get(&windows, i, 0) == expected, "element %td", i);
      }
      exact_memory_release();
    }
}

void check_spmv_sell(spk_sell_fn kernel, spk_dtype dtype) {
  const int storages = dtype == SPK_F32 ? SPK_STORAGE_S8 : SPK_STORAGE_SAME;
  for (int storage = SPK_STORAGE_SAME; storage <= storages; storage++)
    for (int c = 0; c < EPILOGUE_CASES; c++)
      for (int in_order = 0; in_order < 2; in_order++) {
        const epilogue_case *how = &epilogue_cases[c];
        const spk_storage stored = (spk_storage)storage;
        check_sell(kernel, dtype, in_order, SPACED, how, SPK_SELL_TWO, stored);
        check_sell(kernel, dtype, in_order, COLUMN_MAJOR, how, SPK_SELL_TWO, stored);
        check_sell(kernel, dtype, in_order, SPACED, how, SPK_SELL_ONE, stored);
        check_sell(kernel, dtype, in_order, SPACED, how, SPK_SELL_ONE_PADDED, stored);
      }
}
