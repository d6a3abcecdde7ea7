#include "cost.h"

#include <math.h>

#include "../pack/row_panels.h"
#include "../pack/sell.h"

/* The number of times that a row of B must be read to pay for its copy into an aligned panel.
 * NumPy aligns to 16 bytes, so three of four 64-byte loads touch two cache lines.  Packed panels
 * run 1.5 to 3 times as fast where loads bind, and less in narrow tiles (doc/decisions/panels.rst,
 * decision-aligned-panels). */
#define PACK_REUSE 8.0
#define PACK_REUSE_NARROW 16.0 /* tiles of one or two vectors */

/* The rows of A that share the cost of packing a panel of B: about as many as a part of a product
 * has. */
#define ROWS_PER_PANEL 2000.0
/* Cycles of a row in row panels besides its entries; for a product with a vector,
 * VECTOR_ROW_START. */
#define ROW_START 4.0
#define VECTOR_ROW_START 8.0
/* Cycles, for each vector of its sums, of a row with few entries in a block, if sums leave L1
 * between blocks.  The cost is hidden if a row has about HIDING_ENTRIES entries in a block.
 * Without this term, citation graphs of 2700 to 3300 nodes, and a graph of 23000 nodes with 8
 * entries a row, took 1.3 to 1.7 times the prediction (N = 64 and 128, Zen 4). */
#define SUMS_FROM_L2 12.0
#define HIDING_ENTRIES 8.0
/* Cycles of a segment of a SELL slice besides its steps.  With 4, products with a vector at 98%
 * sparsity took 0.7 of the prediction relative to plain rows (768 x 3072, AVX2 on Zen 4). */
#define SEGMENT_START 2.5
/* Cycles of the mispredicted branch that ends the loop over a row of UNPREDICTABLE entries or more.
 * Shorter rows have a share of it: with all of it, rows of 3 entries took 0.6 of the prediction (N
 * = 16). */
#define MISPREDICTED 16.0
#define UNPREDICTABLE 8.0

static double entries_per_row(const spk_sparse *A) {
  return (double)A->nnz / (double)spk_max(1, A->rows);
}

/* The share grows by a third with each doubling of the bytes, since rows of A walk B in order and
 * find much of what the row before left in L1 (Zen 4). */
double spk_missing(double bytes, const spk_machine *machine) {
  const double excess = log2(bytes / (double)machine->l1_bytes);
  return excess <= 0 ? 0 : fmin(1.0, 0.33 * excess);
}

/* The model was fitted on Zen 4 (AVX-512; 512 x 512 and larger, 50 to 98% sparse, blocks of 64 to
 * 1024 rows, 8 to 512 columns).  An entry costs its FMAs, and half a slot for its value.  A row of
 * a block costs 6 slots per vector, for its sums to come and go and for the loop to start.  The
 * chosen blocks were the fastest or within 4% of the fastest.  Rows that share columns by fours are
 * fastest in blocks as high as half of L2 holds (doc/decisions/row-panels.rst,
 * decision-high-blocks): such blocks took 0.73 to 0.95 of the time of blocks for L1 (Zen 5, 95%
 * sparse, 1024 and 2048 columns, N = 8 to 64). */
double spk_row_panel_row_cost(const spk_sparse *A, double shared, ptrdiff_t block,
                              ptrdiff_t vectors, const spk_kernels *kernels,
                              const spk_machine *machine) {
  const spk_tuning *tuning = spk_tuning_for(kernels, machine);
  const double per_row = entries_per_row(A), blocks = ceil((double)A->cols / (double)block);
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const double bytes = (double)(block * vectors * lanes) * (double)spk_dtype_size(A->dtype);
  const double slower = 1.0 + (1.0 - shared) * spk_missing(bytes, machine) * tuning->row_panel_miss;
  const double entry = (double)vectors * slower + tuning->row_panel_entry;
  /* The expected number of blocks in which a row has entries. */
  const double used = blocks * (1.0 - exp(-per_row / blocks));
  return (per_row * entry + used * 6.0 * (double)vectors) / tuning->fmas;
}

double spk_panel_reads(ptrdiff_t n, ptrdiff_t lanes) {
  return n <= 2 * lanes ? PACK_REUSE_NARROW : PACK_REUSE;
}

/* The share of a row of A in packing a panel of B. */
static double packing_cost(const spk_sparse *A, double vectors) {
  const double rows = fmin(fmax(1.0, (double)A->rows), ROWS_PER_PANEL);
  return 3.0 * vectors * (double)A->cols / rows;
}

/* The cost of waiting for the sums of rows that have few entries in each block. */
static double few_entries_cost(const spk_sparse *A, ptrdiff_t block, ptrdiff_t tile,
                               ptrdiff_t vectors, const spk_machine *machine) {
  const double per_row = entries_per_row(A), blocks = ceil((double)A->cols / (double)block);
  const double used = blocks * (1.0 - exp(-per_row / blocks));
  if (blocks <= 1.0 || used <= 0) return 0;
  /* L1 holds what is loaded of B besides the sums. */
  const double bytes = 2.0 * SPK_ROW_PANEL_ROWS * (double)tile * (double)spk_dtype_size(A->dtype);
  const double exposed = exp(-per_row / used / HIDING_ENTRIES);
  return used * SUMS_FROM_L2 * (double)vectors * spk_missing(bytes, machine) * exposed;
}

/* The steps of a segment: the most entries of any of `lanes` rows in a window, if entries lie at
 * random. */
static double steps_of(double mean, double density, double lanes) {
  const double spread = sqrt(mean * (1.0 - density));
  return mean + 0.8 * sqrt(2.0 * log(lanes)) * spread;
}

double spk_sell_cost(const spk_sparse *A, const spk_kernels *kernels) {
  const double lanes = kernels->lanes[A->dtype];
  const double width = (double)spk_window_columns(kernels->lanes[A->dtype]);
  const double windows = ceil((double)A->cols / width), slices = ceil((double)A->rows / lanes);
  const double density = fmin(1.0, entries_per_row(A) / (double)spk_max(1, A->cols));
  return slices * windows * (SEGMENT_START + 2.3 * steps_of(width * density, density, lanes));
}

/* Cycles of a row of a bitmap besides its pieces. */
#define BITMAP_ROW_START 30.0
/* Cycles of a vector of a piece, and of its FMA with each column.  Measured: pieces of 10 to 11
 * cycles with AVX512_VBMI2, 17 to 19 with AVX2. */
#define BITMAP_VECTOR 2.1
#define BITMAP_VECTOR_FMA 0.5

double spk_bitmap_cost(const spk_sparse *A, ptrdiff_t n, const spk_kernels *kernels) {
  const double vectors = (double)SPK_PIECE / kernels->lanes[A->dtype];
  const double pieces = ceil((double)A->cols / SPK_PIECE);
  const double passes = ceil((double)n / SPK_BITMAP_COLUMNS);
  const double row = pieces * vectors * BITMAP_VECTOR + BITMAP_ROW_START;
  return (double)A->rows * (passes * row + (double)n * pieces * vectors * BITMAP_VECTOR_FMA);
}

double spk_row_panels_cost(const spk_sparse *A, ptrdiff_t n, ptrdiff_t tile, ptrdiff_t block,
                           const spk_kernels *kernels, const spk_machine *machine) {
  const double rows = (double)A->rows, tiles = ceil((double)n / (double)tile);
  const ptrdiff_t vectors = tile / kernels->lanes[A->dtype];
  const double row = spk_row_panel_row_cost(A, 0, block, vectors, kernels, machine);
  const double more = 2.0 * (double)vectors + packing_cost(A, (double)vectors) +
                      few_entries_cost(A, block, tile, vectors, machine);
  const double start = n == 1 ? VECTOR_ROW_START : ROW_START;
  return tiles * rows * (row + more / spk_tuning_for(kernels, machine)->fmas + start);
}

/* A vector, n == 1, has 4 sums in flight, which are added up at the end of each row. */
double spk_rows_cost(const spk_sparse *A, ptrdiff_t n, ptrdiff_t tile, const spk_kernels *kernels,
                     const spk_machine *machine) {
  const double rows = (double)A->rows, per_row = entries_per_row(A);
  const double x_bytes = (double)A->cols * (double)spk_dtype_size(A->dtype);
  if (n == 1) return rows * (1.5 * (1.0 + 2.0 * spk_missing(x_bytes, machine)) * per_row + 7.0);
  const double fmas = spk_tuning_for(kernels, machine)->fmas;
  const double tiles = ceil((double)n / (double)tile);
  const double vectors = (double)spk_ceil_div(tile, kernels->lanes[A->dtype]);
  const double bytes = (double)A->cols * (double)tile * (double)spk_dtype_size(A->dtype);
  /* One vector waits for its sum; it takes no longer than two, which have half of what is waited.
   */
  const double entry = vectors * (1.0 + 1.2 * spk_missing(bytes, machine)) / fmas + 1.0 / fmas +
                       (vectors > 1 ? 0.0 : 0.5);
  const double reads = spk_panel_reads(n, kernels->lanes[A->dtype]) * (double)A->cols;
  const double packs = (double)A->nnz >= reads ? packing_cost(A, vectors) : 0.0;
  const double end = MISPREDICTED * fmin(1.0, per_row / UNPREDICTABLE);
  return tiles * rows * (per_row * entry + (2.0 * vectors + packs) / fmas + end);
}

/* A dense product by a BLAS.  For a vector, it streams the matrix from the outer caches. */
double spk_dense_cost(const spk_sparse *A, ptrdiff_t n, const spk_kernels *kernels,
                      const spk_machine *machine) {
  const double cells = (double)A->rows * (double)A->cols, lanes = kernels->lanes[A->dtype];
  if (n == 1) return cells / lanes * 4.0 / machine->tuning.fmas + 2.0 * (double)A->rows;
  const double vectors = ceil((double)n / lanes);
  return (cells * vectors * 1.15 + 4.0 * (double)A->rows) / machine->tuning.fmas;
}
