/* A packed for products with a vector: slices of rows, one per lane.
 *
 * SELL-C-sigma (Kreutzer et al., "A unified sparse matrix data format", SIAM J. Sci. Comput. 2014)
 * with what it gathers from x cut into windows of two vectors, from which one instruction picks
 * (vpermi2ps): a gather costs as much as as many loads.  A *step* is one entry of every row of a
 * slice, all in one window.  Rows with fewer entries there are padded with zeros that pick a zero,
 * the last element of every window, so that no padding meets infinity or NaN.  Rows are
 * sorted by their length among `SIGMA` neighbours, so that those of a slice are alike.
 */
#ifndef SPK_PLAN_SLICES_H
#define SPK_PLAN_SLICES_H

#include "../common.h"
#include "../dispatch/dispatch.h"

typedef struct spk_slices {
  spk_dtype dtype;
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t lanes, slices, windows;
  ptrdiff_t *begin;  /* slices + 1: the first step of each */
  uint32_t *row_ids; /* of each lane of each slice; rows where there is none */
  uint16_t *window;  /* of each step */
  uint8_t *picks;    /* of each lane of each step: an element of the window */
  void *values;      /* the same */
  size_t bytes;
} spk_slices;

/* Columns of a window; the last element of its two vectors is 0. */
static inline ptrdiff_t spk_window_columns(ptrdiff_t lanes) { return 2 * lanes - 1; }

/* Whether A, in CSR, sorted and checked, can be packed so, and windows are not mostly empty. */
int spk_slices_suit(const spk_sparse *A, const spk_kernels *kernels);

/* Leaves *made as it is where rows differ so much that most would be padding. */
spk_status spk_slices_make(const spk_sparse *A, int threads, const spk_kernels *kernels,
                           spk_slices **made);
void spk_slices_free(spk_slices *slices);

/* The first slice of a part: parts hold about the same number of steps. */
ptrdiff_t spk_slices_part(const spk_slices *A, ptrdiff_t part, ptrdiff_t parts);

#endif
