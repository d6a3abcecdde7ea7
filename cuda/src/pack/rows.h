/* The rows of a matrix as parts of about equal work, the longest first.
 *
 * A row of up to SPK_PART_ENTRIES entries is one part, whose sum goes to C.  A longer row is cut
 * into equal parts.  Their sums go to a workspace, and a second kernel adds them in order, so that
 * the result does not depend on the order in which parts end.  Long parts begin first, so that none
 * is left alone at the end, and neighbours in a block take about equally long.  (Merrill and
 * Garland, "Merge-based parallel sparse matrix-vector multiplication", SC 2016, for the cost of
 * unequal rows.  Sorting by length: Gale et al., "Sparse GPU kernels for deep learning", SC
 * 2020.) */
#ifndef SPK_PACK_ROWS_H
#define SPK_PACK_ROWS_H

#include "entries.h"

#define SPK_PART_ENTRIES 256

typedef struct spk_part {
  int64_t begin, row;
  int32_t length;
  int32_t sum; /* its place in the workspace; -1: the row is whole, and goes to C */
} spk_part;

/* A row that was cut: the places of its sums in the workspace. */
typedef struct spk_cut_row {
  int64_t row;
  int32_t first, count;
} spk_cut_row;

typedef struct spk_rows {
  int64_t parts, cut_rows, sums;
  spk_part *part;
  spk_cut_row *cut;
} spk_rows;

static inline void spk_rows_free(spk_rows *rows) {
  free(rows->part);
  free(rows->cut);
  memset(rows, 0, sizeof *rows);
}

static inline int64_t spk_parts_of(int64_t length) {
  return length <= SPK_PART_ENTRIES ? 1 : (length + SPK_PART_ENTRIES - 1) / SPK_PART_ENTRIES;
}

/* Write the parts of `row`, in order, to part[0...]. */
static inline void spk_rows_cut(spk_rows *rows, const spk_entries *A, int64_t row, spk_part *part) {
  const int64_t begin = A->offsets[row], length = A->offsets[row + 1] - begin;
  const int64_t count = spk_parts_of(length);
  for (int64_t i = 0; i < count; i++) {
    const int64_t from = length * i / count, to = length * (i + 1) / count;
    part[i].begin = begin + from;
    part[i].row = row;
    part[i].length = (int32_t)(to - from);
    part[i].sum = count == 1 ? -1 : (int32_t)(rows->sums + i);
  }
  if (count == 1) return;
  spk_cut_row *cut = &rows->cut[rows->cut_rows++];
  cut->row = row;
  cut->first = (int32_t)rows->sums;
  cut->count = (int32_t)count;
  rows->sums += count;
}

static inline int spk_rows_make(const spk_entries *A, spk_rows *made) {
  memset(made, 0, sizeof *made);
  int64_t parts = 0, cut = 0, sums = 0;
  for (int64_t i = 0; i < A->rows; i++) {
    const int64_t count = spk_parts_of(A->offsets[i + 1] - A->offsets[i]);
    parts += count;
    cut += count > 1;
    sums += count > 1 ? count : 0;
  }
  if (sums > INT32_MAX) return SPK_ERR_SHAPE;
  spk_part *unsorted = (spk_part *)spk_pack_new(parts, sizeof(spk_part));
  made->part = (spk_part *)spk_pack_new(parts, sizeof(spk_part));
  made->cut = (spk_cut_row *)spk_pack_new(cut, sizeof(spk_cut_row));
  if (!unsorted || !made->part || !made->cut) {
    free(unsorted);
    spk_rows_free(made);
    return SPK_ERR_MEMORY;
  }
  int64_t starts[SPK_PART_ENTRIES + 2] = {0};
  for (int64_t i = 0; i < A->rows; i++) {
    spk_part *first = unsorted + made->parts;
    spk_rows_cut(made, A, i, first);
    made->parts += spk_parts_of(A->offsets[i + 1] - A->offsets[i]);
    for (spk_part *part = first; part < unsorted + made->parts; part++)
      starts[SPK_PART_ENTRIES - part->length + 1]++;
  }
  for (int i = 0; i <= SPK_PART_ENTRIES; i++) starts[i + 1] += starts[i];
  for (int64_t i = 0; i < parts; i++)
    made->part[starts[SPK_PART_ENTRIES - unsorted[i].length]++] = unsorted[i];
  free(unsorted);
  return SPK_OK;
}

#endif
