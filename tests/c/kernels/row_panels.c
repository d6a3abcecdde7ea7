#include "checks.h"
#include "fixtures.h"

#include <math.h>
#include <string.h>

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

/* Runs of whole groups, of less and of both, of no, one and several entries; of one run, `share`
 * rows have their offsets in common. */
static void check_row_panels(spk_row_panel_fn kernel, spk_dtype dtype, ptrdiff_t group,
                             int vectors) {
  const ptrdiff_t lanes = lanes_of(dtype);
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
void check_spmm_row_panels_2(spk_row_panel_fn kernel, spk_dtype dtype, int vectors) {
  check_row_panels(kernel, dtype, 2, vectors);
}

void check_spmm_row_panels_4(spk_row_panel_fn kernel, spk_dtype dtype, int vectors) {
  check_row_panels(kernel, dtype, 4, vectors);
}

void check_spmm_row_panels_8(spk_row_panel_fn kernel, spk_dtype dtype, int vectors) {
  check_row_panels(kernel, dtype, 8, vectors);
}

static void check_paired_rows(spk_row_panel_fn kernel, spk_dtype dtype, ptrdiff_t width) {
  /* Groups of 16, 8 and 4 rows that share their offsets, and smaller ones. */
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

void check_spmm_paired_rows_half(spk_row_panel_fn kernel, spk_dtype dtype) {
  check_paired_rows(kernel, dtype, lanes_of(dtype) / 2);
}

void check_spmm_paired_rows_whole(spk_row_panel_fn kernel, spk_dtype dtype) {
  check_paired_rows(kernel, dtype, lanes_of(dtype));
}
