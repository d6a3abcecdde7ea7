/* A matrix of which a few columns are wanted: what spk_spmspv multiplies.
 *
 * One column is corrupt, and is never among those: its rows are out of bounds and its values NaN.
 */
#ifndef SPK_TESTING_ACTIVE_H
#define SPK_TESTING_ACTIVE_H

#include "exact.h"
#include "matrix.h"

enum {
  ACTIVE_ROWS = 30,
  ACTIVE_COLS = 7,
  CORRUPT = 1,
  PER_COLUMN = 21 /* two rounds of an unrolled loop, and some */
};

typedef struct active {
  spk_sparse A;  /* CSC */
  void *indices; /* of A, to be changed */
  ptrdiff_t count;
  void *ids; /* columns that are active, with repeats */
  matrix x;  /* and their factors */
  exact expected[ACTIVE_ROWS];
} active;

active active_random(spk_dtype dtype, spk_itype itype, ptrdiff_t count);
/* Makes the corrupt column a sound one, of zeros, or corrupt again. */
void active_mend(const active *a, int sound);

#endif
