/* A matrix of int8, packed in one of three ways, by the columns that B will have:
 *
 *   quads    any four columns of A at a time (quads.h), against panels of some tens of columns
 *   row panels   for fewer columns, four *neighbouring* columns of A as one, which is a number of
 * four slices   bytes, and four rows of B as one: then they are the row panels and slices of
 * float32, with another instruction in place of the FMA.  Where entries lie at random, most numbers
 *            hold a single one, and these take about as long as floats; with more than a vector of
 *            columns such a matrix goes by quads, too.
 */
#ifndef SPK_PLAN_INT8_H
#define SPK_PLAN_INT8_H

#include "../common.h"
#include "quads.h"
#include "sell.h"
#include "row_panels.h"

/* The most columns that row panels are packed for. */
#define SPK_FOURS_COLUMNS 32

/* The most that the magnitudes of a row may add up to, times bytes of up to 255. */
#define SPK_MOST_ROW_SUM (INT32_MAX / 255)

struct spk_int8 {
  ptrdiff_t rows, cols, nnz;
  int32_t *row_sums;
  spk_quads *quads; /* one of them */
  spk_row_panels *row_panels;
  spk_sell *sell;
};

/* Pack A, in CSR, sorted and checked, whose values are not read. */
spk_status spk_int8_make(const spk_sparse *A, const int8_t *values, ptrdiff_t width, int threads,
                         const spk_kernels *kernels, const spk_machine *machine, spk_int8 **made);

#endif
