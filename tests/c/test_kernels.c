/* Every entry of the table of kernels in use against a plain loop in double.
 *
 * The table is walked through kernels.def: a kernel that is added there does not compile here until
 * it has a check_<field>.  SPKERNELS_ISA chooses the table.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/dispatch/dispatch.h"
#include "../../src/common/float16.h"
#include "../../src/plan/sell.h"
#include "epilogues.h"
#include "exact.h"
#include "kernels_int8.h"
#include "matrix.h"

static const spk_kernels *table;

static const char *const dtype_names[] = {"f32", "f64"};
static const char *const itype_names[] = {"i32", "i64"};

/* Rows of entries in one array with strays in between: their indices point nowhere and their values
 * are NaN, as no kernel may look at what lies outside begin .. end. */
typedef struct entries {
  ptrdiff_t rows, count;
  spk_dtype dtype;
  spk_itype itype;
  void *indices, *values, *begin, *end;
} entries;

enum { ROWS = 7, MAX_PER_ROW = 12, STRAY = 0x7ffffff0 };

/* Indices base .. base + width - 1, in any order and with repeats; `area` values per entry. */
static entries random_entries(spk_dtype dtype, spk_itype itype, ptrdiff_t width, ptrdiff_t base,
                              ptrdiff_t area) {
  ptrdiff_t starts[ROWS], stops[ROWS], count = 0;
  for (int i = 0; i < ROWS; i++) {
    starts[i] = count + random_below(3);
    /* One row with more than two rounds of any unrolled loop, one empty row. */
    stops[i] = starts[i] + (i == 0 ? 9 : i == 1 ? 0 : random_below(MAX_PER_ROW));
    count = stops[i];
  }
  const size_t size = spk_dtype_size(dtype), isize = spk_itype_size(itype);
  entries e = {.rows = ROWS, .count = count, .dtype = dtype, .itype = itype};
  e.indices = exact_memory((size_t)count * isize);
  e.values = exact_memory((size_t)(count * area) * size);
  e.begin = exact_memory(ROWS * isize);
  e.end = exact_memory(ROWS * isize);
  for (ptrdiff_t p = 0; p < count; p++) put_index(e.indices, itype, p, STRAY);
  for (ptrdiff_t p = 0; p < count * area; p++) put_value(e.values, dtype, p, NAN);
  for (int i = 0; i < ROWS; i++) {
    put_index(e.begin, itype, i, starts[i]);
    put_index(e.end, itype, i, stops[i]);
    for (ptrdiff_t p = starts[i]; p < stops[i]; p++) {
      put_index(e.indices, itype, p, base + random_below(width));
      for (ptrdiff_t q = p * area; q < (p + 1) * area; q++)
        put_value(e.values, dtype, q, random_number());
    }
  }
  return e;
}

static ptrdiff_t begin_of(const entries *e, ptrdiff_t i) {
  return spk_index(e->begin, e->itype, i);
}
static ptrdiff_t end_of(const entries *e, ptrdiff_t i) { return spk_index(e->end, e->itype, i); }
static ptrdiff_t index_of(const entries *e, ptrdiff_t p) {
  return spk_index(e->indices, e->itype, p);
}
static double value_of(const entries *e, ptrdiff_t p) { return get_value(e->values, e->dtype, p); }

static matrix random_input(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how) {
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, random_below(4), &row_stride, &col_stride);
  return matrix_input(dtype, rows, cols, row_stride, col_stride);
}

static matrix random_output(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how) {
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, random_below(4), &row_stride, &col_stride);
  return matrix_output(dtype, rows, cols, row_stride, col_stride);
}

/* Tiles are row-major, in either direction. */
static layout tile_layout(void) { return random_below(2) ? ROW_MAJOR : UPSIDE_DOWN; }

static matrix random_bias(spk_dtype dtype, ptrdiff_t count, int special) {
  matrix bias = matrix_input(dtype, count, 1, 1, 1);
  const double specials[] = {NAN, INFINITY, -INFINITY};
  for (ptrdiff_t i = 0; special && i < spk_min(count, 3); i++) matrix_put(&bias, i, 0, specials[i]);
  return bias;
}

static spk_epilogue epilogue_of(const epilogue_case *c, const matrix *bias_row,
                                const matrix *bias_col) {
  return (spk_epilogue){c->alpha, c->beta, c->bias_row ? bias_row->memory : NULL,
                        c->bias_col ? bias_col->memory : NULL, c->activation};
}

/* --- gathers: CSR and BSR --- */

typedef struct gather {
  const char *field;
  spk_spmm_fn kernel;
  spk_dtype dtype;
  spk_itype itype;
  ptrdiff_t n, block_rows, block_cols;
  layout b_layout, c_layout;
} gather;

static void check_gather(const gather *g, const epilogue_case *how) {
  const ptrdiff_t R = g->block_rows, W = g->block_cols, n = g->n, width = 6, first = 5;
  test_case("%s %s %s, n = %td, blocks %td x %td, layouts %d %d, %s", g->field,
            dtype_names[g->dtype], itype_names[g->itype], n, R, W, g->b_layout, g->c_layout,
            how->name);
  const entries a = random_entries(g->dtype, g->itype, width, first, R * W);
  const matrix B = random_input(g->dtype, width * W, n, g->b_layout);
  const matrix bias_row = random_bias(g->dtype, ROWS * R, 0);
  const matrix bias_col = random_bias(g->dtype, n, how->special);
  exact_memory_freeze();
  matrix C = random_output(g->dtype, ROWS * R, n, g->c_layout);
  if (how->beta == 0) matrix_put(&C, 0, 0, NAN);
  const matrix old = matrix_copy(&C);
  const spk_spmm_task task = {.indices = a.indices,
                              .values = a.values,
                              .begin = a.begin,
                              .end = a.end,
                              .B = B.view.data,
                              .C = C.view.data,
                              .ldb = B.view.row_stride,
                              .ldc = C.view.row_stride,
                              .base = first * W,
                              .rows = ROWS,
                              .n = n,
                              .block_rows = R,
                              .block_cols = W,
                              .col_strideb = B.view.col_stride,
                              .col_stridec = C.view.col_stride,
                              .epilogue = epilogue_of(how, &bias_row, &bias_col)};
  g->kernel(&task);
  for (ptrdiff_t i = 0; i < ROWS * R; i++)
    for (ptrdiff_t j = 0; j < n; j++) {
      exact e = {0};
      for (ptrdiff_t p = begin_of(&a, i / R); p < end_of(&a, i / R); p++)
        for (ptrdiff_t c = 0; c < W; c++)
          exact_add(&e, value_of(&a, (p * R + i % R) * W + c) *
                            matrix_get(&B, (index_of(&a, p) - first) * W + c, j));
      e = exact_epilogue(e, &task.epilogue, matrix_get(&old, i, j), matrix_get(&bias_row, i, 0),
                         matrix_get(&bias_col, j, 0));
      CHECK(exact_matches(e, g->dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
            j, matrix_get(&C, i, j), e.value);
    }
  CHECK(matrix_gaps_intact(&C));
  exact_memory_release();
}

static void check_epilogues(const gather *g) {
  for (int c = 0; c < EPILOGUE_CASES; c++) check_gather(g, &epilogue_cases[c]);
}

/* --- float16 and bfloat16 --- */

/* What 16 bits with so many bits of exponent mean. */
static double half_value(uint32_t h, int exponent_bits) {
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
      const double expected = half_value(from[i], exponent_bits);
      CHECK(isnan(expected) ? isnan(to[i])
                            : to[i] == expected && !signbit(to[i]) == !signbit(expected),
            "%#x is %.9g, not %.9g", from[i], (double)to[i], expected);
    }
    exact_memory_release();
  }
}

static void check_expand_f16(spk_expand_fn kernel) { check_expand(kernel, 5); }
static void check_expand_bf16(spk_expand_fn kernel) { check_expand(kernel, 8); }

/* To the nearest, ties to even, of both signs. */
static void check_rounding(uint16_t (*round_to)(float), int exponent_bits) {
  test_case("round to values with %d bits of exponent", exponent_bits);
  const uint32_t infinite = ((1u << exponent_bits) - 1) << (15 - exponent_bits);
  for (uint32_t h = 0; h < infinite; h++) {
    const double low = half_value(h, exponent_bits);
    /* Where the next one would be, if there is none. */
    const double high = h + 1 < infinite ? half_value(h + 1, exponent_bits)
                                         : 2 * low - half_value(h - 1, exponent_bits);
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
  CHECK(isnan(half_value(round_to(NAN), exponent_bits)));
}

static uint16_t to_f16(float x) { return spk_to_f16(x); }
static uint16_t to_bf16(float x) { return spk_to_bf16(x); }

/* --- slices --- */

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

/* One row panel of three slices; the last has two lanes without a row. */
static void check_sell(spk_sell_fn kernel, spk_dtype dtype, int in_order, layout c_layout,
                       const epilogue_case *how) {
  const ptrdiff_t lanes = table->lanes[dtype], rows = SLICES * lanes - 2,
                  bits = table->permute_bits;
  const ptrdiff_t words = (ptrdiff_t)(spk_dtype_size(dtype) / sizeof(uint32_t));
  const size_t vector_bytes = (size_t)lanes * spk_dtype_size(dtype);
  test_case("spmv_sell %s, %s, layout %d, %s", dtype_names[dtype], in_order ? "in order" : "sorted",
            c_layout, how->name);
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
  void *values = exact_memory((size_t)(steps * lanes) * spk_dtype_size(dtype));
  const matrix x = matrix_input(dtype, SLICE_WINDOWS * 2 * lanes, 1, 1, 1);
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
          put_value(values, dtype, step * lanes + l, random_number());
          exact_add(&expected[slice * lanes + l],
                    get_value(values, dtype, step * lanes + l) *
                        matrix_get(&plain, places[l * groups / lanes] + k % of, 0));
        }
      }
      for (uint32_t k = 0; !groups && k < slice_runs[r].steps; k++, step++)
        for (ptrdiff_t l = 0; l < lanes; l++) {
          const ptrdiff_t permute = random_below(2 * lanes), shift = k % (32 / bits) * bits;
          for (ptrdiff_t w = 0; w < words; w++) {
            uint32_t *code = &permutes[((vector + k / (32 / bits)) * lanes + l) * words + w];
            *code &= ~(((1u << bits) - 1) << shift);
            *code |= (uint32_t)(permute * words + w) << shift;
          }
          put_value(values, dtype, step * lanes + l, random_number());
          exact_add(&expected[slice * lanes + l],
                    get_value(values, dtype, step * lanes + l) *
                        matrix_get(&x, window * 2 * lanes + permute, 0));
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
                              .x = x.view.data,
                              .plain = plain.view.data,
                              .sums = sums.view.data,
                              .C = C.view.data,
                              .ldc = C.view.row_stride,
                              .epilogue = epilogue_of(how, &bias_row, &bias_col)};
  kernel(&task);
  for (ptrdiff_t i = 0; i < rows; i++) {
    const exact e = exact_epilogue(expected[i], &task.epilogue, matrix_get(&old, ids[i], 0),
                                   matrix_get(&bias_row, ids[i], 0), matrix_get(&bias_col, 0, 0));
    CHECK(exact_matches(e, dtype, matrix_get(&C, ids[i], 0)), "row %u = %.17g, not %.17g", ids[i],
          matrix_get(&C, ids[i], 0), e.value);
  }
  CHECK(matrix_gaps_intact(&C));
  exact_memory_release();
}

static void check_spmv_sell_windows(spk_sell_windows_fn kernel, spk_dtype dtype) {
  const ptrdiff_t held = 2 * table->lanes[dtype], width = held - 1;
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

static void check_spmv_sell(spk_sell_fn kernel, spk_dtype dtype) {
  for (int c = 0; c < EPILOGUE_CASES; c++)
    for (int in_order = 0; in_order < 2; in_order++) {
      check_sell(kernel, dtype, in_order, SPACED, &epilogue_cases[c]);
      check_sell(kernel, dtype, in_order, COLUMN_MAJOR, &epilogue_cases[c]);
    }
}

/* Every number of columns that a tile of `vectors` vectors may have. */
#define FOR_TILE(n, dtype, vectors)                             \
  for (ptrdiff_t n = ((vectors) - 1) * table->lanes[dtype] + 1; \
       n <= (vectors) * table->lanes[dtype]; n++)

static void check_spmm_csr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors) {
    const gather g = {"spmm_csr", kernel, dtype, itype, n, 1, 1, tile_layout(), tile_layout()};
    check_epilogues(&g);
  }
}

static void check_spmv_csr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (int how = 0; how < INPUT_LAYOUTS; how++) {
    const gather g = {"spmv_csr", kernel, dtype, itype, 1, 1, 1, how, how % OUTPUT_LAYOUTS};
    check_epilogues(&g);
  }
}

static void check_strided(const char *field, spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype,
                          ptrdiff_t R, ptrdiff_t W) {
  for (ptrdiff_t n = 1; n <= 9; n++)
    for (int b = 0; b < INPUT_LAYOUTS; b++) {
      const gather g = {field, kernel, dtype, itype, n, R, W, b, random_below(OUTPUT_LAYOUTS)};
      check_epilogues(&g);
    }
}

static void check_spmm_csr_strided(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_strided("spmm_csr_strided", kernel, dtype, itype, 1, 1);
}

static const ptrdiff_t block_shapes[][2] = {{1, 1}, {2, 2},  {3, 1}, {4, 4},
                                            {7, 3}, {16, 1}, {1, 5}};
enum { BLOCK_SHAPES = sizeof block_shapes / sizeof *block_shapes };

static void check_spmm_bsr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors) {
    const ptrdiff_t *shape = block_shapes[n % BLOCK_SHAPES];
    const gather g = {"spmm_bsr", kernel,   dtype,         itype,        n,
                      shape[0],   shape[1], tile_layout(), tile_layout()};
    check_epilogues(&g);
  }
}

static void check_spmm_bsr_strided(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (int s = 0; s < BLOCK_SHAPES; s += 2)
    check_strided("spmm_bsr_strided", kernel, dtype, itype, block_shapes[s][0], block_shapes[s][1]);
}

/* --- row panels --- */

/* Runs, whose rows may be in any order. */
typedef struct row_panel_case {
  const char *name;
  const spk_row_panel_run *runs;
  int count;
  ptrdiff_t common; /* rows that have an offset between them */
  ptrdiff_t group, width;
} row_panel_case;

static const uint16_t row_panel_ids[] = {4,  0,  8,  3,  5,  1,  2,  7,  6,  19, 9,  24, 10,
                                         11, 21, 12, 13, 20, 14, 15, 23, 16, 17, 22, 18, 30,
                                         25, 29, 26, 28, 27, 31, 35, 33, 34, 32, 36, 38, 37};
enum { ROW_PANEL_HEIGHT = 39, ROW_PANEL_BLOCK = 13 };

/* Rows of the next group, of `left` ones of a run: what is left in the end goes alone, or, where
 * offsets are common, by as many as there can be. */
static ptrdiff_t row_panel_group(const row_panel_case *row_panel, ptrdiff_t left) {
  ptrdiff_t group = row_panel->group;
  if (row_panel->common == 1) return left < group ? 1 : group;
  while (group > left) group /= 2;
  return group;
}

/* `sums`: 0: to C; 1: to sums that hold nothing yet; 2: added to sums; 3: added to sums, to C. */
static void check_row_panel(spk_row_panel_fn kernel, spk_dtype dtype,
                            const row_panel_case *row_panel, ptrdiff_t n, int sums_mode,
                            const epilogue_case *how) {
  const ptrdiff_t width = row_panel->width;
  test_case("%s %s, n = %td, mode %d, %s", row_panel->name, dtype_names[dtype], n, sums_mode,
            how->name);
  const size_t size = spk_dtype_size(dtype);
  const matrix panel = matrix_input(dtype, ROW_PANEL_BLOCK, width, width, 1);
  void *zeros = exact_memory((size_t)width * size);
  memset(zeros, 0, (size_t)width * size);
  ptrdiff_t entries = 0;
  for (int r = 0; r < row_panel->count; r++)
    entries += (ptrdiff_t)row_panel->runs[r].entries * row_panel->runs[r].rows;
  uint16_t *offsets = exact_memory((size_t)(entries / row_panel->common) * sizeof *offsets);
  void *values = exact_memory((size_t)entries * size);
  for (ptrdiff_t p = 0; p < entries; p++) put_value(values, dtype, p, random_number());
  for (ptrdiff_t o = 0; o < entries / row_panel->common; o++)
    offsets[o] = (uint16_t)random_below(ROW_PANEL_BLOCK + (row_panel->common > 1));
  ptrdiff_t start = 0;
  for (int r = 0; r < row_panel->count; r++) {
    const ptrdiff_t share = row_panel->runs[r].shared / row_panel->common;
    const ptrdiff_t here =
        (ptrdiff_t)row_panel->runs[r].entries * row_panel->runs[r].rows / row_panel->common;
    for (ptrdiff_t o = 0; share > 1 && o < here; o++)
      offsets[start + o] = offsets[start + o - o % share];
    start += here;
  }
  const matrix bias_row = random_bias(dtype, ROW_PANEL_HEIGHT, 0);
  const matrix bias_col = random_bias(dtype, n, how->special);
  exact_memory_freeze();
  const matrix sums = matrix_output(dtype, ROW_PANEL_HEIGHT, width, width, 1);
  matrix C = random_output(dtype, ROW_PANEL_HEIGHT, n, tile_layout());
  if (how->beta == 0) matrix_put(&C, 0, 0, NAN);
  const int to_C = sums_mode == 0 || sums_mode == 3;
  const matrix before = matrix_copy(&sums), old = matrix_copy(&C);
  const spk_row_panel_task task = {.runs = row_panel->runs,
                                   .run_count = row_panel->count,
                                   .row_ids = row_panel_ids,
                                   .offsets = offsets,
                                   .values = values,
                                   .panel = panel.view.data,
                                   .zeros = zeros,
                                   .padding = ROW_PANEL_BLOCK,
                                   .sums = sums_mode ? sums.view.data : NULL,
                                   .first = sums_mode == 1,
                                   .C = to_C ? C.view.data : NULL,
                                   .ldc = C.view.row_stride,
                                   .n = n,
                                   .epilogue = epilogue_of(how, &bias_row, &bias_col)};
  kernel(&task);
  ptrdiff_t row = 0, entry = 0;
  for (int r = 0; r < row_panel->count; r++) {
    const ptrdiff_t rows = row_panel->runs[r].rows, length = row_panel->runs[r].entries;
    for (ptrdiff_t q = 0, group; q < rows; q += group, entry += group * length) {
      group = row_panel_group(row_panel, rows - q);
      for (ptrdiff_t g = 0; g < group; g++, row++)
        for (ptrdiff_t j = 0; j < (to_C ? n : width); j++) {
          const ptrdiff_t i = row_panel_ids[row];
          exact e = {0};
          for (ptrdiff_t p = 0; p < length; p++) {
            const ptrdiff_t at = entry + p * group + g;
            const uint16_t k = offsets[at / row_panel->common];
            if (k < ROW_PANEL_BLOCK)
              exact_add(&e, get_value(values, dtype, at) * matrix_get(&panel, k, j));
          }
          if (sums_mode >= 2) exact_add(&e, matrix_get(&before, i, j));
          if (to_C)
            e = exact_epilogue(e, &task.epilogue, matrix_get(&old, i, j),
                               matrix_get(&bias_row, i, 0), matrix_get(&bias_col, j, 0));
          const double got = matrix_get(to_C ? &C : &sums, i, j);
          CHECK(exact_matches(e, dtype, got), "[%td, %td] = %.17g, not %.17g", i, j, got, e.value);
        }
    }
  }
  CHECK(matrix_gaps_intact(&C));
  exact_memory_release();
}

/* Runs of whole groups, of less and of both, of no, one and several entries, one of rows that share
 * their offsets by so many. */
static void check_row_panels(spk_row_panel_fn kernel, spk_dtype dtype, ptrdiff_t group,
                             int vectors) {
  const ptrdiff_t lanes = table->lanes[dtype];
  char name[64];
  for (ptrdiff_t n = (vectors - 1) * lanes + 1; n <= vectors * lanes; n++)
    for (uint32_t share = 2; share <= group; share *= 2) {
      const spk_row_panel_run runs[] = {{6, 11, 0}, {1, 2, 0}, {2, 1, 0}, {5, 8, share}, {0, 3, 0}};
      snprintf(name, sizeof name, "spmm_row_panels_%td, %u share", group, share);
      const row_panel_case row_panel = {name, runs, 5, 1, group, vectors * lanes};
      for (int mode = 0; mode <= 3; mode++)
        check_row_panel(kernel, dtype, &row_panel, n, mode, &epilogue_cases[0]);
      for (int c = 0; c < EPILOGUE_CASES && share == group; c++)
        for (int mode = 0; mode <= 3; mode += 3)
          check_row_panel(kernel, dtype, &row_panel, n, mode, &epilogue_cases[c]);
    }
}
static void check_spmm_row_panels_2(spk_row_panel_fn kernel, spk_dtype dtype, int vectors) {
  check_row_panels(kernel, dtype, 2, vectors);
}

static void check_spmm_row_panels_4(spk_row_panel_fn kernel, spk_dtype dtype, int vectors) {
  check_row_panels(kernel, dtype, 4, vectors);
}

static void check_spmm_row_panels_8(spk_row_panel_fn kernel, spk_dtype dtype, int vectors) {
  check_row_panels(kernel, dtype, 8, vectors);
}

static void check_paired_rows(spk_row_panel_fn kernel, spk_dtype dtype, ptrdiff_t width) {
  /* By 16 that share by so many, 8 and 4. */
  static const spk_row_panel_run by_16[] = {{5, 16, 16}, {1, 12, 4}, {2, 4, 4}};
  static const spk_row_panel_run by_8[] = {{3, 16, 8}, {6, 8, 4}, {0, 4, 4}};
  static const spk_row_panel_run by_4[] = {{4, 28, 4}, {7, 4, 4}};
  const row_panel_case cases[] = {
      {"spmm_paired_rows, 16 share", by_16, 3, SPK_PAIRED_SHARE, SPK_PAIRED_GROUP, width},
      {"spmm_paired_rows, 8 share", by_8, 3, SPK_PAIRED_SHARE, SPK_PAIRED_GROUP, width},
      {"spmm_paired_rows, 4 share", by_4, 2, SPK_PAIRED_SHARE, SPK_PAIRED_GROUP, width}};
  for (int k = 0; k < 3; k++)
    for (ptrdiff_t n = 1; n <= width; n++) {
      for (int mode = 0; mode <= 3; mode++)
        check_row_panel(kernel, dtype, &cases[k], n, mode, &epilogue_cases[0]);
      for (int c = 0; c < EPILOGUE_CASES; c++)
        for (int mode = 0; mode <= 3; mode += 3)
          check_row_panel(kernel, dtype, &cases[k], n, mode, &epilogue_cases[c]);
    }
}

static void check_spmm_paired_rows_half(spk_row_panel_fn kernel, spk_dtype dtype) {
  check_paired_rows(kernel, dtype, table->lanes[dtype] / 2);
}

static void check_spmm_paired_rows_whole(spk_row_panel_fn kernel, spk_dtype dtype) {
  check_paired_rows(kernel, dtype, table->lanes[dtype]);
}

/* --- scatters: CSC and COO --- */

typedef struct scatter {
  const char *field;
  spk_spmm_fn kernel;
  spk_dtype dtype;
  spk_itype itype;
  ptrdiff_t n;
  layout b_layout, c_layout;
  int coo;
} scatter;

/* The task owns rows 3 .. 8 of the 12 that entries name. */
enum { ROW_LOW = 3, ROW_HIGH = 9, C_ROWS = 12, STRAYS = 2 };

static void check_scatter(const scatter *s) {
  test_case("%s %s %s, n = %td, layouts %d %d", s->field, dtype_names[s->dtype],
            itype_names[s->itype], s->n, s->b_layout, s->c_layout);
  const size_t isize = spk_itype_size(s->itype);
  entries a = random_entries(s->dtype, s->itype, C_ROWS, 0, 1);
  const matrix B = random_input(s->dtype, ROWS, s->n, s->b_layout);
  void *rows_coo = NULL;
  if (s->coo) {
    /* Indices are columns then; all strays lie before the first entry and after the last one. */
    rows_coo = exact_memory((size_t)a.count * isize);
    for (ptrdiff_t p = 0; p < a.count; p++) {
      const int stray = p < STRAYS || p >= a.count - STRAYS;
      put_index(rows_coo, s->itype, p, stray ? ROW_LOW : random_below(C_ROWS));
      put_index(a.indices, s->itype, p, stray ? STRAY : random_below(ROWS));
      put_value(a.values, s->dtype, p, stray ? NAN : random_number());
    }
    put_index(a.begin, s->itype, 0, STRAYS);
    put_index(a.end, s->itype, 0, a.count - STRAYS);
    a.rows = 1;
  }
  exact_memory_freeze();
  const ptrdiff_t owned = ROW_HIGH - ROW_LOW;
  matrix C = random_output(s->dtype, owned, s->n, s->c_layout);
  const matrix old = matrix_copy(&C);
  const spk_spmm_task task = {.indices = a.indices,
                              .values = a.values,
                              .begin = a.begin,
                              .end = a.end,
                              .rows_coo = rows_coo,
                              .B = B.view.data,
                              .C = C.view.data,
                              .ldb = B.view.row_stride,
                              .ldc = C.view.row_stride,
                              .rows = a.rows,
                              .n = s->n,
                              .col_strideb = B.view.col_stride,
                              .col_stridec = C.view.col_stride,
                              .row_low = ROW_LOW,
                              .row_high = ROW_HIGH};
  s->kernel(&task);
  for (ptrdiff_t i = 0; i < owned; i++)
    for (ptrdiff_t j = 0; j < s->n; j++) {
      exact e = {0};
      for (ptrdiff_t k = 0; k < a.rows; k++)
        for (ptrdiff_t p = begin_of(&a, k); p < end_of(&a, k); p++) {
          const ptrdiff_t row = s->coo ? spk_index(rows_coo, s->itype, p) : index_of(&a, p);
          const ptrdiff_t col = s->coo ? index_of(&a, p) : k;
          if (row == ROW_LOW + i) exact_add(&e, value_of(&a, p) * matrix_get(&B, col, j));
        }
      exact_add(&e, matrix_get(&old, i, j)); /* the kernel adds to what C holds */
      CHECK(exact_matches(e, s->dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
            j, matrix_get(&C, i, j), e.value);
    }
  CHECK(matrix_gaps_intact(&C));
  exact_memory_release();
}

static void check_spmm_csc(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors)
  for (int repeat = 0; repeat < 3; repeat++) {
    const scatter s = {"spmm_csc", kernel, dtype, itype, n, tile_layout(), tile_layout(), 0};
    check_scatter(&s);
  }
}

static void check_scatter_layouts(const char *field, spk_spmm_fn kernel, spk_dtype dtype,
                                  spk_itype itype, int coo) {
  for (ptrdiff_t n = 1; n <= 2 * table->lanes[dtype] + 1; n++)
    for (int b = 0; b < INPUT_LAYOUTS; b++)
      for (int c = 0; c < OUTPUT_LAYOUTS; c++) {
        const scatter s = {field, kernel, dtype, itype, n, b, c, coo};
        check_scatter(&s);
      }
}

static void check_spmm_csc_strided(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_scatter_layouts("spmm_csc_strided", kernel, dtype, itype, 0);
}

static void check_spmm_coo(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_scatter_layouts("spmm_coo", kernel, dtype, itype, 1);
}

/* --- partial sums: CSR, CSC and COO --- */

/* Rows one after the other, as kernels of vectors want them: what was between them belongs to the
 * one before. */
static void join_rows(entries *a, ptrdiff_t width) {
  put_index(a->begin, a->itype, 0, 0);
  for (ptrdiff_t i = 0; i < a->rows; i++)
    put_index(a->end, a->itype, i, i + 1 < a->rows ? begin_of(a, i + 1) : a->count);
  for (ptrdiff_t p = 0; p < a->count; p++)
    if (index_of(a, p) == STRAY) {
      put_index(a->indices, a->itype, p, random_below(width));
      put_value(a->values, a->dtype, p, random_number());
    }
}

/* Rows of the sums: all that entries name; one of them is out of bounds where `wrong`. */
static void check_partial(const char *field, spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype,
                          ptrdiff_t n, spk_format format, int wrong, int sorted, int loop) {
  test_case("%s %s %s, n = %td, wrong %d, sorted %d, loop %d", field, dtype_names[dtype],
            itype_names[itype], n, wrong, sorted, loop);
  const size_t isize = spk_itype_size(itype), size = spk_dtype_size(dtype);
  const ptrdiff_t lanes = table->lanes[dtype], ld = n == 1 ? 1 : spk_round_up(n, lanes);
  const ptrdiff_t bound = format == SPK_CSR ? ROWS : C_ROWS;
  const ptrdiff_t sum_rows = format == SPK_CSR ? ROWS : C_ROWS;
  entries a = random_entries(dtype, itype, bound, 0, 1);
  if (n == 1 && format != SPK_COO) join_rows(&a, bound);
  const matrix B = random_input(dtype, ROWS, n, tile_layout());
  void *rows_coo = NULL;
  ptrdiff_t first = 0, last = a.count;
  if (format == SPK_COO) {
    rows_coo = exact_memory((size_t)a.count * isize);
    first = STRAYS, last = a.count - STRAYS;
    for (ptrdiff_t p = 0; p < a.count; p++) {
      const int stray = p < first || p >= last;
      const ptrdiff_t row = sorted ? (p - first) * C_ROWS / a.count : random_below(C_ROWS);
      put_index(rows_coo, itype, p, stray ? STRAY : row);
      put_index(a.indices, itype, p, stray ? STRAY : random_below(ROWS));
      put_value(a.values, dtype, p, stray ? NAN : random_number());
    }
  }
  const ptrdiff_t outer = format == SPK_COO ? 1 : a.rows;
  int found = 0;
  for (ptrdiff_t k = 0; wrong && k < outer && !found; k++) {
    const ptrdiff_t p = format == SPK_COO ? last - 1 : begin_of(&a, k);
    if (format != SPK_COO && p == end_of(&a, k)) continue;
    const ptrdiff_t beyond = wrong == 1 ? -1 : bound;
    if (format == SPK_COO && wrong == 3)
      put_index(rows_coo, itype, p, C_ROWS);
    else
      put_index(a.indices, itype, p, format == SPK_COO ? (wrong == 1 ? -1 : ROWS) : beyond);
    found = 1;
  }
  exact_memory_freeze();
  matrix C = matrix_output(dtype, sum_rows, ld, ld, 1);
  for (ptrdiff_t i = 0; i < sum_rows; i++)
    for (ptrdiff_t j = 0; j < ld; j++) matrix_put(&C, i, j, 0);
  int outside = 0;
  const spk_spmm_task task = {.indices = spk_at(a.indices, format == SPK_COO ? first : 0, isize),
                              .values = spk_at(a.values, format == SPK_COO ? first : 0, size),
                              .begin = a.begin,
                              .end = a.end,
                              .rows_coo = rows_coo ? spk_at(rows_coo, first, isize) : NULL,
                              .B = B.view.data,
                              .C = C.view.data,
                              .ldb = B.view.row_stride,
                              .rows = format == SPK_COO ? last - first : a.rows,
                              .n = n,
                              .bound = (uint64_t)bound,
                              .col_bound = ROWS,
                              .outside = &outside,
                              .by_blocks = loop == 1,
                              .several = loop == 2,
                              .streams = loop == 2};
  kernel(&task);
  CHECK(outside == found, "outside is %d", outside);
  for (ptrdiff_t i = 0; i < sum_rows && !found; i++)
    for (ptrdiff_t j = 0; j < n; j++) {
      exact e = {0};
      for (ptrdiff_t k = 0; k < outer; k++) {
        const ptrdiff_t from = format == SPK_COO ? first : begin_of(&a, k);
        const ptrdiff_t to = format == SPK_COO ? last : end_of(&a, k);
        for (ptrdiff_t p = from; p < to; p++) {
          const ptrdiff_t index = index_of(&a, p);
          const ptrdiff_t row = format == SPK_CSR   ? k
                                : format == SPK_CSC ? index
                                                    : spk_index(rows_coo, itype, p);
          const ptrdiff_t col = format == SPK_CSC ? k : index;
          if (row == i) exact_add(&e, value_of(&a, p) * matrix_get(&B, col, j));
        }
      }
      CHECK(exact_matches(e, dtype, matrix_get(&C, i, j)), "sums[%td, %td] = %.17g, not %.17g", i,
            j, matrix_get(&C, i, j), e.value);
    }
  exact_memory_release();
}

static void check_partial_cases(const char *field, spk_spmm_fn kernel, spk_dtype dtype,
                                spk_itype itype, ptrdiff_t n, spk_format format) {
  for (int wrong = 0; wrong < (format == SPK_COO ? 4 : 3); wrong++)
    for (int sorted = 0; sorted < (format == SPK_COO ? 2 : 1); sorted++)
      for (int repeat = 0; repeat < 3; repeat++)
        for (int loop = 0; loop < (n == 1 ? 3 : 1); loop++)
          check_partial(field, kernel, dtype, itype, n, format, wrong, sorted, loop);
}

static void check_spmm_partial_csc(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype,
                                   int vectors) {
  FOR_TILE(n, dtype, vectors)
  if (n > 1) check_partial_cases("spmm_partial_csc", kernel, dtype, itype, n, SPK_CSC);
}

static void check_spmm_partial_coo(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype,
                                   int vectors) {
  FOR_TILE(n, dtype, vectors)
  if (n > 1) check_partial_cases("spmm_partial_coo", kernel, dtype, itype, n, SPK_COO);
}

static void check_spmv_partial_csr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_partial_cases("spmv_partial_csr", kernel, dtype, itype, 1, SPK_CSR);
}

static void check_spmv_partial_csc(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_partial_cases("spmv_partial_csc", kernel, dtype, itype, 1, SPK_CSC);
}

static void check_spmv_partial_coo(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_partial_cases("spmv_partial_coo", kernel, dtype, itype, 1, SPK_COO);
}

static void check_partial_add(spk_partial_add_fn kernel, spk_dtype dtype) {
  const ptrdiff_t count = 3 * SPK_MAX_LANES, stride = count + SPK_MAX_LANES;
  for (ptrdiff_t parts = 1; parts <= 5; parts++) {
    test_case("partial_add %s, %td parts", dtype_names[dtype], parts);
    const matrix sums = random_output(dtype, parts, stride, 0);
    const matrix old = matrix_copy(&sums);
    kernel(sums.view.data, sums.view.row_stride, parts, count);
    for (ptrdiff_t j = 0; j < stride; j++) {
      double sum = matrix_get(&old, 0, j);
      for (ptrdiff_t part = 1; part < parts && j < count; part++)
        sum = dtype == SPK_F32 ? (double)((float)sum + (float)matrix_get(&old, part, j))
                               : sum + matrix_get(&old, part, j);
      CHECK(matrix_get(&sums, 0, j) == sum, "sums[%td]", j);
    }
    exact_memory_release();
  }
}

static void check_tile_scale(spk_tile_fn kernel, spk_dtype dtype) {
  const double betas[] = {0, 1, -0.75};
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int b = 0; b < 3; b++) {
      test_case("tile_scale %s, layout %d, beta = %g", dtype_names[dtype], how, betas[b]);
      matrix C = random_output(dtype, 5, 19, how);
      if (betas[b] == 0) matrix_put(&C, 4, 18, NAN);
      const matrix old = matrix_copy(&C);
      /* Biases and activation are for tile_finish: here they change nothing. */
      const spk_epilogue e = {2, betas[b], old.memory, old.memory, SPK_TANH};
      kernel(C.view.data, C.view.row_stride, C.view.col_stride, 5, 19, &e);
      for (ptrdiff_t i = 0; i < 5; i++)
        for (ptrdiff_t j = 0; j < 19; j++) {
          exact x = {0};
          exact_add(&x, betas[b] == 0 ? 0 : betas[b] * matrix_get(&old, i, j));
          CHECK(exact_matches(x, dtype, matrix_get(&C, i, j)), "C[%td, %td]", i, j);
        }
      CHECK(matrix_gaps_intact(&C));
      exact_memory_release();
    }
  for (int how = 0; how < OUTPUT_LAYOUTS; how++) {
    test_case("tile_scale %s, layout %d, alpha = inf", dtype_names[dtype], how);
    const matrix C = random_output(dtype, 5, 19, how);
    const spk_epilogue e = {.alpha = INFINITY, .beta = how % 2};
    kernel(C.view.data, C.view.row_stride, C.view.col_stride, 5, 19, &e);
    for (ptrdiff_t i = 0; i < 5; i++)
      for (ptrdiff_t j = 0; j < 19; j++) CHECK(isnan(matrix_get(&C, i, j)), "C[%td, %td]", i, j);
    CHECK(matrix_gaps_intact(&C));
    exact_memory_release();
  }
}

static void check_tile_finish(spk_tile_fn kernel, spk_dtype dtype) {
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int c = 0; c < EPILOGUE_CASES; c++) {
      const epilogue_case *given = &epilogue_cases[c];
      test_case("tile_finish %s, layout %d, %s", dtype_names[dtype], how, given->name);
      const matrix bias_row = random_bias(dtype, 5, 0);
      const matrix bias_col = random_bias(dtype, 19, given->special);
      exact_memory_freeze();
      matrix C = random_output(dtype, 5, 19, how);
      const matrix old = matrix_copy(&C);
      const spk_epilogue e = epilogue_of(given, &bias_row, &bias_col);
      kernel(C.view.data, C.view.row_stride, C.view.col_stride, 5, 19, &e);
      spk_epilogue rest = e; /* C holds sums: there is nothing for beta */
      rest.beta = 0;
      for (ptrdiff_t i = 0; i < 5; i++)
        for (ptrdiff_t j = 0; j < 19; j++) {
          exact x = {0};
          exact_add(&x, matrix_get(&old, i, j));
          x = exact_epilogue(x, &rest, 0, matrix_get(&bias_row, i, 0), matrix_get(&bias_col, j, 0));
          CHECK(exact_matches(x, dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
                j, matrix_get(&C, i, j), x.value);
        }
      CHECK(matrix_gaps_intact(&C));
      exact_memory_release();
    }
}

/* --- activations over the whole range --- */

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

static void check_activations(spk_store_fn kernel, spk_dtype dtype) {
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

/* An element has the same bits wherever it lies, in all layouts and next to any others. */
static void check_places(spk_store_fn kernel, spk_dtype dtype) {
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

static void check_tile_store(spk_store_fn kernel, spk_dtype dtype) {
  check_activations(kernel, dtype);
  check_places(kernel, dtype);
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int c = 0; c < EPILOGUE_CASES; c++) {
      const epilogue_case *given = &epilogue_cases[c];
      test_case("tile_store %s, layout %d, %s", dtype_names[dtype], how, given->name);
      const matrix bias_row = random_bias(dtype, 5, 0);
      const matrix bias_col = random_bias(dtype, 19, given->special);
      const matrix sums = random_input(dtype, 5, 19, ROW_MAJOR);
      exact_memory_freeze();
      matrix C = random_output(dtype, 5, 19, how);
      if (given->beta == 0) matrix_put(&C, 4, 18, NAN);
      const matrix old = matrix_copy(&C);
      const spk_epilogue e = epilogue_of(given, &bias_row, &bias_col);
      kernel(sums.view.data, sums.view.row_stride, C.view.data, C.view.row_stride,
             C.view.col_stride, 5, 19, &e);
      for (ptrdiff_t i = 0; i < 5; i++)
        for (ptrdiff_t j = 0; j < 19; j++) {
          exact x = {0};
          exact_add(&x, matrix_get(&sums, i, j));
          x = exact_epilogue(x, &e, matrix_get(&old, i, j), matrix_get(&bias_row, i, 0),
                             matrix_get(&bias_col, j, 0));
          CHECK(exact_matches(x, dtype, matrix_get(&C, i, j)), "C[%td, %td] = %.17g, not %.17g", i,
                j, matrix_get(&C, i, j), x.value);
        }
      CHECK(matrix_gaps_intact(&C));
      exact_memory_release();
    }
}

/* --- SDDMM --- */

typedef struct sampled {
  const char *field;
  spk_sddmm_fn kernel;
  spk_dtype dtype;
  spk_itype itype;
  ptrdiff_t k;
  layout x_layout, y_layout;
} sampled;

static void check_sampled(const sampled *s, const spk_sampling *how, int in_place) {
  const ptrdiff_t width = 9, base = 4, k = s->k;
  test_case("%s %s %s, k = %td, layouts %d %d, alpha = %g, beta = %g, scale = %d%s", s->field,
            dtype_names[s->dtype], itype_names[s->itype], k, s->x_layout, s->y_layout, how->alpha,
            how->beta, how->scale, in_place ? ", in place" : "");
  const entries p = random_entries(s->dtype, s->itype, width, base, 1);
  const matrix X = random_input(s->dtype, ROWS, k, s->x_layout);
  const matrix Yt = random_input(s->dtype, width, k, s->y_layout);
  exact_memory_freeze();
  matrix out = matrix_output(s->dtype, p.count, 1, 1, 1);
  if (in_place) memcpy(out.memory, p.values, (size_t)p.count * spk_dtype_size(s->dtype));
  const matrix old = matrix_copy(&out);
  const int reads = how->beta != 0 || how->scale;
  const spk_sddmm_task task = {.indices = p.indices,
                               .begin = p.begin,
                               .end = p.end,
                               .values = !reads     ? NULL
                                         : in_place ? out.memory
                                                    : p.values,
                               .out = out.memory,
                               .X = X.view.data,
                               .Yt = Yt.view.data,
                               .ldx = X.view.row_stride,
                               .ldy = Yt.view.row_stride,
                               .base = base,
                               .rows = ROWS,
                               .k = k,
                               .col_stridex = X.view.col_stride,
                               .col_stridey = Yt.view.col_stride,
                               .sampling = *how};
  s->kernel(&task);
  ptrdiff_t q = 0;
  for (ptrdiff_t i = 0; i < ROWS; i++) {
    for (; q < begin_of(&p, i); q++) {
      const double was = matrix_get(&old, q, 0), is = matrix_get(&out, q, 0);
      CHECK(is == was || (isnan(is) && isnan(was)), "entry %td is of no row", q);
    }
    for (; q < end_of(&p, i); q++) {
      exact e = {0};
      for (ptrdiff_t c = 0; c < k; c++)
        exact_add(&e, matrix_get(&X, i, c) * matrix_get(&Yt, index_of(&p, q) - base, c));
      e = exact_sampling(e, how, value_of(&p, q));
      CHECK(exact_matches(e, s->dtype, matrix_get(&out, q, 0)), "entry %td = %.17g, not %.17g", q,
            matrix_get(&out, q, 0), e.value);
    }
  }
  exact_memory_release();
}

static void check_samplings(const sampled *s) {
  const spk_sampling samplings[] = {{1, 0, 0},    {-0.5, 0, 0}, {1, 0.75, 0},
                                    {1.25, 0, 1}, {2, -1, 1},   {0, 1, 0}};
  for (size_t i = 0; i < sizeof samplings / sizeof *samplings; i++)
    for (int in_place = 0; in_place < 2; in_place++) check_sampled(s, &samplings[i], in_place);
}

static void check_sddmm_csr(spk_sddmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (ptrdiff_t k = 0; k <= 3 * table->lanes[dtype] + 1; k++) {
    const sampled s = {"sddmm_csr", kernel, dtype, itype, k, tile_layout(), tile_layout()};
    check_samplings(&s);
  }
}

static void check_sddmm_csr_strided(spk_sddmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (int x = 0; x < INPUT_LAYOUTS; x++)
    for (int y = 0; y < INPUT_LAYOUTS; y++) {
      const sampled s = {"sddmm_csr_strided", kernel, dtype, itype, random_below(20), x, y};
      check_samplings(&s);
    }
}

/* --- copies --- */

static const ptrdiff_t extents[] = {0, 1, 2, 15, 16, 17, 33};
enum { EXTENTS = sizeof extents / sizeof *extents };

static void check_copied(const matrix *from, const matrix *to) {
  for (ptrdiff_t i = 0; i < from->view.rows; i++)
    for (ptrdiff_t j = 0; j < from->view.cols; j++)
      CHECK(matrix_get(to, i, j) == matrix_get(from, i, j), "at %td, %td", i, j);
  CHECK(matrix_gaps_intact(to));
}

static void check_pack(spk_pack_fn kernel, spk_dtype dtype) {
  for (int how = 0; how < INPUT_LAYOUTS; how++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 0; c < EXTENTS; c++) {
        test_case("pack %s %td x %td, layout %d", dtype_names[dtype], extents[r], extents[c], how);
        const matrix from = random_input(dtype, extents[r], extents[c], how);
        exact_memory_freeze();
        const matrix to = random_output(dtype, extents[r], extents[c], ROW_MAJOR);
        kernel(to.view.data, to.view.row_stride, from.view.data, from.view.row_stride,
               from.view.col_stride, extents[r], extents[c]);
        check_copied(&from, &to);
        exact_memory_release();
      }
  /* Elements of a column that lie near each other, and columns far apart; and rows of which one
   * begins where the other ends, as all of every second element of an array do. */
  for (ptrdiff_t step = -5; step <= 5; step++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 0; c < EXTENTS; c++)
        for (int across = 0; across < 2; across++) {
          const ptrdiff_t rows = extents[r], cols = extents[c];
          const ptrdiff_t far = step * (across ? cols : rows) + (across ? 0 : 3);
          if (step == 0) continue;
          test_case("pack %s %td x %td, %td apart, %s", dtype_names[dtype], rows, cols, step,
                    across ? "rows" : "columns");
          const matrix from =
              matrix_input(dtype, rows, cols, across ? far : step, across ? step : far);
          exact_memory_freeze();
          const matrix to = matrix_output(dtype, rows, cols, spk_max(1, cols), 1);
          kernel(to.view.data, to.view.row_stride, from.view.data, from.view.row_stride,
                 from.view.col_stride, rows, cols);
          check_copied(&from, &to);
          exact_memory_release();
        }
}

/* Into whole vectors, with zeros after the last column. */
static void check_pack_panel(spk_pack_fn kernel, spk_dtype dtype) {
  const ptrdiff_t lanes = table->lanes[dtype];
  for (int how = 0; how < INPUT_LAYOUTS; how++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 1; c < EXTENTS; c++) {
        const ptrdiff_t rows = extents[r], cols = extents[c];
        const ptrdiff_t ld = spk_round_up(cols, lanes) + lanes * random_below(2);
        test_case("pack_panel %s %td x %td, layout %d", dtype_names[dtype], rows, cols, how);
        const matrix from = random_input(dtype, rows, cols, how);
        exact_memory_freeze();
        const matrix to = matrix_output(dtype, rows, ld, ld, 1);
        kernel(to.view.data, ld, from.view.data, from.view.row_stride, from.view.col_stride, rows,
               cols);
        check_copied(&from, &to);
        for (ptrdiff_t i = 0; i < rows; i++)
          for (ptrdiff_t j = cols; j < ld; j++)
            CHECK(matrix_get(&to, i, j) == 0, "at %td, %td", i, j);
        exact_memory_release();
      }
}

static void check_unpack(spk_unpack_fn kernel, spk_dtype dtype) {
  for (int how = 0; how < OUTPUT_LAYOUTS; how++)
    for (int r = 0; r < EXTENTS; r++)
      for (int c = 0; c < EXTENTS; c++) {
        test_case("unpack %s %td x %td, layout %d", dtype_names[dtype], extents[r], extents[c],
                  how);
        const matrix from = random_input(dtype, extents[r], extents[c], ROW_MAJOR);
        exact_memory_freeze();
        const matrix to = random_output(dtype, extents[r], extents[c], how);
        kernel(from.view.data, from.view.row_stride, to.view.data, to.view.row_stride,
               to.view.col_stride, extents[r], extents[c]);
        check_copied(&from, &to);
        exact_memory_release();
      }
}

/* --- index arrays --- */

/* Around the blocks of 4096 in which the kernels count. */
static const ptrdiff_t lengths[] = {0, 1, 2, 17, 4095, 4096, 4097, 9000};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static void check_validate_indices(spk_validate_fn kernel, spk_itype itype) {
  for (int l = 0; l < LENGTHS; l++) {
    const ptrdiff_t count = lengths[l], bound = 1000;
    test_case("validate_indices %s, %td of them", itype_names[itype], count);
    void *indices = exact_memory((size_t)count * spk_itype_size(itype));
    ptrdiff_t expected = 0, found = -1, last = 0;
    for (ptrdiff_t p = 0; p < count; p++) {
      const ptrdiff_t index = p == 0 ? bound - 1 : random_below(bound);
      put_index(indices, itype, p, index);
      expected += index < last;
      last = index;
    }
    CHECK(kernel(indices, count, bound, &found));
    CHECK(found == expected, "%td descents, not %td", found, expected);
    CHECK(kernel(indices, count, PTRDIFF_MAX, &found));
    CHECK(kernel(indices, count, 0, &found) == (count == 0));

    const int64_t outside[] = {-1, bound, INT32_MIN, INT32_MAX};
    const ptrdiff_t places[] = {0, count / 2, count - 1};
    for (size_t x = 0; count > 0 && x < 4; x++)
      for (size_t p = 0; p < 3; p++) {
        const int64_t was = spk_index(indices, itype, places[p]);
        put_index(indices, itype, places[p], outside[x]);
        CHECK(!kernel(indices, count, bound, &found), "index %td is %lld", places[p],
              (long long)outside[x]);
        /* A bound that no 32-bit index reaches still keeps negative ones out. */
        CHECK(kernel(indices, count, PTRDIFF_MAX, &found) == (outside[x] >= 0),
              "index %td is %lld, any bound", places[p], (long long)outside[x]);
        put_index(indices, itype, places[p], was);
      }
    exact_memory_release();
  }
}

/* Columns of one length, one after the other, of which every other one is looked at. */
static void check_validate_columns(spk_validate_columns_fn kernel, spk_itype itype) {
  const ptrdiff_t columns = 7, rows = 9;
  for (ptrdiff_t length = 0; length < 40; length++) {
    test_case("validate_columns %s, %td each", itype_names[itype], length);
    const ptrdiff_t nnz = columns * length;
    void *offsets = exact_memory((size_t)(columns + 1) * spk_itype_size(itype));
    void *indices = exact_memory((size_t)nnz * spk_itype_size(itype));
    void *ids = exact_memory(3 * spk_itype_size(itype));
    for (ptrdiff_t k = 0; k <= columns; k++) put_index(offsets, itype, k, k * length);
    for (ptrdiff_t c = 0; c < 3; c++) put_index(ids, itype, c, 5 - 2 * c);
    for (ptrdiff_t p = 0; p < nnz; p++)
      put_index(indices, itype, p, p / length % 2 ? random_below(rows) : STRAY);
    CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_OK);
    CHECK(kernel(offsets, indices, ids, 0, 0, 0) == SPK_OK);
    const int64_t outside[] = {-1, rows, INT32_MIN, INT32_MAX};
    for (ptrdiff_t p = length; p < 2 * length; p++) {
      const int64_t was = spk_index(indices, itype, p);
      put_index(indices, itype, p, outside[p % 4]);
      CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_ERR_INDEX, "entry %td", p);
      put_index(indices, itype, p, was);
    }
    CHECK(length == 0 || kernel(offsets, indices, ids, 3, 0, nnz) == SPK_ERR_INDEX);
    for (ptrdiff_t k = 1; k <= 6; k++) {
      put_index(offsets, itype, k, -1);
      CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_ERR_INDPTR, "offset %td", k);
      put_index(offsets, itype, k, nnz + 1);
      CHECK(kernel(offsets, indices, ids, 3, rows, nnz) == SPK_ERR_INDPTR, "offset %td", k);
      put_index(offsets, itype, k, k * length);
    }
    exact_memory_release();
  }
}

static void check_validate_offsets(spk_offsets_fn kernel, spk_itype itype) {
  for (int l = 1; l < LENGTHS; l++) {
    const ptrdiff_t count = lengths[l];
    test_case("validate_offsets %s, %td of them", itype_names[itype], count);
    void *offsets = exact_memory((size_t)count * spk_itype_size(itype));
    for (ptrdiff_t i = 0, at = 0; i < count; i++, at += random_below(3))
      put_index(offsets, itype, i, at);
    const ptrdiff_t entries = spk_index(offsets, itype, count - 1);
    CHECK(kernel(offsets, count, entries));
    CHECK(kernel(offsets, count, entries + 1));
    CHECK(!kernel(offsets, count, entries - 1));
    const ptrdiff_t places[] = {0, count / 2, count - 1};
    for (size_t p = 0; p < 3; p++) {
      const int64_t was = spk_index(offsets, itype, places[p]);
      const int64_t wrong[] = {-1, INT32_MIN, entries + 1, INT32_MAX};
      for (size_t x = 0; x < 4; x++) {
        put_index(offsets, itype, places[p], wrong[x]);
        CHECK(!kernel(offsets, count, entries), "offset %td is %lld", places[p],
              (long long)wrong[x]);
      }
      put_index(offsets, itype, places[p], was);
    }
    exact_memory_release();
  }
}

static void check_cut_rows(spk_cut_fn kernel, spk_itype itype) {
  for (ptrdiff_t width = 1; width <= 9; width++)
    for (ptrdiff_t blocks = 1; blocks <= 6; blocks++) {
      test_case("cut_rows %s, %td blocks of %td", itype_names[itype], blocks, width);
      const ptrdiff_t rows = 11, ld = rows + random_below(3);
      const size_t isize = spk_itype_size(itype);
      ptrdiff_t starts[12] = {random_below(4)};
      for (ptrdiff_t i = 0; i < rows; i++) starts[i + 1] = starts[i] + random_below(20);
      void *offsets = exact_memory((size_t)(rows + 1) * isize);
      void *indices = exact_memory((size_t)starts[rows] * isize);
      for (ptrdiff_t i = 0; i <= rows; i++) put_index(offsets, itype, i, starts[i]);
      for (ptrdiff_t p = 0; p < starts[0]; p++) put_index(indices, itype, p, STRAY);
      for (ptrdiff_t i = 0; i < rows; i++)
        for (ptrdiff_t p = starts[i], at = 0; p < starts[i + 1]; p++) {
          /* Sorted, with repeats, up to the last block and none beyond it. */
          at = spk_min(at + random_below(4), width * blocks - 1);
          put_index(indices, itype, p, at);
        }
      exact_memory_freeze();
      const ptrdiff_t held = blocks * ld + rows;
      void *cuts = exact_memory((size_t)held * isize);
      for (ptrdiff_t c = 0; c < held; c++) put_index(cuts, itype, c, -7);
      kernel(indices, offsets, rows, width, blocks, cuts, ld);
      for (ptrdiff_t b = 0; b <= blocks; b++)
        for (ptrdiff_t i = 0; i < ld && b * ld + i < held; i++) {
          ptrdiff_t expected = -7;
          if (i < rows)
            for (expected = starts[i]; expected < starts[i + 1]; expected++)
              if (spk_index(indices, itype, expected) >= b * width) break;
          CHECK(spk_index(cuts, itype, b * ld + i) == expected, "block %td, row %td", b, i);
        }
      exact_memory_release();
    }
}

/* --- attention --- */

static void check_tile_pack(spk_tile_pack_fn kernel, spk_dtype dtype) {
  for (ptrdiff_t d = 1; d < 40; d += 1 + d / 6)
    for (ptrdiff_t rows = 1; rows <= SPK_TILE_ROWS; rows += 5) {
      test_case("tile_pack %s, %td x %td", dtype_names[dtype], rows, d);
      const matrix X = random_input(dtype, rows, d, tile_layout());
      exact_memory_freeze();
      void *panel = exact_memory((size_t)(d * SPK_TILE_ROWS) * spk_dtype_size(dtype));
      kernel(panel, X.view.data, X.view.row_stride, rows, d, 0.5);
      for (ptrdiff_t i = 0; i < SPK_TILE_ROWS; i++)
        for (ptrdiff_t t = 0; t < d; t++)
          CHECK(get_value(panel, dtype, t * SPK_TILE_ROWS + i) ==
                (i < rows ? 0.5 * matrix_get(&X, i, t) : 0));
      exact_memory_release();
    }
}

enum { MAX_KEYS = 45 };

static void *matrix_row(const matrix *m, ptrdiff_t i) {
  return spk_at_mut(m->view.data, i * m->view.row_stride, spk_dtype_size(m->view.dtype));
}

/* Queries, keys and values, and what softmax makes of them for one query. */
typedef struct attention {
  spk_dtype dtype;
  ptrdiff_t rows, d, dv, count; /* count: keys that are listed */
  matrix Q, K, V, bias;
  int32_t *keys;
  uint16_t *bits;
  int with_bias;
} attention;

static attention random_attention(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t d, ptrdiff_t dv,
                                  ptrdiff_t count, int with_bias) {
  attention a = {.dtype = dtype, .rows = rows, .d = d, .dv = dv, .count = count};
  a.Q = random_input(dtype, rows, d, tile_layout());
  a.K = random_input(dtype, MAX_KEYS, d, tile_layout());
  a.V = random_input(dtype, MAX_KEYS, dv, tile_layout());
  a.bias = random_input(dtype, rows, MAX_KEYS, with_bias > 1 ? COLUMN_MAJOR : ROW_MAJOR);
  a.with_bias = with_bias;
  a.keys = exact_memory((size_t)(count + SPK_TILE_ROWS) * sizeof *a.keys);
  a.bits = exact_memory((size_t)count * sizeof *a.bits);
  for (ptrdiff_t j = 0; j < count + SPK_TILE_ROWS; j++) a.keys[j] = (int32_t)random_below(MAX_KEYS);
  for (ptrdiff_t j = 0; j < count; j++) a.bits[j] = (uint16_t)random_below(1 << 16);
  if (count > 2) a.bits[1] = 0xffff, a.bits[2] = 0;
  return a;
}

/* Row i of the output, and of its logarithm of sums, of the first `count` keys that it has, or of
 * all of them, against a sum in double, off by no more than scores and weights may be. */
static void compare_attention(const attention *a, ptrdiff_t i, int all, double scale,
                              const void *out, double lse) {
  double score[MAX_KEYS * 2], most = -INFINITY, slack = 0, sum = 0;
  const double u = a->dtype == SPK_F32 ? 0x1p-24 : 0x1p-53;
  for (ptrdiff_t j = 0; j < a->count; j++) {
    double x = 0, size = 0;
    score[j] = -INFINITY;
    if (!all && !(a->bits[j] >> i & 1)) continue;
    for (ptrdiff_t t = 0; t < a->d; t++) {
      const double term = scale * matrix_get(&a->Q, i, t) * matrix_get(&a->K, a->keys[j], t);
      x += term;
      size += fabs(term);
    }
    if (a->with_bias) x += matrix_get(&a->bias, i, a->keys[j]), size += 1;
    score[j] = x;
    most = fmax(most, x);
    slack = fmax(slack, (double)(a->d + 4) * u * size);
  }
  for (ptrdiff_t j = 0; j < a->count; j++) sum += exp(score[j] - most);
  if (most == -INFINITY) sum = 0;
  slack = 2 * slack + (double)(2 * a->count + 20) * u;
  CHECK(sum == 0 ? lse == -INFINITY : fabs(lse - (most + log(sum))) <= slack + 8 * u,
        "lse of row %td: %.9g, not %.9g", i, lse, most + log(sum));
  for (ptrdiff_t t = 0; t < a->dv; t++) {
    double x = 0, size = 0;
    for (ptrdiff_t j = 0; j < a->count; j++) {
      if (score[j] == -INFINITY) continue;
      const double term = exp(score[j] - most) / sum * matrix_get(&a->V, a->keys[j], t);
      x += term;
      size += fabs(term);
    }
    const double got = get_value(out, a->dtype, t);
    CHECK(fabs(got - x) <= slack * size, "row %td, element %td: %.9g, not %.9g", i, t, got, x);
  }
}

static spk_attend_task attend_task(const attention *a, matrix *scores, matrix *state, matrix *O) {
  return (spk_attend_task){.K = a->K.view.data,
                           .V = a->V.view.data,
                           .ldk = a->K.view.row_stride,
                           .ldv = a->V.view.row_stride,
                           .d = a->d,
                           .dv = a->dv,
                           .rows = a->rows,
                           .scale = 0.75,
                           .bias = a->with_bias ? a->bias.view.data : NULL,
                           .bias_row_stride = a->bias.view.row_stride,
                           .bias_col_stride = a->bias.view.col_stride,
                           .scores = scores->memory,
                           .maxima = state->memory,
                           .sums = matrix_row(state, 1),
                           .O = O->memory};
}

/* Keys in two parts, the second on top of the first. */
static void check_attend_keys(spk_attend_fn kernel, spk_dtype dtype, int by_tile) {
  for (ptrdiff_t count = 0; count <= MAX_KEYS; count += 1 + count / 3)
    for (ptrdiff_t d = 0; d < 50; d += 1 + d) {
      const ptrdiff_t rows = by_tile ? 1 + random_below(SPK_TILE_ROWS) : 1, dv = 1 + (7 * d) % 67;
      const int with_bias = (int)random_below(3);
      test_case("attend %s %s, %td rows, %td keys, d = %td, %td, bias %d", by_tile ? "tile" : "row",
                dtype_names[dtype], rows, count, d, dv, with_bias);
      const attention a = random_attention(dtype, rows, d, dv, count, with_bias);
      exact_memory_freeze();
      const ptrdiff_t wide = by_tile ? SPK_TILE_ROWS : 1, spare = SPK_TILE_ROWS;
      matrix scores = matrix_output(dtype, count + spare, wide, wide, 1);
      matrix state = matrix_output(dtype, 2, wide, wide, 1);
      matrix O = matrix_output(dtype, dv + (by_tile ? 0 : spare), wide, wide, 1);
      matrix out = random_output(dtype, rows, dv, ROW_MAJOR),
             lse = matrix_output(dtype, rows, 1, 1, 1);
      matrix panel = matrix_output(dtype, d, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      for (ptrdiff_t i = 0; i < wide; i++) {
        matrix_put(&state, 0, i, -INFINITY);
        matrix_put(&state, 1, i, 0);
      }
      for (ptrdiff_t t = 0; t < O.view.rows; t++)
        for (ptrdiff_t i = 0; i < wide; i++) matrix_put(&O, t, i, 0);
      spk_attend_task task = attend_task(&a, &scores, &state, &O);
      if (by_tile) {
        table->tile_pack[dtype](panel.memory, a.Q.view.data, a.Q.view.row_stride, rows, d, 0.75);
        task.q = panel.memory;
      } else {
        task.q = a.Q.view.data;
      }
      const ptrdiff_t half = count / 2;
      for (ptrdiff_t at = 0; at < count; at += spk_max(1, half)) {
        task.keys = a.keys + at;
        task.bits = a.bits + at;
        task.count = spk_min(spk_max(1, half), count - at);
        kernel(&task);
      }
      if (by_tile)
        CHECK(table->attend_finish[dtype](&task, out.view.data, out.view.row_stride, lse.memory));
      else
        table->attend_row_finish[dtype](&task, out.view.data, lse.memory);
      for (ptrdiff_t i = 0; i < rows; i++)
        compare_attention(&a, i, !by_tile, 0.75, matrix_row(&out, i), matrix_get(&lse, i, 0));
      CHECK(matrix_gaps_intact(&out));
      exact_memory_release();
    }
}

static void check_attend_tile(spk_attend_fn kernel, spk_dtype dtype) {
  check_attend_keys(kernel, dtype, 1);
}
static void check_attend_row(spk_attend_fn kernel, spk_dtype dtype) {
  check_attend_keys(kernel, dtype, 0);
}

static void check_sddmm_tile(spk_sddmm_tile_fn kernel, spk_dtype dtype) {
  for (ptrdiff_t count = 1; count <= MAX_KEYS; count += 1 + count / 4)
    for (ptrdiff_t d = 0; d < 50; d += 1 + d) {
      test_case("sddmm_tile %s, %td keys, d = %td", dtype_names[dtype], count, d);
      const attention a = random_attention(dtype, SPK_TILE_ROWS, d, 1, count, 0);
      exact_memory_freeze();
      const ptrdiff_t ld = spk_round_up(count, SPK_TILE_ROWS);
      matrix panel = matrix_output(dtype, d, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      matrix scores = matrix_output(dtype, count + SPK_TILE_ROWS, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      matrix rows = matrix_output(dtype, SPK_TILE_ROWS, ld, ld, 1);
      table->tile_pack[dtype](panel.memory, a.Q.view.data, a.Q.view.row_stride, SPK_TILE_ROWS, d,
                              1.0);
      const spk_tile_task task = {.q = panel.memory,
                                  .K = a.K.view.data,
                                  .ldk = a.K.view.row_stride,
                                  .d = d,
                                  .keys = a.keys,
                                  .count = count,
                                  .scores = scores.memory,
                                  .rows = rows.memory,
                                  .ld = ld};
      kernel(&task);
      for (ptrdiff_t i = 0; i < SPK_TILE_ROWS; i++)
        for (ptrdiff_t j = 0; j < count; j++) {
          exact e = {0};
          for (ptrdiff_t t = 0; t < d; t++)
            exact_add(&e, matrix_get(&a.Q, i, t) * matrix_get(&a.K, a.keys[j], t));
          CHECK(exact_matches(e, dtype, matrix_get(&rows, i, j)), "row %td, key %td", i, j);
        }
      exact_memory_release();
    }
}

/* Two rows of a few runs each, whose keys are placed in two parts. */
static void check_sddmm_place(spk_place_fn kernel, spk_dtype dtype) {
  for (int length = 1; length < 50; length += 1 + length / 5)
    for (int how = 0; how < 4; how++) {
      test_case("sddmm_place %s, runs of %d, %d", dtype_names[dtype], length, how);
      const spk_sampling s = {how ? 1.5 : 1.0, how > 2 ? -0.5 : 0.0, how > 1};
      const ptrdiff_t keys = 3 * length + 2, entries = 4 * length, from = random_below(keys);
      const matrix rows = matrix_input(dtype, 2, keys, keys + 3, 1);
      const matrix values = matrix_input(dtype, entries, 1, 1, 1);
      int32_t *where = exact_memory((size_t)keys * 2 * sizeof *where);
      spk_tile_run *runs = exact_memory(4 * sizeof *runs);
      for (int32_t k = 0; k < keys; k++) where[2 * k] = k, where[2 * k + 1] = 0;
      for (int r = 0; r < 4; r++)
        runs[r] = (spk_tile_run){r * length, r % 2, 2 * (r * length / 2 + r % 2), length};
      exact_memory_freeze();
      const matrix out = matrix_output(dtype, entries, 1, 1, 1);
      spk_place_task task = {.runs = runs,
                             .run_count = 4,
                             .where = where,
                             .count = from,
                             .rows = rows.memory,
                             .ld = keys + 3,
                             .out = out.memory,
                             .values = how > 1 ? values.memory : NULL,
                             .sampling = s};
      kernel(&task);
      task.from = from;
      task.count = keys - from;
      task.rows = spk_at(rows.memory, from, spk_dtype_size(dtype));
      kernel(&task);
      for (int r = 0; r < 4; r++)
        for (int i = 0; i < length; i++) {
          const double x = matrix_get(&rows, r % 2, r * length / 2 + r % 2 + i);
          const exact dot = {x, fabs(x), 0};
          const ptrdiff_t p = r * length + i;
          const exact e = exact_sampling(dot, &s, how > 1 ? matrix_get(&values, p, 0) : 0);
          CHECK(exact_matches(e, dtype, matrix_get(&out, p, 0)), "run %d, %d", r, i);
        }
      exact_memory_release();
    }
}

static void check_run_length(spk_run_length_fn kernel, spk_itype itype) {
  for (ptrdiff_t count = 1; count < 70; count++)
    for (ptrdiff_t run = 1; run <= count; run += 1 + run / 4) {
      test_case("run_length %s, %td of %td", itype_names[itype], run, count);
      void *indices = exact_memory((size_t)count * spk_itype_size(itype));
      for (ptrdiff_t p = 0; p < count; p++)
        put_index(indices, itype, p, p < run ? 1000 + p : 1000 + p - random_below(2) * 2 + 1);
      exact_memory_freeze();
      CHECK(kernel(indices, count) == run);
      exact_memory_release();
    }
}

/* The rest of it is checked with attend_tile. */
static void check_attend_finish(spk_attend_finish_fn kernel, spk_dtype dtype) {
  const double specials[] = {1, INFINITY, -INFINITY, NAN};
  for (int s = 0; s < 4; s++)
    for (ptrdiff_t dv = 1; dv <= 20; dv += 19) {
      test_case("attend_finish %s, %td elements, %g", dtype_names[dtype], dv, specials[s]);
      matrix state = matrix_output(dtype, 2, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      matrix O = matrix_output(dtype, dv, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      matrix out = matrix_output(dtype, 3, dv, dv, 1);
      for (ptrdiff_t i = 0; i < SPK_TILE_ROWS; i++) {
        matrix_put(&state, 0, i, 0);
        matrix_put(&state, 1, i, 2);
        for (ptrdiff_t t = 0; t < dv; t++) matrix_put(&O, t, i, (double)i);
      }
      matrix_put(&O, dv - 1, 2, specials[s]);
      const spk_attend_task task = {.rows = 3,
                                    .dv = dv,
                                    .maxima = state.memory,
                                    .sums = matrix_row(&state, 1),
                                    .O = O.memory};
      CHECK(kernel(&task, out.memory, dv, NULL) == (s == 0));
      CHECK(matrix_get(&out, 1, dv - 1) == 0.5);
      exact_memory_release();
    }
}
static void check_attend_row_finish(spk_attend_row_finish_fn kernel, spk_dtype dtype) {
  test_case("attend_row_finish %s of nothing", dtype_names[dtype]);
  matrix state = matrix_output(dtype, 2, 1, 1, 1), O = matrix_output(dtype, 3, 1, 1, 1);
  matrix out = matrix_output(dtype, 1, 3, 3, 1), lse = matrix_output(dtype, 1, 1, 1, 1);
  matrix_put(&state, 0, 0, -INFINITY);
  matrix_put(&state, 1, 0, 0);
  for (ptrdiff_t t = 0; t < 3; t++) matrix_put(&O, t, 0, 0);
  const spk_attend_task task = {
      .rows = 1, .dv = 3, .maxima = state.memory, .sums = matrix_row(&state, 1), .O = O.memory};
  kernel(&task, out.memory, lse.memory);
  for (ptrdiff_t t = 0; t < 3; t++) CHECK(matrix_get(&out, 0, t) == 0);
  CHECK(matrix_get(&lse, 0, 0) == -INFINITY);
  exact_memory_release();
}

static void check_softmax(spk_softmax_fn kernel, spk_dtype dtype) {
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

/* The kernel, and then the verb, which refuses columns that are corrupted and reads no others. */
static void check_spmspv_nonzeros(spk_nonzeros_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (ptrdiff_t count = 0; count < 200; count += count < 20 ? 1 : 37)
    for (ptrdiff_t stride = 1; stride < 3; stride++) {
      test_case("spmspv_nonzeros %s %s, %td, stride %td", dtype_names[dtype], itype_names[itype],
                count, stride);
      void *ids = exact_memory((size_t)count * spk_itype_size(itype));
      matrix x = matrix_input(dtype, count, 1, stride, 1);
      matrix kept = matrix_output(dtype, count, 1, 1, 1);
      for (ptrdiff_t k = 0; k < count; k++)
        if (k % 3 != 1) matrix_put(&x, k, 0, k % 5 == 3 ? NAN : k % 2 ? -0.0 : 0.0);
      const ptrdiff_t found = kernel(x.view.data, stride, count, 7, ids, kept.view.data);
      ptrdiff_t n = 0;
      for (ptrdiff_t k = 0; k < count; k++) {
        const double value = matrix_get(&x, k, 0);
        if (value == 0) continue;
        const double got = n < found ? matrix_get(&kept, n, 0) : 0;
        CHECK(n < found && spk_index(ids, itype, n) == 7 + k, "number %td", n);
        CHECK(got == value || (isnan(got) && isnan(value)), "number %td", n);
        n++;
      }
      CHECK(n == found, "%td, not %td", found, n);
      exact_memory_release();
    }
}
static void check_spmspv_csc(spk_spmspv_fn kernel, spk_dtype dtype, spk_itype itype) {
  enum { rows = 30 };
  const ptrdiff_t per = 21; /* two rounds of the unrolled loop, and some */
  for (ptrdiff_t count = 0; count < 9; count++) {
    test_case("spmspv_csc %s %s, %td columns", dtype_names[dtype], itype_names[itype], count);
    void *offsets = exact_memory((ROWS + 1) * spk_itype_size(itype));
    void *indices = exact_memory((size_t)(ROWS * per) * spk_itype_size(itype));
    void *ids = exact_memory((size_t)count * spk_itype_size(itype));
    const matrix values = matrix_input(dtype, ROWS * per, 1, 1, 1);
    const matrix x = matrix_input(dtype, count, 1, 1, 1);
    for (ptrdiff_t k = 0; k <= ROWS; k++) put_index(offsets, itype, k, k ? (k - 1) * per : 0);
    for (ptrdiff_t p = 0; p < ROWS * per; p++)
      put_index(indices, itype, p, p < per ? STRAY : random_below(rows)); /* column 1 is corrupt */
    /* Rows that follow one another: all of column 2's, column 4's but one that is repeated. */
    for (ptrdiff_t i = 0; i < per; i++) {
      put_index(indices, itype, per + i, 5 + i);
      put_index(indices, itype, 3 * per + i, 9 + i - (i == 11));
    }
    for (ptrdiff_t c = 0; c < count; c++)
      put_index(ids, itype, c, c % 3 ? 2 + random_below(ROWS - 2) : 0);
    matrix y = matrix_output(dtype, rows, 1, 1, 1);
    exact expected[rows] = {{0}};
    for (ptrdiff_t c = 0; c < count; c++) {
      const ptrdiff_t k = spk_index(ids, itype, c);
      for (ptrdiff_t p = spk_index(offsets, itype, k); p < spk_index(offsets, itype, k + 1); p++)
        exact_add(&expected[spk_index(indices, itype, p)],
                  matrix_get(&values, p, 0) * matrix_get(&x, c, 0));
    }
    spk_sparse A = {SPK_CSC, dtype, itype,   0,       rows, ROWS,         ROWS * per,
                    1,       1,     offsets, indices, NULL, values.memory};
    for (int verb = 0; verb < 2; verb++) {
      for (ptrdiff_t i = 0; i < rows; i++) matrix_put(&y, i, 0, verb ? NAN : 0);
      const spk_spmspv_task task = {offsets, indices, values.memory, ids, x.memory,
                                    count,   2,       y.memory};
      if (verb)
        CHECK(spk_spmspv(&A, ids, x.memory, count, y.memory, 1) == SPK_OK);
      else
        kernel(&task);
      for (ptrdiff_t i = 0; i < rows; i++)
        CHECK(exact_matches(expected[i], dtype, matrix_get(&y, i, 0)), "row %td", i);
    }
    if (count == 8) { /* the corrupt column is skipped */
      const matrix dense = matrix_input(dtype, ROWS, 1, 3, 1);
      matrix vector = dense;
      for (ptrdiff_t k = 0; k < ROWS; k++)
        if (k == 1 || k % 4 == 2) matrix_put(&vector, k, 0, 0);
      CHECK(spk_spmspv_dense(&A, dense.view.data, 3, y.memory, 1) == SPK_OK);
      for (ptrdiff_t i = 0; i < rows; i++) {
        exact e = {0};
        for (ptrdiff_t k = 2; k < ROWS; k++)
          for (ptrdiff_t p = (k - 1) * per; p < k * per; p++)
            if (spk_index(indices, itype, p) == i)
              exact_add(&e, matrix_get(&values, p, 0) * matrix_get(&dense, k, 0));
        CHECK(exact_matches(e, dtype, matrix_get(&y, i, 0)), "row %td of a dense vector", i);
      }
      matrix_put(&vector, 1, 0, 1);
      CHECK(spk_spmspv_dense(&A, dense.view.data, 3, y.memory, 1) == SPK_ERR_INDEX);
      CHECK(spk_spmspv_dense(&A, NULL, 1, y.memory, 1) == SPK_ERR_ARGUMENT);
    }
    /* A product of two: its rows are products with these entries, cut in two. */
    matrix rows_of_c = matrix_output(dtype, 3, rows, rows + 2, 1);
    void *cuts = exact_memory(4 * spk_itype_size(itype));
    const ptrdiff_t cut[] = {0, count / 2, count / 2, count};
    for (int i = 0; i < 4; i++) put_index(cuts, itype, i, cut[i]);
    const spk_sparse L = {SPK_CSR, dtype, itype, 0,   3,    ROWS,    count,
                          1,       1,     cuts,  ids, NULL, x.memory};
    spk_sparse R = A;
    R.format = SPK_CSR;
    R.rows = ROWS;
    R.cols = rows;
    CHECK(spk_spmspm(&L, &R, rows_of_c.memory, rows + 2, 1) == SPK_ERR_INDEX);
    for (ptrdiff_t p = 0; p < per; p++) put_index(indices, itype, p, 0);
    for (int threads = 1; threads < 4; threads++) {
      CHECK(spk_spmspm(&L, &R, rows_of_c.memory, rows + 2, threads) == SPK_OK);
      for (int i = 0; i < 3; i++) {
        const void *some = spk_at(ids, cut[i], spk_itype_size(itype));
        CHECK(spk_spmspv(&A, some, spk_at(x.memory, cut[i], spk_dtype_size(dtype)),
                         cut[i + 1] - cut[i], y.memory, 1) == SPK_OK);
        for (ptrdiff_t j = 0; j < rows; j++)
          CHECK(matrix_get(&rows_of_c, i, j) == matrix_get(&y, j, 0), "row %d, column %td", i, j);
      }
      CHECK(matrix_gaps_intact(&rows_of_c));
    }
    for (ptrdiff_t p = 0; p < per; p++) put_index(indices, itype, p, STRAY);
    R.rows--;
    CHECK(spk_spmspm(&L, &R, rows_of_c.memory, rows + 2, 1) == SPK_ERR_SHAPE);
    CHECK(spk_spmspm(&A, &R, rows_of_c.memory, rows + 2, 1) == SPK_ERR_ARGUMENT);
    if (count > 0) {
      put_index(ids, itype, count - 1, 1);
      CHECK(spk_spmspv(&A, ids, x.memory, count, y.memory, 1) == SPK_ERR_INDEX);
      put_index(ids, itype, count - 1, ROWS);
      CHECK(spk_spmspv(&A, ids, x.memory, count, y.memory, 1) == SPK_ERR_INDEX);
    }
    exact_memory_release();
  }
}

/* Whether element i goes before element j: NaN first, then the larger, then the one on the left. */
static int goes_before(const matrix *x, ptrdiff_t i, ptrdiff_t j) {
  const double a = matrix_get(x, 0, i), b = matrix_get(x, 0, j);
  if (isnan(a) != isnan(b)) return isnan(a);
  return a > b || (!(a < b) && i < j);
}

/* The kernel, and the verb for rows that lie apart, with threads. */
static void check_kwinners(spk_kwinners_fn kernel, spk_dtype dtype) {
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
  const matrix X = matrix_input(dtype, 37, 19, 23, 1);
  int32_t *winners = exact_memory(37 * 5 * sizeof *winners);
  int32_t *others = exact_memory(37 * 5 * sizeof *others);
  const matrix one = matrix_output(dtype, 37, 19, 21, 1), many = matrix_copy(&one);
  CHECK(spk_kwinners(dtype, 37, 19, X.memory, 23, 5, one.memory, 21, winners, 1) == SPK_OK);
  for (int threads = 2; threads < 5; threads++) {
    test_case("kwinners %s, %d threads", dtype_names[dtype], threads);
    CHECK(spk_kwinners(dtype, 37, 19, X.memory, 23, 5, many.memory, 21, others, threads) == SPK_OK);
    CHECK(matrix_same_bits(&one, &many) && matrix_gaps_intact(&many));
    CHECK(memcmp(winners, others, 37 * 5 * sizeof *winners) == 0);
  }
  CHECK(spk_kwinners(dtype, 37, 19, X.memory, 23, -1, one.memory, 21, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_kwinners(dtype, 37, 19, NULL, 23, 1, one.memory, 21, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_kwinners(dtype, 37, 19, X.memory, 23, 1, NULL, 21, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(spk_kwinners(dtype, 0, 19, NULL, 23, 1, NULL, 21, NULL, 1) == SPK_OK);
  exact_memory_release();
}

static void check_roofline_fma(spk_roofline_fn kernel, spk_dtype dtype) {
  const double lanes = table->lanes[dtype];
  const double after = kernel(NULL, 0, 100), expected = 12 * lanes * (1 + 0x1p-20);
  CHECK(kernel(NULL, 0, 0) == 78 * lanes);
  CHECK(fabs(after - expected) < 1e-6 * expected, "%.17g", after);
}

static void check_roofline_load(spk_roofline_fn kernel, spk_dtype dtype) {
  for (ptrdiff_t steps = 0; steps < 4; steps++) {
    const ptrdiff_t count = steps * 8 * table->lanes[dtype];
    void *values = exact_memory((size_t)count * spk_dtype_size(dtype));
    for (ptrdiff_t i = 0; i < count; i++) put_value(values, dtype, i, (double)(i % 7));
    double expected = 0;
    for (ptrdiff_t i = 0; i < count; i++) expected += (double)(i % 7);
    exact_memory_freeze();
    CHECK(kernel(values, count, 3) == 3 * expected, "%td values", count);
    exact_memory_release();
  }
}

/* --- the walk --- */

#define CHECK_ENTRY(entry, check, name)      \
  do {                                       \
    test_case("%s of %s", name, table->isa); \
    CHECK((entry) != NULL);                  \
    if (entry) check;                        \
  } while (0)

#define SPK_KERNEL(field, fn) CHECK_ENTRY(table->field, check_##field(table->field), #field);
#define SPK_KERNEL_I(field, fn) \
  for (int i = 0; i < 2; i++)   \
    CHECK_ENTRY(table->field[i], check_##field(table->field[i], (spk_itype)i), #field);
#define SPK_KERNEL_T(field, fn) \
  for (int t = 0; t < 2; t++)   \
    CHECK_ENTRY(table->field[t], check_##field(table->field[t], (spk_dtype)t), #field);
/* Only some instruction sets have it. */
#define SPK_KERNEL_T_PERMUTE(field, fn) \
  for (int t = 0; t < 2; t++)           \
    if (table->field[t])                \
      CHECK_ENTRY(table->field[t], check_##field(table->field[t], (spk_dtype)t), #field);
#define SPK_KERNEL_T_PAIRED SPK_KERNEL_T_PERMUTE
#define SPK_KERNEL_TV(field, fn, most)                                                        \
  for (int t = 0; t < 2; t++)                                                                 \
    for (int v = 0; v < most; v++)                                                            \
      CHECK_ENTRY(table->field[t][v], check_##field(table->field[t][v], (spk_dtype)t, v + 1), \
                  #field);
#define SPK_KERNEL_TI(field, fn)      \
  for (int t = 0; t < 2; t++)         \
    for (int i = 0; i < 2; i++)       \
      CHECK_ENTRY(table->field[t][i], \
                  check_##field(table->field[t][i], (spk_dtype)t, (spk_itype)i), #field);
#define SPK_KERNEL_TIV(field, fn, most)                                                      \
  for (int t = 0; t < 2; t++)                                                                \
    for (int i = 0; i < 2; i++)                                                              \
      for (int v = 0; v < most; v++)                                                         \
        CHECK_ENTRY(table->field[t][i][v],                                                   \
                    check_##field(table->field[t][i][v], (spk_dtype)t, (spk_itype)i, v + 1), \
                    #field);

int main(void) {
  table = spk_active_kernels();
  if (!table) {
    printf("this machine has no %s\n", getenv("SPKERNELS_ISA"));
    return TEST_SKIPPED;
  }
  seed_random(20);
  check_rounding(to_f16, 5);
  check_rounding(to_bf16, 8);
#include "../../src/kernels/kernels.def"
  return test_result();
}
