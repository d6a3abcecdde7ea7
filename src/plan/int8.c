#include "int8.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of four per entry from which on int8_gather4 is faster with two vectors of columns,
 * though these are half of a panel: N = 32, 95% sparse, scattered 58 us by numbers, 54 by
 * int8_gather4, 16 x 1 46 and 34; but 4 x 4 36 and 56, 2:4 165 and 272 (Zen 5, two threads). */
#define MAX_NUMBERS 0.75

/* 0 where the magnitudes of a row exceed what sums in 32 bits allow. */
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

/* A with four columns as one: arrays of its own, in one allocation that begins with the offsets. */
typedef struct block4 {
  int64_t *offsets, *indices;
  int8_t *values; /* four per entry */
} block4;

/* Duplicates become entries of their own. */
static int make_block4(const spk_sparse *A, const int8_t *values, block4 *f, spk_sparse *made) {
  const size_t rows = (size_t)A->rows + 1, entries = (size_t)A->nnz + 1;
  char *memory = malloc(spk_size_sum(spk_size_product(rows, sizeof *f->offsets),
                                     spk_size_product(entries, sizeof *f->indices + 4)));
  if (!memory) return 0;
  f->offsets = (int64_t *)(void *)memory;
  f->indices = f->offsets + rows;
  f->values = (int8_t *)(f->indices + entries);
  memset(f->values, 0, 4 * entries);
  int64_t count = 0;
  f->offsets[0] = 0;
  for (ptrdiff_t i = 0; i < A->rows; i++) {
    const ptrdiff_t start = spk_index(A->offsets, A->itype, i);
    const ptrdiff_t end = spk_index(A->offsets, A->itype, i + 1);
    ptrdiff_t last = -1; /* column */
    for (ptrdiff_t p = start; p < end; p++) {
      const ptrdiff_t column = spk_index(A->indices, A->itype, p);
      if (last < 0 || column / 4 != last / 4 || column == last) f->indices[count++] = column / 4;
      f->values[4 * (count - 1) + column % 4] = values[p];
      last = column;
    }
    f->offsets[i + 1] = count;
  }
  *made = (spk_sparse){.format = SPK_CSR, .dtype = SPK_F32, .itype = SPK_I64, .flags = A->flags};
  made->rows = A->rows;
  made->cols = spk_ceil_div(A->cols, 4);
  made->nnz = (ptrdiff_t)count;
  made->block_rows = made->block_cols = 1;
  made->offsets = f->offsets;
  made->indices = f->indices;
  made->values = f->values;
  return 1;
}

static spk_status pack(const spk_sparse *A, const int8_t *values, ptrdiff_t width, int threads,
                       const spk_kernels *kernels, const spk_machine *machine, spk_int8 *into) {
  if (width > SPK_INT8_BLOCK4_MAX_COLUMNS || !kernels->bytes)
    return spk_int8_gather4_make(A, values, threads, kernels, machine, &into->gather4);
  block4 f;
  spk_sparse grouped;
  if (!make_block4(A, values, &f, &grouped)) return SPK_ERR_MEMORY;
  spk_status status = SPK_OK;
  const int wide = width > kernels->lanes[SPK_F32];
  if (wide && (double)grouped.nnz > MAX_NUMBERS * (double)A->nnz)
    status = spk_int8_gather4_make(A, values, threads, kernels, machine, &into->gather4);
  else if (width == 1 && spk_sell_suit(&grouped, kernels->bytes))
    status = spk_sell_make(&grouped, SPK_STORAGE_SAME, threads, kernels->bytes, &into->sell);
  if (status == SPK_OK && !into->sell && !into->gather4)
    status = spk_row_panels_make(&grouped, width, 0, SPK_STORAGE_SAME, threads, kernels->bytes,
                                 machine, &into->row_panels);
  free(f.offsets);
  return status;
}

spk_status spk_int8_make(const spk_sparse *A, const int8_t *values, ptrdiff_t width, int threads,
                         const spk_kernels *kernels, const spk_machine *machine, spk_int8 **made) {
  /* No B has as many rows, and nothing below may overflow. */
  if (A->cols > PTRDIFF_MAX / 2) return SPK_ERR_SPARSE;
  spk_int8 *m = calloc(1, sizeof *m);
  if (!m) return SPK_ERR_MEMORY;
  m->rows = A->rows;
  m->cols = A->cols;
  m->nnz = A->nnz;
  m->row_sums = malloc(spk_size_product((size_t)A->rows + 1, sizeof *m->row_sums));
  spk_status status = m->row_sums ? SPK_OK : SPK_ERR_MEMORY;
  if (status == SPK_OK && !add_rows(A, values, m->row_sums)) status = SPK_ERR_ARGUMENT;
  if (status == SPK_OK) status = pack(A, values, width, threads, kernels, machine, m);
  if (status == SPK_OK)
    *made = m;
  else
    spk_int8_free(m);
  return status;
}

void spk_int8_free(spk_int8 *A) {
  if (!A) return;
  free(A->row_sums);
  spk_int8_gather4_free(A->gather4);
  spk_row_panels_free(A->row_panels);
  spk_sell_free(A->sell);
  free(A);
}

size_t spk_int8_bytes(const spk_int8 *A) {
  if (!A) return 0;
  const size_t packed = A->gather4 ? spk_int8_gather4_bytes(A->gather4)
                        : A->sell  ? A->sell->bytes
                                   : spk_row_panels_bytes(A->row_panels);
  return sizeof *A + (size_t)A->rows * sizeof *A->row_sums + packed;
}
