#include "partial_plan.h"

#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "cost.h"

/* Entries from which on reading the indices once saves more than storing sums apart costs. */
#define MIN_ENTRIES 256
/* Entries of a row below which zeros and sums of it cost more than that. */
#define MIN_PER_ROW 0.5
/* Multiply-adds, and entries of a row, from which on there is more than one part: with fewer there
 * is one thread (threads/parallel.c), or another array of sums costs too much. */
#define MIN_WORK 80000.0
#define PARTED_ROW 2.0
/* Columns above which rows of fewer entries are added to C itself, as zeros and sums are what takes
 * the time (64 columns, 3 entries a row: up to twice that of scipy, and 0.5 to 0.9 so). */
#define MANY_COLUMNS 16
#define WIDE_ROW 4.0
/* More than two parts are at most as many as cost this share of what the entries do, an eighth, as
 * they do on one thread too. */
#define SUMS_SHARE 0.12
/* Bytes of two arrays of sums for several columns: larger ones wait for memory (100,000 rows of 3
 * or 5, 8 and 16 columns: 0.6 to 0.8 of the speed of adding to C itself).  A single tile of columns
 * then has one array of as many. */
#define MAX_TILE ((ptrdiff_t)1 << 23)
/* A power of two, as threads are most often. */
#define MAX_PARTS 16
/* Multiply-adds of a part, so that its task is worth being taken by a thread. */
#define MIN_PART 15000.0
/* Rows of B that CSC packs at a time. */
#define PACKED_ROWS 256
/* Ranges of rows of CSR, which share one array of sums. */
#define ROW_PARTS 32
/* Bytes of sums that a task adds up, at most, and elements at least. */
#define BAND_BYTES ((ptrdiff_t)1 << 16)
#define MIN_BAND 2048

/* Times a vector, rows (columns) go by blocks where they are short.  Of double and of columns,
 * only where there are so many entries that the branch predictor does not learn the lengths of
 * rows from product to product: it knows 60,000 entries by heart, not 160,000 (Zen 4); unless they
 * are the shortest.  Of float, a row has less than one and a half vectors, or so many entries where
 * the vector is larger than L2 holds beside A. */
#define SHORT_F32 1.5
#define SHORT_FAR 12.0
#define FAR_BYTES ((double)(1 << 19))
#define SHORT_F64 6.0
#define SHORT_COLUMN 6.0
#define SHORTEST 2.0
#define LEARNED 100000

static int goes_by_blocks(const spk_sparse *A, ptrdiff_t lanes) {
  const double entries = (double)A->nnz;
  const int learned = A->nnz <= LEARNED;
  if (A->format == SPK_CSC) return !learned && entries < SHORT_COLUMN * (double)A->cols;
  if (A->format != SPK_CSR) return 0;
  if (A->dtype == SPK_F32) {
    const double most = SHORT_F32 * (double)lanes;
    const int far = (double)A->cols * 4.0 > FAR_BYTES;
    return entries < (far && most > SHORT_FAR ? SHORT_FAR : most) * (double)A->rows;
  }
  return entries < (learned ? SHORTEST : SHORT_F64) * (double)A->rows;
}

/* Rows of so many entries have several sums at once, unless the vector is far: loads of L3 take
 * longer so (Zen 4, 1.6 MB: 1.45 ns an entry with four sums, 1.24 with one).  That there may be
 * such rows makes the loop over others 15 to 40% slower in double. */
#define LONG_ROWS 24.0

static int has_several_sums(const spk_sparse *A) {
  const double bytes = (double)A->cols * (double)spk_dtype_size(A->dtype);
  return (double)A->nnz >= LONG_ROWS * (double)A->rows && bytes <= FAR_BYTES;
}

static ptrdiff_t sums_of(const spk_sparse *A, ptrdiff_t tile) {
  const double bytes = (double)A->rows * (double)tile * (double)spk_dtype_size(A->dtype);
  if (bytes > (double)SPK_MAX_PARTIAL_BYTES) return SPK_MAX_PARTIAL_BYTES + 1;
  return (ptrdiff_t)spk_aligned_size((size_t)A->rows * (size_t)tile * spk_dtype_size(A->dtype));
}

static ptrdiff_t copy_of(const spk_sparse *A, ptrdiff_t tile, int copies) {
  const double bytes = (double)A->cols * (double)tile * (double)spk_dtype_size(A->dtype);
  if (!copies) return 0;
  if (bytes > (double)SPK_MAX_PARTIAL_BYTES) return SPK_MAX_PARTIAL_BYTES + 1;
  return (ptrdiff_t)spk_aligned_size((size_t)A->cols * (size_t)tile * spk_dtype_size(A->dtype));
}

/* How many parts of `sums` bytes fit beside `copy` bytes. */
static ptrdiff_t parts_that_fit(ptrdiff_t sums, ptrdiff_t copy) {
  return copy > SPK_MAX_PARTIAL_BYTES ? 0 : (SPK_MAX_PARTIAL_BYTES - copy) / spk_max(1, sums);
}

/* Tasks that add sums up and store them: whole cache lines of sums. */
static ptrdiff_t band_of(const spk_sparse *A, ptrdiff_t tile) {
  const ptrdiff_t most = spk_max(1, BAND_BYTES / (tile * (ptrdiff_t)spk_dtype_size(A->dtype)));
  const ptrdiff_t even = spk_min(most, spk_ceil_div(A->rows, MAX_PARTS));
  return spk_round_up(spk_max(spk_ceil_div(MIN_BAND, tile), even), SPK_MAX_LANES);
}

static int plan_rows(const spk_sparse *A, ptrdiff_t lanes, int threads, spk_partial_plan *plan) {
  const ptrdiff_t sums = sums_of(A, 1);
  if (sums > SPK_MAX_PARTIAL_BYTES) return 0;
  *plan = (spk_partial_plan){.threads = spk_choose_threads(threads, (double)A->nnz),
                             .parts = ROW_PARTS,
                             .arrays = 1,
                             .tile = 1,
                             .tiles = 1,
                             .by_blocks = goes_by_blocks(A, lanes),
                             .several = has_several_sums(A),
                             .streams = A->nnz > LEARNED,
                             .band = band_of(A, 1),
                             .sums_bytes = (size_t)sums};
  if (plan->threads == 1) plan->parts = 1;
  return 1;
}

/* The widest tile of which two arrays of sums fit, in vectors. */
static ptrdiff_t widest_tile(const spk_sparse *A, ptrdiff_t n, ptrdiff_t lanes, int copies,
                             const spk_machine *machine) {
  /* Sums are read and written at random: in half of L2, where that leaves two vectors. */
  const ptrdiff_t fits = (ptrdiff_t)machine->l2_bytes / 2 / spk_max(1, sums_of(A, lanes));
  ptrdiff_t most = spk_max(2, spk_min(SPK_MAX_PARTIAL_VECTORS, fits));
  for (; most > 1; most--) {
    const ptrdiff_t tile = spk_tile_of(n, lanes, most), sums = sums_of(A, tile);
    if (2 * sums <= MAX_TILE && parts_that_fit(sums, copy_of(A, tile, copies)) >= 2) break;
  }
  return most;
}

int spk_plan_partial(const spk_sparse *A, const spk_dense *B, int threads,
                     const spk_kernels *kernels, const spk_machine *machine,
                     spk_partial_plan *plan) {
  const ptrdiff_t n = B->cols, size = (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const double entries = (double)A->nnz, work = entries * (double)n;
  if (entries < MIN_ENTRIES || entries < MIN_PER_ROW * (double)A->rows) return 0;
  if (A->format == SPK_CSR) return plan_rows(A, lanes, threads, plan);
  if (n > MANY_COLUMNS && entries < WIDE_ROW * (double)A->rows) return 0;
  *plan = (spk_partial_plan){.pack = n > 1 && B->col_stride != 1, .tile = 1, .tiles = n};
  const int copies = plan->pack && A->format == SPK_COO;
  if (n > 1) {
    plan->tile = spk_tile_of(n, lanes, widest_tile(A, n, lanes, copies, machine));
    plan->tiles = spk_ceil_div(n, plan->tile);
  }
  const ptrdiff_t sums = sums_of(A, plan->tile), copy = copy_of(A, plan->tile, copies);
  const ptrdiff_t fit = parts_that_fit(sums, copy);
  const int large = n > 1 && 2 * sums > MAX_TILE;
  plan->parts = work < MIN_WORK || entries < PARTED_ROW * (double)A->rows || large ? 1 : 2;
  if (fit < plan->parts || (large && (plan->tiles > 1 || sums > MAX_TILE))) return 0;
  const double row = SPK_PARTIAL_SUM_BYTE * (double)(plan->tile * size);
  const double entry =
      SPK_PARTIAL_ENTRY + SPK_PARTIAL_ENTRY_BYTE * (double)(spk_min(n, plan->tile) * size);
  const double pay = SUMS_SHARE * entries * entry / (row * (double)A->rows);
  while (plan->parts > 1 && 2 * plan->parts <= spk_min(fit, MAX_PARTS) &&
         2.0 * (double)plan->parts <= pay && 2.0 * (double)plan->parts * MIN_PART <= work)
    plan->parts *= 2;
  plan->arrays = plan->parts;
  plan->by_blocks = goes_by_blocks(A, lanes);
  plan->streams = A->nnz > LEARNED;
  plan->threads = (int)spk_min(spk_choose_threads(threads, work), plan->parts);
  plan->band = band_of(A, plan->tile);
  plan->sums_bytes = (size_t)sums;
  plan->copy_bytes = (size_t)copy;
  if (plan->pack && A->format == SPK_CSC)
    plan->panel_bytes = spk_aligned_size((size_t)(PACKED_ROWS * plan->tile * size));
  plan->panel_rows = plan->panel_bytes ? PACKED_ROWS : spk_max(1, A->cols);
  return 1;
}
