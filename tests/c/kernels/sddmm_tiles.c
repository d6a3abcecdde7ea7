#include "checks.h"
#include "attention.h"

#include <math.h>

void check_sddmm_tile(spk_sddmm_tile_fn kernel, spk_dtype dtype) {
  const spk_tile_pack_fn pack = checked->tile_pack[dtype];
  for (ptrdiff_t count = 1; count <= MAX_KEYS; count += 1 + count / 4)
    for (ptrdiff_t d = 0; d < 50; d += 1 + d) {
      test_case("sddmm_tile %s, %td keys, d = %td", dtype_names[dtype], count, d);
      const attention a = random_attention(dtype, SPK_TILE_ROWS, d, 1, count, 0);
      exact_memory_freeze();
      const ptrdiff_t ld = spk_round_up(count, SPK_TILE_ROWS);
      matrix panel = matrix_output(dtype, d, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      matrix scores = matrix_output(dtype, count + SPK_TILE_ROWS, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      matrix rows = matrix_output(dtype, SPK_TILE_ROWS, ld, ld, 1);
      pack(panel.memory, a.Q.view.data, a.Q.view.row_stride, SPK_TILE_ROWS, d, 1.0);
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
void check_sddmm_place(spk_place_fn kernel, spk_dtype dtype) {
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
