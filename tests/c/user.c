/* What a C user writes: the public header, the library, and nothing else of this project.
 *
 * cc user.c $(pkg-config --cflags --libs spkernels)
 */
#include <spkernels/spkernels.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

static void expect(int holds, const char *what) {
  if (holds) return;
  printf("failed: %s\n", what);
  failures++;
}

/* 3 x 4:  [ 1  0  2  0 ]
 *         [ 0  0  0  0 ]
 *         [ 0  3  0 -4 ] */
static const int32_t offsets[] = {0, 2, 2, 4};
static const int32_t columns[] = {0, 2, 1, 3};
static const float values[] = {1, 2, 3, -4};

static spk_sparse example(void) {
  spk_sparse A = {.format = SPK_CSR,
                  .dtype = SPK_F32,
                  .itype = SPK_I32,
                  .rows = 3,
                  .cols = 4,
                  .nnz = 4,
                  .block_rows = 1,
                  .block_cols = 1,
                  .offsets = offsets,
                  .indices = columns,
                  .values = values};
  return A;
}

static void multiply(void) {
  const spk_sparse A = example();
  float b[4][2], c[3][2], dense[3][4] = {{0}};
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) b[i][j] = (float)(10 * i + j);
  for (int i = 0; i < 3; i++)
    for (int p = offsets[i]; p < offsets[i + 1]; p++) dense[i][columns[p]] = values[p];
  const spk_dense B = {SPK_F32, 4, 2, 2, 1, b}, C = {SPK_F32, 3, 2, 2, 1, c};
  expect(spk_spmm(&A, &B, &C, NULL, 0) == SPK_OK, "a product");
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 2; j++) {
      float sum = 0;
      for (int k = 0; k < 4; k++) sum += dense[i][k] * b[k][j];
      expect(c[i][j] == sum, "an element of the product");
    }

  /* relu(2 * A @ B + C + 1 per column), B and C by columns */
  float bt[2][4], ct[2][3];
  const float ones[] = {1, 1};
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 2; j++) bt[j][i] = b[i][j];
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 2; j++) ct[j][i] = c[i][j];
  const spk_dense Bt = {SPK_F32, 4, 2, 1, 4, bt}, Ct = {SPK_F32, 3, 2, 1, 3, ct};
  const spk_epilogue e = {.alpha = 2, .beta = 1, .bias_col = ones, .activation = SPK_RELU};
  expect(spk_spmm(&A, &Bt, &Ct, &e, 2) == SPK_OK, "a product with an epilogue");
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 2; j++) {
      const float x = 3 * c[i][j] + 1;
      expect(ct[j][i] == (x > 0 ? x : 0), "an element of the product with an epilogue");
    }
}

static void sample(void) {
  const spk_sparse P = example();
  double wide[4];
  float x[3][5], y[5][4], s[4];
  for (int i = 0; i < 3; i++)
    for (int c = 0; c < 5; c++) x[i][c] = (float)(i - c);
  for (int c = 0; c < 5; c++)
    for (int j = 0; j < 4; j++) y[c][j] = (float)(c * j + 1);
  const spk_dense X = {SPK_F32, 3, 5, 5, 1, x}, Y = {SPK_F32, 5, 4, 4, 1, y};
  const spk_sampling how = {.alpha = 0.5, .scale = 1};
  expect(spk_sddmm(&P, &X, &Y, s, &how, 0) == SPK_OK, "a sampled product");
  for (int i = 0; i < 3; i++)
    for (int p = offsets[i]; p < offsets[i + 1]; p++) {
      float dot = 0;
      for (int c = 0; c < 5; c++) dot += x[i][c] * y[c][columns[p]];
      expect(s[p] == 0.5f * dot * values[p], "a sampled entry");
    }
  const spk_dense wrong = {SPK_F64, 5, 4, 4, 1, wide};
  expect(spk_sddmm(&P, &X, &wrong, s, &how, 0) == SPK_ERR_DTYPE, "operands of two dtypes");
}

static void fail_politely(void) {
  spk_sparse A = example();
  expect(spk_check(&A, 1) == SPK_OK, "a check");
  expect(A.flags == (SPK_CHECKED | SPK_SORTED), "what the check found");

  const int32_t outside[] = {0, 4, 1, 3}, falling[] = {0, 3, 2, 4};
  A = example();
  A.indices = outside;
  expect(spk_check(&A, 1) == SPK_ERR_INDEX, "an index that is out of range");
  A = example();
  A.offsets = falling;
  expect(spk_check(&A, 1) == SPK_ERR_INDPTR, "offsets that decrease");
  expect(spk_check(NULL, 1) == SPK_ERR_ARGUMENT, "no matrix");

  float b[5], c[3] = {7, 7, 7};
  const spk_dense B = {SPK_F32, 5, 1, 1, 1, b}, C = {SPK_F32, 3, 1, 1, 1, c};
  A = example();
  expect(spk_spmm(&A, &B, &C, NULL, 0) == SPK_ERR_SHAPE, "shapes that do not fit");
  expect(c[0] == 7 && c[1] == 7 && c[2] == 7, "nothing written after an error");
  for (int status = SPK_OK; status <= SPK_ERR_ISA; status++)
    expect(spk_status_string((spk_status)status) != NULL, "a word for every status");
}

static void describe(void) {
  expect(spk_init() == SPK_OK && spk_isa() != NULL, "an instruction set");
  expect(spk_abi_version() == SPK_ABI_VERSION, "the library of this header");
  expect(spk_workspace_limit() > 0, "a bound on the workspace");
  spk_set_num_threads(2);
  expect(spk_get_num_threads() == 2, "the number of threads that was set");
  spk_set_num_threads(0);
  expect(spk_get_num_threads() >= 1, "the default number of threads");
  const char *openmp = spk_openmp();
  printf("spkernels: %s of", spk_isa());
  for (const char *const *isa = spk_isa_list(); *isa; isa++) printf(" %s", *isa);
  printf(", OpenMP %s\n", openmp ? openmp : "off");
}

int main(void) {
  describe();
  multiply();
  sample();
  fail_politely();
  return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
