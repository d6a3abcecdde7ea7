/* Which matrices are packed as bitmaps, and how a product with one is partitioned. */
#ifndef SPK_PLAN_BITMAP_PLAN_H
#define SPK_PLAN_BITMAP_PLAN_H

#include "../pack/bitmap.h"

/* The rows whose sums are stored together: they stay in L1. */
#define SPK_BITMAP_ROWS 64

/* The most columns: every worker copies those of B, four at a time. */
#define SPK_BITMAP_MAX_COLS ((ptrdiff_t)1 << 20)

/* Whether A, which is in CSR, has an entry for each piece of 64 places, so that bits are no more
 * than its entries. */
int spk_bitmap_suits(const spk_sparse *A);

typedef struct spk_bitmap_plan {
  int threads;
  ptrdiff_t parts; /* ranges of blocks of SPK_BITMAP_ROWS rows */
} spk_bitmap_plan;

/* For n columns of B. */
void spk_plan_bitmap(const spk_bitmap *A, ptrdiff_t n, int threads, spk_bitmap_plan *plan);

#endif
