/* A packed for products with a vector: SELL slices, which hold one row per lane.
 *
 * The format is SELL-C-sigma (Kreutzer et al., "A unified sparse matrix data format", SIAM J.  Sci.
 * Comput.  2014), with x cut into windows of two vectors.  One instruction selects elements of x
 * from a window (vpermi2ps; with AVX2 two instructions and a blend), whereas a gather costs as much
 * as separate loads.  A *segment* is the part of a slice in a window.  It takes as many *steps* of
 * one entry per lane as its fullest row has entries there.  Rows with fewer entries are padded with
 * zeros that select the last element of the window, which is zero, so that no padding meets
 * infinity or NaN.
 *
 * Where the rows of each slice have equally many entries in each window (n:m), there is no padding,
 * and windows have no such element: they are one vector, for which AVX2 needs a single instruction,
 * or two if those are few entries.  One vector also serves where a few rows lack an entry; their
 * padding selects a zero behind the window.
 *
 * Segments of a row panel with the same number of steps make a *run*.  The loop of a run is
 * unrolled, does not end unpredictably, and loads a window once per segment.  Sums stay in L1 in
 * between.
 *
 * Some slices need no permutes: those whose rows all have the same columns (V x 1 vectors of as
 * many rows), and those whose halves or quarters do (smaller vectors and blocks).  For them, a step
 * broadcasts an element of x to each group of lanes.  Blocks of 4 x 4 load four neighbouring
 * elements of x at once, for four steps.  Such slices are one long segment.
 *
 * If rows differ much in length, they are sorted by it within a row panel, so that the rows of a
 * slice are about equally long. */
#ifndef SPK_PACK_SELL_H
#define SPK_PACK_SELL_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* Where a row panel begins in the arrays of spk_sell.  `permute` and `step` count vectors. */
typedef struct spk_sell_row_panel {
  ptrdiff_t run, segment, permute, step;
  ptrdiff_t shared; /* entries of slices that need no permutes */
} spk_sell_row_panel;

typedef struct spk_sell {
  spk_dtype dtype;
  spk_storage storage; /* of values */
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t lanes, windows;
  ptrdiff_t window_columns;
  spk_sell_windows kind; /* of windows */
  ptrdiff_t row_panel_rows, row_panels;
  spk_sell_row_panel *begin; /* row panels + 1 */
  ptrdiff_t *weights;        /* row panels + 1: the steps before each row panel */
  uint32_t *row_ids;         /* the row of each lane of each slice */
  uint8_t *in_order;         /* for each row panel: whether its row_ids ascend without gaps */
  spk_sell_run *runs;
  spk_sell_segment *segments;
  uint32_t *permutes; /* see SPK_PERMUTE_BITS in kernels/isa/generic.h */
  void *values;
  float *scales; /* one per row, for values of 8 bits; NULL: none */
  size_t bytes;
} spk_sell;

/* The number of zeros behind x if x is not cut into windows: blocks of padding meet them. */
#define SPK_PLAIN_ZEROS 4

/* Whether windows are those of spk_window_columns, which end in a zero. */
static inline int spk_sell_ends_in_zeros(const spk_sell *A) {
  return A->window_columns == 2 * A->lanes - 1;
}

/* Columns of a window that ends in a zero.  Its two vectors have one more element, the last, which
 * is 0. */
static inline ptrdiff_t spk_window_columns(ptrdiff_t lanes) { return 2 * lanes - 1; }

/* The vectors of permutes that a segment of a run has. */
static inline ptrdiff_t spk_sell_permutes(const spk_sell_run *run, int permute_bits,
                                          ptrdiff_t lanes, size_t vector) {
  if (!run->shared) return spk_ceil_div(run->steps, 32 / permute_bits);
  const ptrdiff_t places = run->shared == SPK_SELL_BLOCKS ? (ptrdiff_t)run->steps / 4 * (lanes / 4)
                                                          : (ptrdiff_t)run->steps * run->shared;
  return spk_ceil_div(places * (ptrdiff_t)sizeof(uint32_t), (ptrdiff_t)vector);
}

/* The most windows of a matrix.  They hold 2 MiB of x, which every product copies into the
 * workspace. */
#define SPK_SELL_MAX_WINDOWS (1 << 14)

/* Pack A, which is in CSR, sorted, checked and suits (plan/sell_plan.h).  Leaves *made unchanged if
 * rows differ so much that most places would be padding, or if rows have too many duplicates. */
spk_status spk_sell_pack(const spk_sparse *A, spk_storage storage, int threads,
                         const spk_kernels *kernels, spk_sell **made);
/* The same with values of 8 bits, which the scale of each row multiplies. */
spk_status spk_sell_pack_scaled(const spk_sparse *A, const float *scales, int threads,
                                const spk_kernels *kernels, spk_sell **made);
void spk_sell_free(spk_sell *slices);

/* The first row panel of a part.  Parts hold about the same number of steps. */
ptrdiff_t spk_sell_part(const spk_sell *A, ptrdiff_t part, ptrdiff_t parts);

#endif
