/* spk_sddmm against a plain loop in double: formats, types, layouts, samplings, sizes, threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "matrix.h"
#include "sparse.h"

static const spk_sampling samplings[] = {{1, 0, 0},    {-0.75, 0, 0}, {1, 1, 0},
                                         {0.5, -2, 0}, {1, 0, 1},     {1.5, 0.25, 1}};
enum { SAMPLINGS = sizeof samplings / sizeof *samplings };

/* Where the values go. */
typedef enum target { ELSEWHERE, IN_PLACE, WITHOUT_VALUES, TARGETS } target;

typedef struct product {
  sparse_shape p;
  ptrdiff_t k;
  layout x_layout, y_layout;
  int sampling, threads;
  target target;
} product;

static matrix dense(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how) {
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, random_below(3), &row_stride, &col_stride);
  return matrix_input(dtype, rows, cols, row_stride, col_stride);
}

static void check_product(const product *x) {
  const spk_sampling *how = &samplings[x->sampling];
  const spk_dtype dtype = x->p.dtype;
  test_case(
      "%s %td x %td (blocks %td x %td, %td entries, %s), f%d i%d, k = %td, layouts %d %d, "
      "%d threads, alpha = %g, beta = %g, scale = %d, target %d",
      sparse_format_name(x->p.format), x->p.rows, x->p.cols, x->p.block_rows, x->p.block_cols,
      x->p.entries, x->p.sorted ? "sorted" : "unsorted", dtype == SPK_F32 ? 32 : 64,
      x->p.itype == SPK_I32 ? 32 : 64, x->k, x->x_layout, x->y_layout, x->threads, how->alpha,
      how->beta, how->scale, x->target);
  sparse P = sparse_random(&x->p);
  const matrix X = dense(dtype, x->p.rows, x->k, x->x_layout);
  const matrix Y = dense(dtype, x->k, x->p.cols, x->y_layout);
  exact_memory_freeze();
  const matrix out = matrix_output(dtype, P.entries, 1, 1, 1);
  const sparse given = P;
  if (x->target == IN_PLACE && P.entries > 0) {
    memcpy(out.memory, P.view.values, (size_t)P.entries * spk_dtype_size(dtype));
    P.view.values = out.memory;
  }
  const int reads_values = how->beta != 0 || how->scale;
  if (x->target == WITHOUT_VALUES && !reads_values) P.view.values = NULL;
  const spk_status status = spk_sddmm(&P.view, &X.view, &Y.view, out.memory, how, x->threads);
  CHECK(status == SPK_OK, "%s", spk_status_string(status));
  for (ptrdiff_t p = 0; p < P.entries; p++) {
    exact e = {0};
    for (ptrdiff_t c = 0; c < x->k; c++)
      exact_add(&e, matrix_get(&X, P.row[p], c) * matrix_get(&Y, c, P.col[p]));
    e = exact_sampling(e, how, sparse_value(&given, p));
    CHECK(exact_matches(e, dtype, matrix_get(&out, p, 0)), "entry %td = %.17g, not %.17g", p,
          matrix_get(&out, p, 0), e.value);
  }
  exact_memory_release();
}

static void check_small(int count) {
  static const ptrdiff_t blocks[][2] = {{1, 1}, {2, 3}, {4, 4}, {16, 1}, {1, 8}, {5, 2}};
  for (int i = 0; i < count; i++) {
    const spk_format format = (spk_format)random_below(FORMATS);
    const ptrdiff_t *block = blocks[format == SPK_BSR ? random_below(6) : 0];
    const product x = {
        {format, (spk_dtype)random_below(2), (spk_itype)random_below(2),
         block[0] * random_below(41 / block[0]), block[1] * random_below(41 / block[1]), block[0],
         block[1], random_below(250), (int)random_below(2)},
        random_below(4) ? random_below(20) : random_below(100),
        (layout)random_below(INPUT_LAYOUTS),
        (layout)random_below(INPUT_LAYOUTS),
        (int)random_below(SAMPLINGS),
        (int)random_below(4),
        (target)random_below(TARGETS)};
    check_product(&x);
  }
}

/* Shapes on which plans pack X, pack Y in one panel and in several, and give up on packing. */
static void check_large(void) {
  static const ptrdiff_t shapes[][4] = {/* rows, cols, entries, k */
                                        {20, 3000, 20000, 40},
                                        {200, 300, 8000, 130},
                                        {2000, 6000, 2000, 64},
                                        {12, 1200, 1200, 600}};
  for (int format = 0; format < FORMATS; format++)
    for (int s = 0; s < 4; s++)
      for (int how = 0; how < INPUT_LAYOUTS; how++) {
        if ((format + s + how / 2) % 2) continue; /* each two of the three meet, in both dtypes */
        const ptrdiff_t *shape = shapes[s], R = format == SPK_BSR ? 4 : 1, W = R == 4 ? 2 : 1;
        const product x = {{(spk_format)format, (spk_dtype)(how % 2), (spk_itype)(s % 2), shape[0],
                            shape[1], R, W, shape[2], how != SPACED},
                           shape[3],
                           (layout)((how + s) % INPUT_LAYOUTS),
                           (layout)how,
                           (how + s) % SAMPLINGS,
                           1 + (s + how) % 3,
                           (target)(s % TARGETS)};
        check_product(&x);
      }
}

/* Rows that have most columns in common go by tiles: of one window of columns and of several, in
 * panels and not. */
static void check_tiles(void) {
  static const ptrdiff_t shapes[][4] = {
      /* rows, cols, entries, k */
      {100, 150, 5000, 64}, {33, 400, 2000, 130}, {20, 5000, 15000, 20}, {17, 100, 600, 200},
      {150, 200, 5000, 33}, {16, 600, 700, 4200}, {160, 700, 45000, 130}};
  for (int s = 0; s < 7; s++)
    for (int how = 0; how < INPUT_LAYOUTS; how++)
      for (int format = 0; format < 3; format++) {
        const ptrdiff_t *shape = shapes[s];
        if (s >= 5 ? how > 1 : (format + s + how / 2) % 2) continue;
        const product x = {{(spk_format)format, (spk_dtype)(how % 2), (spk_itype)(s % 2), shape[0],
                            shape[1], 1, 1, shape[2], IN_RUNS},
                           shape[3],
                           (layout)((how + s) % INPUT_LAYOUTS),
                           (layout)how,
                           (how + s) % SAMPLINGS,
                           1 + (s + how) % 3,
                           (target)(s % TARGETS)};
        check_product(&x);
      }
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(2001);
  check_small(2000);
  check_large();
  check_tiles();
  return test_result();
}
