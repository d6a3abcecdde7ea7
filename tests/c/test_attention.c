/* spk_attend and the patterns it goes by: against a plain loop in double, on any number of threads;
 * spk_softmax on top. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "matrix.h"
#include "sparse.h"

enum { HEADS = 3 };

/* Heads lie one below the other in each matrix, in an order of their own. */
typedef struct problem {
  sparse P;
  matrix Q, K, V, bias;
  ptrdiff_t d, dv;
  ptrdiff_t q[HEADS], k[HEADS], v[HEADS], out[HEADS], biases[HEADS];
} problem;

static problem random_problem(const sparse_shape *shape, ptrdiff_t d, ptrdiff_t dv, layout how) {
  const spk_dtype dtype = shape->dtype;
  problem p = {.P = sparse_random(shape), .d = d, .dv = dv};
  ptrdiff_t row, col;
  matrix_strides(HEADS * shape->rows, d, how, 3, &row, &col);
  p.Q = matrix_input(dtype, HEADS * shape->rows, d, row, col);
  matrix_strides(HEADS * shape->cols, d, how, 2, &row, &col);
  p.K = matrix_input(dtype, HEADS * shape->cols, d, row, col);
  matrix_strides(HEADS * shape->cols, dv, how, 1, &row, &col);
  p.V = matrix_input(dtype, HEADS * shape->cols, dv, row, col);
  p.bias = matrix_input(dtype, shape->rows, shape->cols, shape->cols, 1);
  for (int h = 0; h < HEADS; h++) {
    p.q[h] = (HEADS - 1 - h) * shape->rows * p.Q.view.row_stride;
    p.k[h] = (h / 2) * shape->cols * p.K.view.row_stride; /* two heads share one */
    p.v[h] = h * shape->cols * p.V.view.row_stride;
    p.out[h] = h * shape->rows * (dv + 5);
    p.biases[h] = 0;
  }
  return p;
}

static spk_attention attention_of(const problem *p, matrix *out, void *lse, int with_bias) {
  return (spk_attention){.dtype = p->P.view.dtype,
                         .heads = HEADS,
                         .d = p->d,
                         .dv = p->dv,
                         .scale = 0.5,
                         .Q = p->Q.view.data,
                         .K = p->K.view.data,
                         .V = p->V.view.data,
                         .out = out->view.data,
                         .q_stride = p->Q.view.row_stride,
                         .k_stride = p->K.view.row_stride,
                         .v_stride = p->V.view.row_stride,
                         .out_stride = out->view.row_stride,
                         .q_offsets = p->q,
                         .k_offsets = p->k,
                         .v_offsets = p->v,
                         .out_offsets = p->out,
                         .bias = with_bias ? p->bias.view.data : NULL,
                         .bias_row_stride = p->bias.view.row_stride,
                         .bias_col_stride = p->bias.view.col_stride,
                         .bias_offsets = p->biases,
                         .lse = lse};
}

static matrix output_of(const problem *p) {
  return matrix_output(p->P.view.dtype, HEADS * p->P.view.rows, p->dv, p->dv + 5, 1);
}

/* Row i of head h; duplicates count once. */
static void compare_row(const problem *p, int h, ptrdiff_t i, int with_bias, const matrix *out,
                        const matrix *lse) {
  const ptrdiff_t m = p->P.view.cols, n = p->P.view.rows;
  const double u = p->P.view.dtype == SPK_F32 ? 0x1p-24 : 0x1p-53;
  double *score = malloc((size_t)m * sizeof *score), most = -INFINITY, slack = 0, sum = 0;
  for (ptrdiff_t k = 0; k < m; k++) score[k] = -INFINITY;
  for (ptrdiff_t e = 0; e < p->P.entries; e++) {
    if (p->P.row[e] != i) continue;
    const ptrdiff_t k = p->P.col[e];
    double x = 0, size = 1;
    for (ptrdiff_t t = 0; t < p->d; t++) {
      const double term = 0.5 * matrix_get(&p->Q, (HEADS - 1 - h) * n + i, t) *
                          matrix_get(&p->K, (h / 2) * m + k, t);
      x += term;
      size += fabs(term);
    }
    if (with_bias) x += matrix_get(&p->bias, i, k);
    score[k] = x;
    most = fmax(most, x);
    slack = fmax(slack, 2 * (double)(p->d + 4) * u * size);
  }
  for (ptrdiff_t k = 0; k < m; k++) sum += score[k] == -INFINITY ? 0 : exp(score[k] - most);
  slack += (double)(2 * m + 24) * u;
  for (ptrdiff_t t = 0; t < p->dv; t++) {
    double x = 0, size = 0;
    for (ptrdiff_t k = 0; k < m; k++) {
      if (score[k] == -INFINITY) continue;
      const double term = exp(score[k] - most) / sum * matrix_get(&p->V, h * m + k, t);
      x += term;
      size += fabs(term);
    }
    const double got = matrix_get(out, h * n + i, t);
    CHECK(fabs(got - x) <= slack * size, "head %d, row %td, element %td: %.9g, not %.9g", h, i, t,
          got, x);
  }
  const double got = matrix_get(lse, h * n + i, 0);
  CHECK(sum == 0 ? got == -INFINITY : fabs(got - most - log(sum)) <= slack * (1 + fabs(got)),
        "lse of head %d, row %td: %.9g", h, i, got);
  free(score);
}

static const sparse_shape shapes[] = {
    {SPK_CSR, SPK_F32, SPK_I32, 50, 70, 1, 1, 2500, 1},
    {SPK_CSR, SPK_F32, SPK_I64, 33, 90, 1, 1, 150, 1},
    {SPK_CSR, SPK_F64, SPK_I32, 40, 40, 1, 1, 1200, 1},
    {SPK_CSR, SPK_F64, SPK_I64, 17, 300, 1, 1, 400, 1},
    {SPK_CSR, SPK_F32, SPK_I32, 1, 1, 1, 1, 1, 1},
    {SPK_CSR, SPK_F32, SPK_I32, 5, 0, 1, 1, 0, 1},
    {SPK_CSR, SPK_F32, SPK_I32, 20, 9000, 1, 1, 3000, 1}, /* more than a window */
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void check_attention(void) {
  static const int counts[] = {2, 3, 64, INT_MAX, 0};
  for (int s = 0; s < SHAPES; s++)
    for (int with_bias = 0; with_bias < 2; with_bias++) {
      const ptrdiff_t d = 7 + 13 * s, dv = s % 2 ? 64 : 5 + 145 * (s / 2 % 2);
      test_case("attention %td x %td, %td entries, d = %td, %td, bias %d", shapes[s].rows,
                shapes[s].cols, shapes[s].entries, d, dv, with_bias);
      const problem p = random_problem(&shapes[s], d, dv, s % 2 ? UPSIDE_DOWN : ROW_MAJOR);
      exact_memory_freeze();
      matrix out = output_of(&p);
      const matrix lse = matrix_output(shapes[s].dtype, HEADS * shapes[s].rows, 1, 1, 1);
      spk_column_runs *mask = NULL;
      CHECK(spk_column_runs_make(&p.P.view, 1, &mask) == SPK_OK);
      CHECK(spk_column_runs_bytes(mask) > 0);
      const spk_attention a = attention_of(&p, &out, lse.memory, with_bias);
      CHECK(spk_attend(mask, &a, 1) == SPK_OK);
      for (int h = 0; h < HEADS; h++)
        for (ptrdiff_t i = 0; i < shapes[s].rows; i++) compare_row(&p, h, i, with_bias, &out, &lse);
      CHECK(matrix_gaps_intact(&out));
      for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        matrix again = output_of(&p);
        spk_column_runs *other = NULL;
        CHECK(spk_column_runs_make(&p.P.view, counts[c], &other) == SPK_OK);
        spk_attention b = attention_of(&p, &again, NULL, with_bias);
        CHECK(spk_attend(other, &b, counts[c]) == SPK_OK);
        CHECK(matrix_same_bits(&out, &again), "%d threads", counts[c]);
        spk_column_runs_free(other);
      }
      spk_column_runs_free(mask);
      exact_memory_release();
    }
}

/* A band, by its runs, and as CSR. */
static void check_runs(void) {
  enum { N = 100, RADIUS = 7 };
  test_case("a band by runs");
  int64_t *offsets = exact_memory((N + 1) * sizeof *offsets);
  int32_t *starts = exact_memory(N * sizeof *starts), *stops = exact_memory(N * sizeof *stops);
  int64_t *indptr = exact_memory((N + 1) * sizeof *indptr);
  int64_t *indices = exact_memory(N * (2 * RADIUS + 1) * sizeof *indices);
  indptr[0] = offsets[0] = 0;
  for (int i = 0; i < N; i++) {
    offsets[i + 1] = i + 1;
    starts[i] = i < RADIUS ? 0 : i - RADIUS;
    stops[i] = i + RADIUS >= N ? N : i + RADIUS + 1;
    indptr[i + 1] = indptr[i];
    for (int32_t k = starts[i]; k < stops[i]; k++) indices[indptr[i + 1]++] = k;
  }
  const spk_runs runs = {N, N, offsets, starts, stops};
  const spk_sparse csr = {SPK_CSR, SPK_F32, SPK_I64, 0,       N,    N,   indptr[N],
                          1,       1,       indptr,  indices, NULL, NULL};
  spk_column_runs *one = NULL, *two = NULL;
  CHECK(spk_column_runs_from(&runs, 1, &one) == SPK_OK);
  CHECK(spk_column_runs_make(&csr, 1, &two) == SPK_OK);
  CHECK(spk_column_runs_nnz(one) == indptr[N] && spk_column_runs_nnz(two) == indptr[N]);
  const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, N, N, 1, 1, 10, 1};
  const problem p = random_problem(&shape, 16, 16, ROW_MAJOR);
  matrix out = output_of(&p), same = output_of(&p);
  const spk_attention a = attention_of(&p, &out, NULL, 0), b = attention_of(&p, &same, NULL, 0);
  CHECK(spk_attend(one, &a, 1) == SPK_OK && spk_attend(two, &b, 1) == SPK_OK);
  CHECK(matrix_same_bits(&out, &same));
  spk_column_runs_free(one);
  spk_column_runs_free(two);
  exact_memory_release();
}

static void check_refused(void) {
  test_case("patterns that are refused");
  int64_t offsets[] = {0, 2, 3};
  int32_t starts[] = {0, 3, 1}, stops[] = {2, 5, 4};
  spk_runs runs = {2, 5, offsets, starts, stops};
  spk_column_runs *p = NULL;
  CHECK(spk_column_runs_from(NULL, 1, &p) == SPK_ERR_ARGUMENT);
  CHECK(spk_column_runs_from(&runs, 1, NULL) == SPK_ERR_ARGUMENT);
  runs.starts = NULL;
  CHECK(spk_column_runs_from(&runs, 1, &p) == SPK_ERR_ARGUMENT);
  runs.starts = starts;
  runs.cols = INT_MAX;
  CHECK(spk_column_runs_from(&runs, 1, &p) == SPK_ERR_SHAPE);
  runs.cols = 4;
  CHECK(spk_column_runs_from(&runs, 1, &p) == SPK_ERR_INDEX);
  runs.cols = 5;
  starts[1] = 1; /* overlaps */
  CHECK(spk_column_runs_from(&runs, 1, &p) == SPK_ERR_INDEX);
  starts[1] = 5; /* empty */
  CHECK(spk_column_runs_from(&runs, 1, &p) == SPK_ERR_INDEX);
  starts[1] = 3;
  starts[0] = -1;
  CHECK(spk_column_runs_from(&runs, 1, &p) == SPK_ERR_INDEX);
  starts[0] = 0;
  offsets[1] = 4;
  CHECK(spk_column_runs_from(&runs, 1, &p) == SPK_ERR_INDEX);
  offsets[1] = 2;
  CHECK(!p && spk_column_runs_nnz(p) == 0 && spk_column_runs_bytes(p) == 0);
  spk_column_runs_free(p);

  int32_t indptr[] = {0, 2, 3}, indices[] = {0, 3, 1};
  spk_sparse P = {SPK_CSR, SPK_F32, SPK_I32, 0, 2, 5, 3, 1, 1, indptr, indices, NULL, NULL};
  CHECK(spk_column_runs_make(NULL, 1, &p) == SPK_ERR_ARGUMENT);
  indices[1] = 5;
  CHECK(spk_column_runs_make(&P, 1, &p) == SPK_ERR_INDEX);
  indices[1] = 3, indices[0] = 4; /* not sorted */
  CHECK(spk_column_runs_make(&P, 1, &p) == SPK_ERR_ARGUMENT);
  indices[0] = 0, indptr[1] = 4;
  CHECK(spk_column_runs_make(&P, 1, &p) == SPK_ERR_INDPTR);
  indptr[1] = 2;
  P.format = SPK_CSC;
  CHECK(spk_column_runs_make(&P, 1, &p) != SPK_OK && !p);
  P.format = SPK_CSR;
  CHECK(spk_column_runs_make(&P, 1, &p) == SPK_OK);

  test_case("attention that is refused");
  const sparse_shape shape = {SPK_CSR, SPK_F32, SPK_I32, 2, 5, 1, 1, 3, 1};
  const problem x = random_problem(&shape, 3, 3, ROW_MAJOR);
  matrix out = output_of(&x);
  const spk_attention good = attention_of(&x, &out, NULL, 1);
  spk_attention bad[8];
  for (int i = 0; i < 8; i++) bad[i] = good;
  bad[0].Q = NULL, bad[1].K = NULL, bad[2].V = NULL, bad[3].out = NULL;
  bad[4].q_offsets = NULL, bad[5].bias_offsets = NULL, bad[6].d = -1, bad[7].dtype = (spk_dtype)2;
  const matrix old = matrix_copy(&out);
  for (int i = 0; i < 8; i++) CHECK(spk_attend(p, &bad[i], 1) == SPK_ERR_ARGUMENT, "case %d", i);
  CHECK(spk_attend(NULL, &good, 1) == SPK_ERR_ARGUMENT &&
        spk_attend(p, NULL, 1) == SPK_ERR_ARGUMENT);
  CHECK(matrix_same_bits(&out, &old));
  CHECK(spk_attend(p, &good, 1) == SPK_OK && !matrix_same_bits(&out, &old));
  spk_column_runs_free(p);
  exact_memory_release();
}

static void check_softmax(void) {
  for (int threads = 1; threads <= 64; threads *= 8) {
    const sparse_shape shape = {SPK_CSR, SPK_F64, SPK_I32, 3000, 40, 1, 1, 60000, 0};
    test_case("softmax, %d threads", threads);
    const sparse P = sparse_random(&shape);
    exact_memory_freeze();
    double *values = exact_memory((size_t)P.entries * sizeof *values);
    CHECK(spk_softmax(&P.view, values, 1, threads) == SPK_OK);
    double *sums = calloc((size_t)shape.rows, sizeof *sums);
    for (ptrdiff_t e = 0; e < P.entries; e++) sums[P.row[e]] += exp(sparse_value(&P, e));
    for (ptrdiff_t e = 0; e < P.entries; e++) {
      const double expected = exp(sparse_value(&P, e)) / sums[P.row[e]];
      CHECK(fabs(values[e] - expected) <= 1e-13 * expected, "entry %td", e);
    }
    free(sums);
    exact_memory_release();
  }
  spk_sparse csc = {.format = SPK_CSC, .block_rows = 1, .block_cols = 1};
  CHECK(spk_softmax(&csc, NULL, 1, 1) == SPK_ERR_ARGUMENT &&
        spk_softmax(NULL, NULL, 1, 1) != SPK_OK);
}

int main(void) {
  if (!spk_isa()) return TEST_SKIPPED;
  seed_random(2017);
  check_attention();
  check_runs();
  check_refused();
  check_softmax();
  return test_result();
}
