#include <spkernels/spkernels.h>
#include <stdint.h>
#include <stdio.h>

int main(void) {
  /* 2 x 3:  [ 0 2 0 ]
   *         [ 1 0 3 ] */
  static const int32_t offsets[] = {0, 1, 3}, columns[] = {1, 0, 2};
  static const float values[] = {2, 1, 3};
  float b[3][2] = {{1, 2}, {3, 4}, {5, 6}}, c[2][2];

  const spk_sparse A = {.format = SPK_CSR, .dtype = SPK_F32, .itype = SPK_I32,
                        .rows = 2, .cols = 3, .nnz = 3, .block_rows = 1, .block_cols = 1,
                        .offsets = offsets, .indices = columns, .values = values};
  const spk_dense B = {SPK_F32, 3, 2, 2, 1, b}, C = {SPK_F32, 2, 2, 2, 1, c};
  const spk_status status = spk_spmm(&A, &B, &C, NULL, 0);
  if (status != SPK_OK) {
    fprintf(stderr, "%s\n", spk_status_string(status));
    return 1;
  }
  printf("%g %g\n%g %g\n", c[0][0], c[0][1], c[1][0], c[1][1]);
  return 0;
}
