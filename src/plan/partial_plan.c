#include "partial_plan.h"

#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "cost.h"

/* The least number of entries.  From here on, reading the indices once saves more than storing sums
 * apart costs. */
#define MIN_ENTRIES 256
/* The least number of entries per row.  Below, the zeros and sums of a row cost more than partial
 * sums save. */
#define MIN_PER_ROW 0.5
/* Multiply-adds, and entries per row, from which on there is more than one part.  With less work
 * there is one thread (threads/parallel.c), and with shorter rows another array of sums costs too
 * much. */
#define MIN_WORK 80000.0
#define PARTED_ROW 2.0
/* With more columns than MANY_COLUMNS, and fewer entries per row than WIDE_ROW, entries are added
 * to C itself, because zeros and sums take most of the time (64 columns, 3 entries a row: partial
 * sums took up to twice scipy's time, adding to C takes 0.5 to 0.9 of it). */
#define MANY_COLUMNS 16
#define WIDE_ROW 4.0
/* The share of the time of the entries that all parts together may cost, an eighth, if there are
 * more than two parts.  They cost as much on one thread. */
#define SUMS_SHARE 0.12
/* The most bytes of two arrays of sums for several columns.  Larger arrays wait for memory (100,000
 * rows of 3 or 5 entries, 8 and 16 columns: 0.6 to 0.8 of the speed of adding to C itself).
 * Beyond, a single tile of columns has one array of up to this size. */
#define MAX_TILE ((ptrdiff_t)1 << 23)
/* A power of two, as the number of threads mostly is one. */
#define MAX_PARTS 16
/* The least multiply-adds of a part that make its task worth a thread. */
#define MIN_PART 15000.0
/* The rows of B that CSC packs at a time. */
#define PACKED_ROWS 256
/* The least number of ranges of rows of CSR, and the number for each thread where that is more.
 * They share one array of sums. */
#define ROW_PARTS 32
#define ROW_PARTS_PER_THREAD 4
/* The most bytes of sums that a task adds up, and the least number of elements. */
#define BAND_BYTES ((ptrdiff_t)1 << 16)
#define MIN_BAND 2048

/* Short rows (columns) times a vector go by blocks (doc/decisions/vectors.rst,
 * decision-row-blocks).  For CSR of double and for CSC, they do only if there are more than LEARNED
 * entries, or if rows of CSR are the SHORTEST.  With fewer entries, the branch predictor learns the
 * lengths of rows from product to product: it knows 60,000 entries by heart, not 160,000 (Zen 4).
 * Rows of float are short below SHORT_F32 vectors, or below SHORT_FAR entries if the vector has
 * more than FAR_BYTES and so does not fit L2 beside A. */
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

/* Entries per row from which on rows have several sums at once, unless the vector is far.  With
 * several sums, loads from L3 take longer (Zen 4, 1.6 MB: 1.45 ns an entry with four sums, 1.24
 * with one; doc/decisions/vectors.rst, decision-one-sum-far).  The loop that allows such rows is 15
 * to 40% slower for short rows of double. */
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

/* The number of arrays of `sums` bytes that fit beside `copy` bytes. */
static ptrdiff_t parts_that_fit(ptrdiff_t sums, ptrdiff_t copy) {
  return copy > SPK_MAX_PARTIAL_BYTES ? 0 : (SPK_MAX_PARTIAL_BYTES - copy) / spk_max(1, sums);
}

/* Rows of a task that adds sums up and stores them: whole cache lines of sums. */
static ptrdiff_t band_of(const spk_sparse *A, ptrdiff_t tile) {
  const ptrdiff_t most = spk_max(1, BAND_BYTES / (tile * (ptrdiff_t)spk_dtype_size(A->dtype)));
  const ptrdiff_t even = spk_min(most, spk_ceil_div(A->rows, MAX_PARTS));
  return spk_round_up(spk_max(spk_ceil_div(MIN_BAND, tile), even), SPK_MAX_LANES);
}

static int plan_rows(const spk_sparse *A, ptrdiff_t lanes, int threads, spk_partial_plan *plan) {
  const ptrdiff_t sums = sums_of(A, 1);
  if (sums > SPK_MAX_PARTIAL_BYTES) return 0;
  *plan = (spk_partial_plan){.threads = spk_choose_threads(threads, (double)A->nnz),
                             .arrays = 1,
                             .tile = 1,
                             .tiles = 1,
                             .by_blocks = goes_by_blocks(A, lanes),
                             .several = has_several_sums(A),
                             .streams = A->nnz > LEARNED,
                             .band = band_of(A, 1),
                             .sums_bytes = (size_t)sums};
  plan->parts = spk_max(ROW_PARTS, (ptrdiff_t)plan->threads * ROW_PARTS_PER_THREAD);
  if (plan->threads == 1) plan->parts = 1;
  return 1;
}

/* The widest tile, in vectors, of which two arrays of sums fit. */
static ptrdiff_t widest_tile(const spk_sparse *A, ptrdiff_t n, ptrdiff_t lanes, int copies,
                             const spk_machine *machine) {
  /* Sums are read and written at random, so they should lie in half of L2, if that leaves at least
   * two vectors. */
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
