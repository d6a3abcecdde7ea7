/* The scratch of a worker that samples tiles of 16 rows (driver/sddmm_tiles.c).  It is one piece of
 * the workspace. */
#ifndef SPK_PLAN_SDDMM_SCRATCH_H
#define SPK_PLAN_SDDMM_SCRATCH_H

#include "../common/common.h"
#include "../kernels/table.h"

/* The columns that are searched together, and the columns whose scores are in L1 together. */
#define SPK_SDDMM_WINDOW 2048
#define SPK_SDDMM_CHUNK 96
/* The most runs of a tile's rows in a window. */
#define SPK_SDDMM_RUNS (SPK_TILE_ROWS * SPK_SDDMM_WINDOW / 8)

#define SPK_SDDMM_MARK_BYTES (SPK_SDDMM_WINDOW + 8)
#define SPK_SDDMM_SCORES ((SPK_SDDMM_CHUNK + SPK_TILE_ROWS) * SPK_TILE_ROWS)

typedef struct spk_sddmm_scratch {
  spk_tile_run *runs;
  int32_t *keys, *where; /* where: the position of a column of the window in keys */
  uint8_t *marks;        /* all 0 between two windows */
  void *q, *scores, *rows;
} spk_sddmm_scratch;

/* Place the arrays from `memory` on, unless s is NULL.  Returns their bytes. */
static inline size_t spk_sddmm_scratch_layout(char *memory, spk_dtype dtype, ptrdiff_t k,
                                              spk_sddmm_scratch *s) {
  const size_t size = spk_dtype_size(dtype);
  const size_t runs = spk_aligned_size(SPK_SDDMM_RUNS * sizeof(spk_tile_run));
  const size_t keys = spk_aligned_size((SPK_SDDMM_WINDOW + SPK_TILE_ROWS) * sizeof(int32_t));
  const size_t marks = spk_aligned_size(SPK_SDDMM_MARK_BYTES);
  const size_t q = spk_aligned_size((size_t)spk_max(1, k) * SPK_TILE_ROWS * size);
  const size_t scores = spk_aligned_size(SPK_SDDMM_SCORES * size);
  if (s) {
    s->runs = (spk_tile_run *)(void *)memory;
    s->keys = (int32_t *)(void *)(memory += runs);
    s->where = (int32_t *)(void *)(memory += keys);
    s->marks = (uint8_t *)(memory += keys);
    s->q = memory += marks;
    s->scores = memory += q;
    s->rows = memory + scores;
  }
  return runs + 2 * keys + marks + q + 2 * scores;
}

static inline size_t spk_sddmm_scratch_bytes(spk_dtype dtype, ptrdiff_t k) {
  return spk_sddmm_scratch_layout(NULL, dtype, k, NULL);
}

static inline spk_sddmm_scratch spk_sddmm_scratch_in(void *memory, spk_dtype dtype, ptrdiff_t k) {
  spk_sddmm_scratch s;
  spk_sddmm_scratch_layout(memory, dtype, k, &s);
  return s;
}

#endif
