/* A matrix of int8, packed by one of three strategies, which the columns of B decide:
 *
 *   int8_gather4  any four columns of A at a time (int8_gather4.h), against panels of B that are
 *                 some tens of columns wide
 *   int8_block4   for fewer columns: four *neighbouring* columns of A are one number of four bytes,
 *                 and four rows of B likewise.  The row panels (row_panels.h) of float32 hold these
 *                 numbers, with another instruction in place of the FMA
 *   SELL          the same numbers in SELL slices (sell.h), for a vector
 *
 * Where entries lie at random, most numbers of int8_block4 hold a single entry, and products take
 * about as long as those of float32; with more than a vector of columns, such a matrix goes by
 * int8_gather4 too.
 */
#ifndef SPK_PLAN_INT8_H
#define SPK_PLAN_INT8_H

#include "../common/common.h"
#include "int8_gather4.h"
#include "sell.h"
#include "row_panels.h"

/* The most columns that row panels are packed for. */
#define SPK_INT8_BLOCK4_MAX_COLUMNS 32

/* The most that the magnitudes of a row may add up to, times bytes of up to 255. */
#define SPK_MAX_ROW_SUM (INT32_MAX / 255)

struct spk_int8 {
  ptrdiff_t rows, cols, nnz;
  int32_t *row_sums;
  spk_int8_gather4 *gather4; /* one of them */
  spk_row_panels *row_panels;
  spk_sell *sell;
};

/* Pack A, in CSR, sorted and checked, whose values are not read. */
spk_status spk_int8_make(const spk_sparse *A, const int8_t *values, ptrdiff_t width, int threads,
                         const spk_kernels *kernels, const spk_machine *machine, spk_int8 **made);

#endif
