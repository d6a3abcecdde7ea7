/* SPKERNELS_ISA chooses the instruction set that is planned for. */
#include <stdlib.h>

#include "plan.h"

spk_machine machines[MACHINES];

spk_sparse sparse_of(spk_format format, spk_dtype dtype, const shape *s, int sorted) {
  return (spk_sparse){.format = format,
                      .dtype = dtype,
                      .itype = s->entries > INT32_MAX || s->cols > INT32_MAX ? SPK_I64 : SPK_I32,
                      .flags = SPK_CHECKED | (sorted ? SPK_SORTED : 0),
                      .rows = s->rows,
                      .cols = s->cols,
                      .nnz = s->entries,
                      .block_rows = 1,
                      .block_cols = 1};
}

spk_dense dense_of(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t cols, layout how) {
  static _Alignas(64) char elements[64];
  ptrdiff_t row_stride, col_stride;
  matrix_strides(rows, cols, how, 0, &row_stride, &col_stride);
  return (spk_dense){dtype, rows, cols, row_stride, col_stride, elements};
}

int main(void) {
  if (!spk_active_kernels()) {
    printf("this machine has no %s\n", getenv("SPKERNELS_ISA"));
    return TEST_SKIPPED;
  }
  static const size_t caches[MACHINES][2] = {
      {16 << 10, 128 << 10}, {32 << 10, 1 << 20}, {64 << 10, 16 << 20}};
  for (int m = 0; m < MACHINES; m++) {
    machines[m] = *spk_active_machine();
    machines[m].l1_bytes = caches[m][0];
    machines[m].l2_bytes = caches[m][1];
  }
  seed_random(40);
  check_partition();
  check_gather();
  check_scatter();
  check_partial();
  check_sddmm();
  check_row_panels();
  check_sell();
  check_int8();
  check_cost();
  return test_result();
}
