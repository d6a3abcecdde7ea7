/* A packed for products with a vector: slices of rows, one per lane.
 *
 * SELL-C-sigma (Kreutzer et al., "A unified sparse matrix data format", SIAM J. Sci. Comput. 2014)
 * with what it gathers from x cut into windows of two vectors, from which one instruction selects
 * (vpermi2ps; with AVX2 two and a blend): a gather costs as much as as many loads.  A *segment* is
 * a slice in a window, and takes as many *steps* of one entry per lane as its fullest row has
 * entries there; rows with fewer are padded with zeros that select a zero, the last element of
 * every window, so that no padding meets infinity or NaN.
 *
 * Segments of a row panel of slices that take the same number of steps make a *run*: its loop is
 * unrolled, does not end unpredictably, and loads a window once per segment.  Sums stay in L1 in
 * between.
 *
 * Slices all of whose rows have the same columns (V x 1 vectors of as many rows; or their halves or
 * quarters do: smaller vectors and blocks) need no permutes: a step broadcasts an element of x to
 * each group of lanes.  Blocks of 4 x 4 take four neighbours of x at once, for four steps.  They
 * are one long segment, cut where its values in 16 bits are expanded.  Rows of very different
 * lengths are sorted by them within a row panel, so that those of a slice are about as long.
 */
#ifndef SPK_PACK_SELL_H
#define SPK_PACK_SELL_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

/* Where a row panel begins in the arrays of spk_sell; permutes and values count in vectors. */
typedef struct spk_sell_row_panel {
  ptrdiff_t run, segment, permute, step;
  ptrdiff_t shared; /* entries of slices that need no permutes */
} spk_sell_row_panel;

typedef struct spk_sell {
  spk_dtype dtype;
  spk_storage storage; /* of values */
  ptrdiff_t rows, cols, nnz;
  ptrdiff_t lanes, windows;
  ptrdiff_t row_panel_rows, row_panels;
  spk_sell_row_panel *begin; /* row panels + 1 */
  ptrdiff_t *weights;        /* row panels + 1: steps before each */
  uint32_t *row_ids;         /* of each lane of each slice */
  uint8_t *in_order;         /* per row panel: whether its row_ids are */
  spk_sell_run *runs;
  spk_sell_segment *segments;
  uint32_t *permutes; /* see SPK_PERMUTE_BITS in kernels/isa/generic.h */
  void *values;
  size_t bytes;
} spk_sell;

/* Zeros behind x where it is not in windows: what blocks of padding meet. */
#define SPK_PLAIN_ZEROS 4

/* Columns of a window; the last element of its two vectors is 0. */
static inline ptrdiff_t spk_window_columns(ptrdiff_t lanes) { return 2 * lanes - 1; }

/* Vectors of permutes that a segment of a run has. */
static inline ptrdiff_t spk_sell_permutes(const spk_sell_run *run, int permute_bits,
                                          ptrdiff_t lanes, size_t vector) {
  if (!run->shared) return spk_ceil_div(run->steps, 32 / permute_bits);
  const ptrdiff_t places = run->shared == SPK_SELL_BLOCKS ? (ptrdiff_t)run->steps / 4 * (lanes / 4)
                                                          : (ptrdiff_t)run->steps * run->shared;
  return spk_ceil_div(places * (ptrdiff_t)sizeof(uint32_t), (ptrdiff_t)vector);
}

/* Windows of a matrix, at most: 2 MiB of x, which is copied into the workspace at every product. */
#define SPK_SELL_MAX_WINDOWS (1 << 14)

/* Pack A, in CSR, sorted and checked, which suits (plan/sell_plan.h).  Leaves *made as it is where
 * rows differ so much that most would be padding, or hold too many duplicates. */
spk_status spk_sell_pack(const spk_sparse *A, spk_storage storage, int threads,
                         const spk_kernels *kernels, spk_sell **made);
void spk_sell_free(spk_sell *slices);

/* The first row panel of a part: parts hold about the same number of steps. */
ptrdiff_t spk_sell_part(const spk_sell *A, ptrdiff_t part, ptrdiff_t parts);

#endif
