/* Products by partial sums: of CSC, of COO in any order, and of CSR with a vector.
 *
 * The entries are cut into parts, and each part adds to sums of its own for all rows.  The sums are
 * added in the order of the parts.  The number of parts follows from the shapes alone, so that any
 * number of threads computes the same bits.  For CSR, parts are ranges of rows and share one array
 * of sums, because a row belongs to one part.
 *
 * C is written only when all sums are complete, so indices can be checked as they are used. */
#ifndef SPK_PLAN_PARTIAL_PLAN_H
#define SPK_PLAN_PARTIAL_PLAN_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

typedef struct spk_partial_plan {
  int threads;
  ptrdiff_t parts, arrays; /* of the entries; arrays of sums: `parts`, or 1 */
  ptrdiff_t tile, tiles;   /* columns of C whose sums are kept at a time, and the number of tiles */
  /* products with vectors: rows go by blocks (kernels/spmv_partial.inc.h) */
  int by_blocks;
  int several; /* long rows of CSR have several sums at once */
  int streams; /* A does not stay in a cache from product to product */
  /* B has no unit stride.  CSC packs rows of B as it comes to them, COO packs a tile. */
  int pack;
  ptrdiff_t panel_rows; /* rows of B that CSC packs at a time; all of them if it packs none */
  ptrdiff_t band;       /* rows of C that a task adds up and stores */
  size_t sums_bytes;    /* of each array of sums */
  size_t copy_bytes;    /* of a tile of B, for COO */
  size_t panel_bytes;   /* per worker, for CSC */
} spk_partial_plan;

/* The most bytes of the workspace of a product besides panels. */
#define SPK_MAX_PARTIAL_BYTES ((ptrdiff_t)1 << 24)

/* Plan a product.  Returns 0 if there are too few entries for the rows, or if sums would be too
 * large. */
int spk_plan_partial(const spk_sparse *A, const spk_dense *B, int threads,
                     const spk_kernels *kernels, const spk_machine *machine,
                     spk_partial_plan *plan);

#endif
