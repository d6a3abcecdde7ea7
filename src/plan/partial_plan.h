/* Products of CSC and of COO in any order by partial sums, and of CSR with a vector.
 *
 * The entries are cut into parts, each of which adds to sums of its own for all rows; these are
 * added in the order of the parts.  How many parts there are follows from the shapes alone, so that
 * every number of threads computes the same bits.  Sums of CSR are those of single rows: parts are
 * ranges of rows, and all have one array.
 *
 * C is written when all sums are there, so that indices can be checked as they are used.
 */
#ifndef SPK_PLAN_PARTIAL_PLAN_H
#define SPK_PLAN_PARTIAL_PLAN_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"

typedef struct spk_partial_plan {
  int threads;
  ptrdiff_t parts, arrays; /* of the entries; of sums, which are added up: parts, or 1 */
  ptrdiff_t tile, tiles;   /* columns of C whose sums are kept at a time */
  int by_blocks;           /* of vectors: kernels/spmv_partial.inc.h */
  int several;             /* sums of long rows of CSR at once */
  int streams;             /* A does not stay in a cache from product to product */
  int pack;             /* B has no unit stride: CSC packs rows as it comes to them, COO a tile */
  ptrdiff_t panel_rows; /* rows of B that CSC packs at a time, or all */
  ptrdiff_t band;       /* rows of C that a task adds up and stores */
  size_t sums_bytes;    /* of each array */
  size_t copy_bytes;    /* of a tile of B, for COO */
  size_t panel_bytes;   /* of each worker, for CSC */
} spk_partial_plan;

/* Bytes of the workspace of one product, beside panels. */
#define SPK_MAX_PARTIAL_BYTES ((ptrdiff_t)1 << 24)

/* Returns 0 where there are too few entries for these rows, or the sums would be too large. */
int spk_plan_partial(const spk_sparse *A, const spk_dense *B, int threads,
                     const spk_kernels *kernels, const spk_machine *machine,
                     spk_partial_plan *plan);

#endif
