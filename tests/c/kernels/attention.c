#include "checks.h"
#include "attention.h"

#include <math.h>

void check_tile_pack(spk_tile_pack_fn kernel, spk_dtype dtype) {
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

attention random_attention(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t d, ptrdiff_t dv,
                           ptrdiff_t count, int with_bias) {
  attention a = {.dtype = dtype, .rows = rows, .d = d, .dv = dv, .count = count};
  a.Q = random_input(dtype, rows, d, tile_layout());
  a.K = random_input(dtype, MAX_KEYS, d, tile_layout());
  a.V = random_input(dtype, MAX_KEYS, dv, tile_layout());
  a.bias = random_input(dtype, rows, MAX_KEYS, with_bias > 1 ? COLUMN_MAJOR : ROW_MAJOR);
  a.with_bias = with_bias;
  a.keys = exact_memory((size_t)(count + SPK_TILE_ROWS) * sizeof *a.keys);
  a.bits = exact_memory((size_t)count * sizeof *a.bits);
  const int in_runs = random_below(2) == 0;
  for (ptrdiff_t j = 0; j < count + SPK_TILE_ROWS; j++)
    a.keys[j] =
        in_runs && j % 21 > 0 ? (a.keys[j - 1] + 1) % MAX_KEYS : (int32_t)random_below(MAX_KEYS);
  const int all = random_below(3) == 0;
  for (ptrdiff_t j = 0; j < count; j++) a.bits[j] = all ? 0xffff : (uint16_t)random_below(1 << 16);
  if (count > 2 && !all) a.bits[1] = 0xffff, a.bits[2] = 0;
  return a;
}

static void *matrix_row(const matrix *m, ptrdiff_t i) {
  return spk_at_mut(m->view.data, i * m->view.row_stride, spk_dtype_size(m->view.dtype));
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
      const ptrdiff_t width = by_tile ? spk_round_up(dv, lanes_of(dtype)) : dv + spare;
      matrix O = matrix_output(dtype, wide, width, width, 1);
      matrix out = random_output(dtype, rows, dv, ROW_MAJOR),
             lse = matrix_output(dtype, rows, 1, 1, 1);
      matrix panel = matrix_output(dtype, d, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      for (ptrdiff_t i = 0; i < wide; i++) {
        matrix_put(&state, 0, i, -INFINITY);
        matrix_put(&state, 1, i, 0);
      }
      for (ptrdiff_t i = 0; i < wide; i++)
        for (ptrdiff_t t = 0; t < width; t++) matrix_put(&O, i, t, 0);
      spk_attend_task task = attend_task(&a, &scores, &state, &O);
      if (by_tile) {
        checked->tile_pack[dtype](panel.memory, a.Q.view.data, a.Q.view.row_stride, rows, d, 0.75);
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
        CHECK(checked->attend_finish[dtype](&task, out.view.data, out.view.row_stride, lse.memory));
      else
        checked->attend_row_finish[dtype](&task, out.view.data, lse.memory);
      for (ptrdiff_t i = 0; i < rows; i++)
        compare_attention(&a, i, !by_tile, 0.75, matrix_row(&out, i), matrix_get(&lse, i, 0));
      CHECK(matrix_gaps_intact(&out));
      exact_memory_release();
    }
}

void check_attend_tile(spk_attend_fn kernel, spk_dtype dtype) {
  check_attend_keys(kernel, dtype, 1);
}
void check_attend_row(spk_attend_fn kernel, spk_dtype dtype) {
  check_attend_keys(kernel, dtype, 0);
}

/* The rest of it is checked with attend_tile. */
void check_attend_finish(spk_attend_finish_fn kernel, spk_dtype dtype) {
  const double specials[] = {1, INFINITY, -INFINITY, NAN};
  for (int s = 0; s < 4; s++)
    for (ptrdiff_t dv = 1; dv <= 20; dv += 19) {
      test_case("attend_finish %s, %td elements, %g", dtype_names[dtype], dv, specials[s]);
      matrix state = matrix_output(dtype, 2, SPK_TILE_ROWS, SPK_TILE_ROWS, 1);
      const ptrdiff_t width = spk_round_up(dv, lanes_of(dtype));
      matrix O = matrix_output(dtype, SPK_TILE_ROWS, width, width, 1);
      matrix out = matrix_output(dtype, 3, dv, dv, 1);
      for (ptrdiff_t i = 0; i < SPK_TILE_ROWS; i++) {
        matrix_put(&state, 0, i, 0);
        matrix_put(&state, 1, i, 2);
        for (ptrdiff_t t = 0; t < dv; t++) matrix_put(&O, i, t, (double)i);
      }
      matrix_put(&O, 2, dv - 1, specials[s]);
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
void check_attend_row_finish(spk_attend_row_finish_fn kernel, spk_dtype dtype) {
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
