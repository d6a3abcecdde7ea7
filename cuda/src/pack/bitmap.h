/* Panels that hold only the entries: a bit for each cell, and the values of the set bits.
 *
 * Values lie in the order of their cells.  Each slice begins at an address that is aligned to 16
 * bytes.  Each word of 32 cells has the number of the slice's values before it, so that a lane
 * finds its values by counting bits in one word.  All this takes 1.5 bits a cell.  (Fan et al.,
 * "SpInfer", EuroSys 2025; Xia et al., "Flash-LLM", VLDB 2023.) */
#ifndef SPK_PACK_BITMAP_H
#define SPK_PACK_BITMAP_H

#include "panels.h"

typedef struct spk_bitmap {
  int64_t words, values;
  uint32_t *stored; /* bits of 32 cells each */
  uint16_t *before; /* values of the slice before each word */
  int32_t *begin;   /* of each slice, and the end, in units of spk_bitmap_unit values */
  int64_t *slots;   /* of the values; -1 for padding up to the next unit */
} spk_bitmap;

/* The number of values in 16 bytes. */
SPK_BOTH_SIDES int spk_bitmap_unit(int halves) { return 4 * halves; }

static inline void spk_bitmap_free(spk_bitmap *bitmap) {
  free(bitmap->stored);
  free(bitmap->before);
  free(bitmap->begin);
  free(bitmap->slots);
  memset(bitmap, 0, sizeof *bitmap);
}

/* The number of set bits, and of those below bit i. */
static inline int spk_bitmap_bits(uint32_t word) {
  int count = 0;
  for (; word; word &= word - 1) count++;
  return count;
}
static inline int spk_bitmap_below(uint32_t word, int i) {
  return spk_bitmap_bits(word & (((uint32_t)1 << i) - 1));
}

/* Count the values of slices. */
static inline int spk_bitmap_count(const spk_panels *panels, spk_bitmap *made) {
  const int64_t unit = spk_bitmap_unit(panels->halves);
  const int64_t words = panels->slices ? made->words / panels->slices : 0;
  int64_t units = 0;
  for (int64_t slice = 0; slice < panels->slices; slice++) {
    made->begin[slice] = (int32_t)units;
    int before = 0;
    for (int64_t w = slice * words; w < (slice + 1) * words; w++) {
      made->before[w] = (uint16_t)before;
      before += spk_bitmap_bits(made->stored[w]);
    }
    units += (before + unit - 1) / unit;
    if (units > INT32_MAX) return SPK_ERR_SHAPE;
  }
  made->begin[panels->slices] = (int32_t)units;
  made->values = units * unit;
  return SPK_OK;
}

static inline int spk_bitmap_make(const spk_entries *A, const spk_panels *panels,
                                  spk_bitmap *made) {
  memset(made, 0, sizeof *made);
  made->words = spk_panels_cells(panels) / 32;
  made->stored = spk_panels_stored(A, panels);
  made->before = (uint16_t *)spk_pack_new(made->words, sizeof(uint16_t));
  made->begin = (int32_t *)spk_pack_new(panels->slices + 1, sizeof(int32_t));
  int status = made->stored && made->before && made->begin ? SPK_OK : SPK_ERR_MEMORY;
  if (status == SPK_OK) status = spk_bitmap_count(panels, made);
  if (status == SPK_OK) {
    made->slots = (int64_t *)spk_pack_new(made->values, sizeof(int64_t));
    if (!made->slots) status = SPK_ERR_MEMORY;
  }
  if (status != SPK_OK) {
    spk_bitmap_free(made);
    return status;
  }
  const int64_t cells = (int64_t)panels->height * spk_slice_depth(panels->halves);
  for (int64_t i = 0; i < made->values; i++) made->slots[i] = -1;
  for (int64_t i = 0; i < A->rows; i++) {
    for (int64_t p = A->offsets[i]; p < A->offsets[i + 1]; p++) {
      const int64_t cell = spk_panels_cell_of(panels, i, p), word = cell / 32;
      const int64_t begin = (int64_t)made->begin[cell / cells] * spk_bitmap_unit(panels->halves);
      made->slots[begin + made->before[word] +
                  spk_bitmap_below(made->stored[word], (int)(cell % 32))] = A->slots[p];
    }
  }
  return SPK_OK;
}

#endif
