#include "int8.h"

#include <stdlib.h>
#include <string.h>

/* Sum the values of each row.  Returns 0 if the magnitudes of a row exceed what 32-bit sums
 * allow. */
static int add_rows(const spk_sparse *A, const int8_t *values, int32_t *row_sums) {
  for (ptrdiff_t i = 0; i < A->rows; i++) {
    int64_t sum = 0, magnitude = 0;
    const ptrdiff_t end = spk_index(A->offsets, A->itype, i + 1);
    for (ptrdiff_t p = spk_index(A->offsets, A->itype, i); p < end; p++) {
      sum += values[p];
      magnitude += values[p] < 0 ? -values[p] : values[p];
    }
    if (magnitude > SPK_MAX_ROW_SUM) return 0;
    row_sums[i] = (int32_t)sum;
  }
  return 1;
}

void spk_int8_discard(spk_int8 *A) {
  if (!A) return;
  free(A->row_sums);
  spk_int8_gather4_free(A->gather4);
  spk_row_panels_free(A->row_panels);
  spk_sell_free(A->sell);
  free(A);
}

spk_status spk_int8_new(const spk_sparse *A, const int8_t *values, spk_int8 **made) {
  /* No B has this many rows, and the sizes below must not overflow. */
  if (A->cols > PTRDIFF_MAX / 2) return SPK_ERR_SPARSE;
  spk_int8 *m = calloc(1, sizeof *m);
  if (!m) return SPK_ERR_MEMORY;
  m->rows = A->rows;
  m->cols = A->cols;
  m->nnz = A->nnz;
  m->row_sums = malloc(spk_size_product((size_t)A->rows + 1, sizeof *m->row_sums));
  spk_status status = m->row_sums ? SPK_OK : SPK_ERR_MEMORY;
  if (status == SPK_OK && !add_rows(A, values, m->row_sums)) status = SPK_ERR_ARGUMENT;
  if (status == SPK_OK)
    *made = m;
  else
    spk_int8_discard(m);
  return status;
}

/* Write a value as number `of`'s column `at`, as 8 or as 16 bits. */
static void put_value(int8_t *bytes, int64_t of, ptrdiff_t at, int8_t value, int number_values) {
  if (number_values == 4) {
    bytes[4 * of + at] = value;
  } else {
    const int16_t wide = value;
    memcpy(bytes + 4 * of + 2 * at, &wide, sizeof wide);
  }
}

spk_status spk_int8_group(const spk_sparse *A, const int8_t *values, int number_values,
                          spk_int8_block4 *made) {
  const size_t rows = (size_t)A->rows + 1, entries = (size_t)A->nnz + 1;
  int64_t *offsets = malloc(spk_size_sum(spk_size_product(rows, sizeof *offsets),
                                         spk_size_product(entries, sizeof *offsets + 4)));
  if (!offsets) return SPK_ERR_MEMORY;
  int64_t *indices = offsets + rows;
  int8_t *bytes = (int8_t *)(indices + entries); /* four per entry */
  memset(bytes, 0, 4 * entries);
  int64_t count = 0;
  offsets[0] = 0;
  for (ptrdiff_t i = 0; i < A->rows; i++) {
    const ptrdiff_t start = spk_index(A->offsets, A->itype, i);
    const ptrdiff_t end = spk_index(A->offsets, A->itype, i + 1);
    ptrdiff_t last = -1; /* column */
    for (ptrdiff_t p = start; p < end; p++) {
      const ptrdiff_t column = spk_index(A->indices, A->itype, p);
      const ptrdiff_t number = column / number_values;
      if (last < 0 || number != last / number_values || column == last) indices[count++] = number;
      put_value(bytes, count - 1, column % number_values, values[p], number_values);
      last = column;
    }
    offsets[i + 1] = count;
  }
  made->memory = offsets;
  made->grouped = (spk_sparse){.format = SPK_CSR, .dtype = SPK_F32, .itype = SPK_I64};
  made->grouped.flags = A->flags;
  made->grouped.rows = A->rows;
  made->grouped.cols = spk_ceil_div(A->cols, number_values);
  made->grouped.nnz = (ptrdiff_t)count;
  made->grouped.block_rows = made->grouped.block_cols = 1;
  made->grouped.offsets = offsets;
  made->grouped.indices = indices;
  made->grouped.values = bytes;
  return SPK_OK;
}

size_t spk_int8_size(const spk_int8 *A) {
  const size_t packed = A->gather4 ? spk_int8_gather4_bytes(A->gather4)
                        : A->sell  ? A->sell->bytes
                                   : spk_row_panels_bytes(A->row_panels);
  return sizeof *A + (size_t)A->rows * sizeof *A->row_sums + packed;
}
