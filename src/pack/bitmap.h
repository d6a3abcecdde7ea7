/* A packed with a bit for every place, for few columns and weights that come from memory.
 *
 * A row is cut into *pieces* of 64 columns.  A piece has a word of 64 bits, which say which of its
 * columns have an entry, and behind one another lie the values of these entries, in 16, 8 or 4
 * bits.  So an entry of a half full matrix takes 2 bits besides its value, where an index takes 8
 * or more.  Kernels expand the values of a piece to vectors, with zeros in the other columns.
 *
 * Values of 8 and 4 bits are multiples of a scale, one for every `group` columns of a row.  Values
 * of 4 bits lie two to a byte, the first one in the low bits, and each row begins with a byte.
 *
 * The idea of bits and packed values is as old as bitmap compression; with products on CPUs it is
 * that of SparAMX (arXiv 2502.12444), which expands weights for AMX tiles. */
#ifndef SPK_PACK_BITMAP_H
#define SPK_PACK_BITMAP_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

typedef struct spk_bitmap {
  spk_storage storage; /* of 16, 8 or 4 bits */
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t pieces;        /* of a row */
  ptrdiff_t group, groups; /* columns of a scale; scales of a row, 0: there are none */
  ptrdiff_t longest;       /* the most values of a row */
  uint64_t *bits;          /* rows x pieces */
  ptrdiff_t *begin;        /* rows + 1: the values before each row */
  void *values;
  float *scales; /* rows x groups */
  size_t bytes;
} spk_bitmap;

/* Bytes of `count` values from the beginning of a row on. */
static inline size_t spk_bitmap_value_bytes(spk_storage storage, ptrdiff_t count) {
  if (storage == SPK_STORAGE_S4) return (size_t)spk_ceil_div(count, 2);
  return (size_t)count * (storage == SPK_STORAGE_S8 ? sizeof(int8_t) : sizeof(uint16_t));
}

/* Pack A, which is float32 in CSR, checked and sorted; SPK_ERR_ARGUMENT if a row has duplicates.
 * `scales` has those of all rows, for values of 8 and 4 bits. */
spk_status spk_bitmap_pack(const spk_sparse *A, const float *scales, ptrdiff_t group,
                           spk_storage storage, int threads, spk_bitmap **made);
void spk_bitmap_free(spk_bitmap *bitmap);

#endif
