/* The input of all packers: the entries of a CSR matrix, checked, sorted, in fixed index types.
 *
 * The headers of this folder are C11 and C++17 alike: nvcc compiles them into the library, and a C
 * compiler into a test that multiplies by what they pack.  Packers see indices and never values.
 * For each packed value they store its *slot*, the number of the caller's value (-1: none, a zero).
 * So new values reach the device in the same way as the first values. */
#ifndef SPK_PACK_ENTRIES_H
#define SPK_PACK_ENTRIES_H

#include <stdlib.h>

#include "../../../src/common/common.h"

/* Repeated entries stay next to each other, in the order of the input. */
typedef struct spk_entries {
  int64_t rows, cols, nnz;
  int64_t *offsets; /* rows + 1 */
  int32_t *columns;
  int64_t *slots; /* the number of each entry in the input */
} spk_entries;

/* `count` elements that are not initialised.  NULL only if there is no memory. */
static inline void *spk_pack_new(int64_t count, size_t size) {
  if (count < 0 || (uint64_t)count > PTRDIFF_MAX / size) return NULL;
  return malloc(count ? (size_t)count * size : 1);
}

static inline void spk_entries_free(spk_entries *entries) {
  free(entries->offsets);
  free(entries->columns);
  free(entries->slots);
  memset(entries, 0, sizeof *entries);
}

static inline int spk_entries_check_offsets(const spk_sparse *A) {
  if (spk_index(A->offsets, A->itype, 0) != 0) return SPK_ERR_INDPTR;
  for (ptrdiff_t i = 0; i < A->rows; i++) {
    if (spk_index(A->offsets, A->itype, i) > spk_index(A->offsets, A->itype, i + 1))
      return SPK_ERR_INDPTR;
  }
  return spk_index(A->offsets, A->itype, A->rows) > A->nnz ? SPK_ERR_INDPTR : SPK_OK;
}

/* Whether entry x comes before entry y in a row. */
typedef struct spk_column_slot {
  int32_t column;
  int64_t slot;
} spk_column_slot;
static inline int spk_compare_columns(const void *x, const void *y) {
  const spk_column_slot *a = (const spk_column_slot *)x, *b = (const spk_column_slot *)y;
  if (a->column != b->column) return a->column < b->column ? -1 : 1;
  return a->slot < b->slot ? -1 : 1;
}

static inline int spk_entries_sort_row(spk_entries *entries, int64_t row, spk_column_slot **room,
                                       int64_t *size) {
  const int64_t begin = entries->offsets[row], count = entries->offsets[row + 1] - begin;
  int32_t *columns = entries->columns + begin;
  int64_t *slots = entries->slots + begin;
  int sorted = 1;
  for (int64_t p = 1; p < count; p++) sorted &= columns[p - 1] <= columns[p];
  if (sorted) return SPK_OK;
  if (count > *size) {
    free(*room);
    *size = 2 * count;
    *room = (spk_column_slot *)spk_pack_new(*size, sizeof **room);
    if (!*room) return SPK_ERR_MEMORY;
  }
  for (int64_t p = 0; p < count; p++) {
    (*room)[p].column = columns[p];
    (*room)[p].slot = slots[p];
  }
  qsort(*room, (size_t)count, sizeof **room, spk_compare_columns);
  for (int64_t p = 0; p < count; p++) {
    columns[p] = (*room)[p].column;
    slots[p] = (*room)[p].slot;
  }
  return SPK_OK;
}

/* Check, copy and sort A.  SPK_ERR_ARGUMENT, _SHAPE, _INDPTR, _INDEX or _MEMORY if that fails;
 * `made` is empty then. */
static inline int spk_entries_make(const spk_sparse *A, spk_entries *made) {
  memset(made, 0, sizeof *made);
  if (A->format != SPK_CSR || A->rows < 0 || A->cols < 0 || A->nnz < 0 || !A->offsets ||
      (A->nnz && !A->indices))
    return SPK_ERR_ARGUMENT;
  if (A->cols > INT32_MAX) return SPK_ERR_SHAPE;
  int status = spk_entries_check_offsets(A);
  if (status != SPK_OK) return status;
  made->rows = A->rows;
  made->cols = A->cols;
  made->nnz = spk_index(A->offsets, A->itype, A->rows);
  made->offsets = (int64_t *)spk_pack_new(A->rows + 1, sizeof(int64_t));
  made->columns = (int32_t *)spk_pack_new(made->nnz, sizeof(int32_t));
  made->slots = (int64_t *)spk_pack_new(made->nnz, sizeof(int64_t));
  if (!made->offsets || !made->columns || !made->slots) status = SPK_ERR_MEMORY;
  for (ptrdiff_t i = 0; status == SPK_OK && i <= A->rows; i++)
    made->offsets[i] = spk_index(A->offsets, A->itype, i);
  for (int64_t p = 0; status == SPK_OK && p < made->nnz; p++) {
    const ptrdiff_t column = spk_index(A->indices, A->itype, p);
    if (column < 0 || column >= A->cols) status = SPK_ERR_INDEX;
    made->columns[p] = (int32_t)column;
    made->slots[p] = p;
  }
  spk_column_slot *room = NULL;
  int64_t size = 0;
  for (int64_t i = 0; status == SPK_OK && i < made->rows; i++)
    status = spk_entries_sort_row(made, i, &room, &size);
  free(room);
  if (status != SPK_OK) spk_entries_free(made);
  return status;
}

#endif
