#include "cost.h"

#include <math.h>

/* Times that a row of B must be read for its copy into an aligned panel to pay.  NumPy aligns to 16
 * bytes, so three of four 64-byte loads straddle two lines: packed panels run 1.5 to 3 times as
 * fast where loads bind, which they do less in narrow tiles. */
#define PACK_REUSE 8.0
#define PACK_REUSE_NARROW 16.0 /* one or two vectors */

/* It grows by a third with each doubling, since rows walk B in order and find much of what the last
 * one left (Zen 4). */
double spk_missing(double bytes, const spk_machine *machine) {
  const double excess = log2(bytes / (double)machine->l1_bytes);
  return excess <= 0 ? 0 : fmin(1.0, 0.33 * excess);
}

/* Fitted on Zen 4 (AVX-512; 512 x 512 and larger, 50 to 98% sparse, blocks of 64 to 1024 rows, 8 to
 * 512 columns): an entry costs its FMAs and half a slot for its value; a row of a block 6 slots per
 * vector, for its sums to come and go and for the loop to start.  The blocks that this chose were
 * the fastest or within 4% of them.  Rows that share what is loaded of B four by four are fastest
 * in blocks as high as half of L2 holds, which took 0.73 to 0.95 of the time of those for L1 (Zen
 * 5, 95% sparse, 1024 and 2048 columns, N = 8 to 64). */
double spk_row_panel_row_cost(const spk_sparse *A, double shared, ptrdiff_t block,
                              ptrdiff_t vectors, const spk_kernels *kernels,
                              const spk_machine *machine) {
  const spk_tuning *tuning = spk_tuning_for(kernels, machine);
  const double per_row = (double)A->nnz / (double)spk_max(1, A->rows),
               blocks = ceil((double)A->cols / (double)block);
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const double bytes = (double)(block * vectors * lanes) * (double)spk_dtype_size(A->dtype);
  const double slower = 1.0 + (1.0 - shared) * spk_missing(bytes, machine) * tuning->row_panel_miss;
  const double entry = (double)vectors * slower + tuning->row_panel_entry;
  /* Blocks that hold entries of a row. */
  const double used = blocks * (1.0 - exp(-per_row / blocks));
  return (per_row * entry + used * 6.0 * (double)vectors) / tuning->fmas;
}

double spk_panel_reads(ptrdiff_t n, ptrdiff_t lanes) {
  return n <= 2 * lanes ? PACK_REUSE_NARROW : PACK_REUSE;
}
