/* A matrix of int8, packed by one of three strategies, which the number of columns of B decides:
 *
 *   int8_gather4  any four columns of A at a time (int8_gather4.h), against panels of B that are
 *                 some tens of columns wide
 *   int8_block4   for fewer columns: four *neighbouring* columns of A are one number of four bytes,
 *                 and so are four rows of B.  Row panels (row_panels.h) of float32 hold these
 *                 numbers, with another instruction in place of the FMA
 *   SELL          the same numbers in SELL slices (sell.h), for a vector
 *
 * Where no instruction multiplies bytes (AVX2 without AVX_VNNI), the numbers of int8_block4 are two
 * values of 16 bits: of two neighbouring columns.
 *
 * If entries lie at random, most numbers of int8_block4 hold a single entry, and products take
 * about as long as those of float32.  With more than a vector of columns, such a matrix is packed
 * as int8_gather4, too. */
#ifndef SPK_PACK_INT8_H
#define SPK_PACK_INT8_H

#include "../common/common.h"
#include "int8_gather4.h"
#include "sell.h"
#include "row_panels.h"

/* The most that the magnitudes of a row may add up to.  They are multiplied by bytes of up to 255,
 * and the sum must fit 32 bits. */
#define SPK_MAX_ROW_SUM (INT32_MAX / 255)

struct spk_int8 {
  ptrdiff_t rows, cols, nnz;
  int32_t *row_sums;
  spk_int8_gather4 *gather4; /* one of the three layouts; the others are NULL */
  spk_row_panels *row_panels;
  spk_sell *sell;
};

/* Make a matrix that has row sums and no layout yet.  A's own values are not read.
 * SPK_ERR_ARGUMENT if the magnitudes of a row exceed SPK_MAX_ROW_SUM. */
spk_status spk_int8_new(const spk_sparse *A, const int8_t *values, spk_int8 **made);

void spk_int8_discard(spk_int8 *A); /* NULL is allowed */
size_t spk_int8_size(const spk_int8 *A);

/* A with four or two neighbouring columns as one.  `grouped` is in CSR, and each of its values is
 * four bytes.  Duplicates are entries of their own. */
typedef struct spk_int8_block4 {
  spk_sparse grouped;
  void *memory; /* holds the arrays; the caller frees it */
} spk_int8_block4;
/* number_values: 4, or 2 of 16 bits each (kernels/table.h). */
spk_status spk_int8_group(const spk_sparse *A, const int8_t *values, int number_values,
                          spk_int8_block4 *made);

#endif
