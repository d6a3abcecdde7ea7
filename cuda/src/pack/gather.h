/* Panels with all their cells written out: a slot for each cell, in the order in which lanes
 * read. */
#ifndef SPK_PACK_GATHER_H
#define SPK_PACK_GATHER_H

#include "panels.h"

typedef struct spk_gather {
  int64_t cells;
  int64_t *slots;
  /* Bits of the cells that hold entries.  Zeros of other cells must not spread NaN of B. */
  uint32_t *stored;
} spk_gather;

static inline void spk_gather_free(spk_gather *gather) {
  free(gather->slots);
  free(gather->stored);
  memset(gather, 0, sizeof *gather);
}

static inline int spk_gather_make(const spk_entries *A, const spk_panels *panels,
                                  spk_gather *made) {
  memset(made, 0, sizeof *made);
  made->cells = spk_panels_cells(panels);
  made->slots = (int64_t *)spk_pack_new(made->cells, sizeof(int64_t));
  made->stored = spk_panels_stored(A, panels);
  if (!made->slots || !made->stored) {
    spk_gather_free(made);
    return SPK_ERR_MEMORY;
  }
  for (int64_t i = 0; i < made->cells; i++) made->slots[i] = -1;
  for (int64_t i = 0; i < A->rows; i++) {
    for (int64_t p = A->offsets[i]; p < A->offsets[i + 1]; p++)
      made->slots[spk_panels_cell_of(panels, i, p)] = A->slots[p];
  }
  return SPK_OK;
}

#endif
