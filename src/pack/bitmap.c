#include "bitmap.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "packing.h"
#include "reduced_precision.h"

/* The rows of a task. */
#define ROWS_TOGETHER 64

typedef struct job {
  const spk_sparse *A;
  spk_bitmap *into;
  atomic_int duplicates;
} job;

static void put_numbers(spk_bitmap *into, ptrdiff_t row, const job *j, ptrdiff_t first,
                        ptrdiff_t count) {
  const int four = into->storage == SPK_STORAGE_S4, most = four ? 7 : 127;
  const float *scales = into->scales + row * into->groups;
  const float *values = (const float *)j->A->values + first;
  uint8_t *to = (uint8_t *)into->values + spk_bitmap_value_bytes(into->storage, into->begin[row]);
  for (ptrdiff_t i = 0; i < count; i++) {
    const ptrdiff_t col = spk_index(j->A->indices, j->A->itype, first + i);
    const int number = spk_number_of(values[i], scales[col / into->group], most);
    if (!four)
      to[i] = (uint8_t)number;
    else if (i % 2 == 0)
      to[i / 2] = (uint8_t)(number & 15);
    else
      to[i / 2] = (uint8_t)(to[i / 2] | (number & 15) << 4);
  }
}

static void pack_rows(void *context, ptrdiff_t task, int worker) {
  job *j = context;
  spk_bitmap *into = j->into;
  const spk_sparse *A = j->A;
  (void)worker;
  const ptrdiff_t last = spk_min(A->rows, (task + 1) * ROWS_TOGETHER);
  for (ptrdiff_t row = task * ROWS_TOGETHER; row < last; row++) {
    const ptrdiff_t first = spk_index(A->offsets, A->itype, row);
    const ptrdiff_t count = spk_index(A->offsets, A->itype, row + 1) - first;
    uint64_t *bits = into->bits + row * into->pieces;
    for (ptrdiff_t i = 0; i < count; i++) {
      const ptrdiff_t col = spk_index(A->indices, A->itype, first + i);
      const uint64_t bit = (uint64_t)1 << (col % SPK_PIECE);
      if (bits[col / SPK_PIECE] & bit) atomic_store(&j->duplicates, 1);
      bits[col / SPK_PIECE] |= bit;
    }
    if (spk_has_scales(into->storage))
      put_numbers(into, row, j, first, count);
    else
      spk_round_values((uint16_t *)into->values + into->begin[row],
                       (const float *)A->values + first, (size_t)count, into->storage);
  }
}

/* Take memory for all arrays, and count the values of each row. */
static spk_status new_bitmap(const spk_sparse *A, ptrdiff_t group, spk_storage storage,
                             spk_bitmap **made) {
  spk_bitmap *new = calloc(1, sizeof *new);
  if (!new) return SPK_ERR_MEMORY;
  const int scaled = spk_has_scales(storage);
  const ptrdiff_t pieces = spk_ceil_div(A->cols, SPK_PIECE);
  *new = (spk_bitmap){.storage = storage,
                      .rows = A->rows,
                      .cols = A->cols,
                      .nnz = spk_index(A->offsets, A->itype, A->rows),
                      .pieces = pieces,
                      .group = group,
                      .groups = scaled ? spk_ceil_div(A->cols, group) : 0};
  const size_t rows = (size_t)A->rows;
  const size_t words = spk_size_product(rows, (size_t)pieces);
  const size_t scales = spk_size_product(rows, (size_t)new->groups);
  new->bits = calloc(words + 1, sizeof *new->bits);
  new->begin = malloc((rows + 1) * sizeof *new->begin);
  new->scales = malloc(spk_size_sum(spk_size_product(scales, sizeof(float)), 1));
  *made = new;
  if (!new->bits || !new->begin || !new->scales) return SPK_ERR_MEMORY;
  new->begin[0] = 0;
  for (ptrdiff_t i = 0; i < A->rows; i++) {
    const ptrdiff_t count =
        spk_index(A->offsets, A->itype, i + 1) - spk_index(A->offsets, A->itype, i);
    new->longest = spk_max(new->longest, count);
    new->begin[i + 1] =
        new->begin[i] + (storage == SPK_STORAGE_S4 ? spk_round_up(count, 2) : count);
  }
  const size_t values = spk_bitmap_value_bytes(storage, new->begin[A->rows]) + SPK_EXPAND_BYTES;
  new->values = calloc(values, 1);
  new->bytes = sizeof *new + words * sizeof *new->bits + (rows + 1) * sizeof *new->begin +
               scales * sizeof(float) + values;
  return new->values ? SPK_OK : SPK_ERR_MEMORY;
}

spk_status spk_bitmap_pack(const spk_sparse *A, const float *scales, ptrdiff_t group,
                           spk_storage storage, int threads, spk_bitmap **made) {
  job j = {.A = A};
  atomic_init(&j.duplicates, 0);
  spk_status status = new_bitmap(A, group, storage, &j.into);
  if (status == SPK_OK) {
    memcpy(j.into->scales, scales ? scales : j.into->scales,
           (size_t)(A->rows * j.into->groups) * sizeof *scales);
    const spk_phase phase = {spk_ceil_div(A->rows, ROWS_TOGETHER), pack_rows};
    spk_run_packing(threads, j.into->nnz, phase, &j);
    if (atomic_load(&j.duplicates)) status = SPK_ERR_ARGUMENT;
  }
  if (status == SPK_OK)
    *made = j.into;
  else
    spk_bitmap_free(j.into);
  return status;
}

void spk_bitmap_free(spk_bitmap *bitmap) {
  if (!bitmap) return;
  free(bitmap->bits);
  free(bitmap->begin);
  free(bitmap->values);
  free(bitmap->scales);
  free(bitmap);
}
