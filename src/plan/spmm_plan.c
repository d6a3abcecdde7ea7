#include "spmm_plan.h"

#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "cost.h"

/* Limits in bytes, so that the workspace of a thread stays below a few MiB whatever the shapes.
 * Partial sums, which threads share, stay below SPK_MAX_PARTIAL_BYTES. */
#define MAX_STAGE ((ptrdiff_t)1 << 16)
#define MAX_SCATTER_STAGE ((ptrdiff_t)1 << 20)
#define MAX_CUT ((ptrdiff_t)1 << 18)

/* The most walks over A for a scatter into a stage.  Each walk skips the entries of other rows, by
 * unpredictable branches.  With more walks, one walk over A per column of C is faster (a dense 16 x
 * 200,000 matrix times CSR: 101 ms with 7 walks). */
#define MAX_WALKS 2

/* The vectors of a packed tile.  With 2 to 6 vectors the product ran within 5% of 4 from L2.  With
 * 8 it was slower, as the panel leaves the cache before the wider tile has paid for its broadcasts;
 * from L1, 8 may be faster (dispatch/tuning.c).  Each row of few entries ends in a mispredicted
 * branch, so for rows shorter than SHORT_ROW a tile of 8 vectors halves the number of rows walked
 * (doc/decisions/panels.rst, decision-wide-tiles). */
#define PACKED_VECTORS 4
#define SHORT_ROW 12.0

/* The number of reads of a row below which B is not packed if its rows begin with a whole vector.
 * No load then touches two cache lines, and each thread would pack for itself: 768 x 3072, 98%
 * sparse, 64 columns, one thread, at 15 reads 152 us packed and 127 in place, with AVX2 151 and
 * 148; at 23 reads 212 and 192, with AVX2 208 and 226 (Zen 4; doc/decisions/panels.rst,
 * decision-aligned-in-place).  With more than ALIGNED_VECTORS vectors of columns, rows of B lie too
 * far apart. */
#define ALIGNED_REUSE 22.0
#define ALIGNED_VECTORS 8

/* If B takes several panels: the entries of a row of A per panel from which on packing pays. */
#define ROW_IN_PANEL 24.0

/* If columns of B are not contiguous, B is copied.  If rows of B are read PANEL_REUSE times or
 * more, each worker copies into panels that stay in its cache; otherwise all workers copy some
 * tiles together.  A copy takes 0.1 to 0.25 ns an element, an FMA 0.03.  If a row is read fewer
 * than MIN_COPY times, elements are read in place. */
#define PANEL_REUSE 16.0
#define MIN_COPY 0.25
/* A vector without unit stride is copied only if it has enough elements for its cache lines to
 * leave L1. */
#define MIN_COPY_VECTOR 2.0
#define MIN_COPY_ROWS 256
/* The most bytes that are copied at a time, unless a single vector of columns takes more.  The
 * workspace is kept from call to call up to 16 MiB (threads/workspace.c). */
#define MAX_COPY ((ptrdiff_t)14 << 20)

/* Tasks per thread: enough to even out rows and disturbances, and few enough to cost nothing. */
#define TASKS_PER_THREAD 8
#define FEW_TASKS 2

size_t spk_gather_workspace_limit(void) {
  return (size_t)(SPK_MAX_PANEL_BYTES + MAX_SCATTER_STAGE + 2 * MAX_CUT);
}

static double work_of(const spk_sparse *A, ptrdiff_t n) {
  const double entries = (double)A->nnz * (double)A->block_rows * (double)A->block_cols;
  return (entries + SPK_WORK_STORE * (double)A->rows) * (double)n;
}

/* Cut n columns into tiles of at most `widest` columns, all of nearly the same number of
 * vectors. */
static void cut_columns(spk_spmm_plan *plan, ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t widest) {
  plan->tile = spk_tile_of(n, lanes, widest / lanes);
  plan->tiles = spk_ceil_div(n, plan->tile);
}

/* The rows of B, of `row_bytes` each, that fit the share of L1 that a block may take. */
static ptrdiff_t rows_in_l1(const spk_machine *machine, ptrdiff_t row_bytes) {
  return spk_max(1, (ptrdiff_t)((double)machine->l1_bytes * machine->tuning.l1_share) / row_bytes);
}

/* Vector FMAs per row of A and block of `rows` rows of B. */
static double segment_of(double per_row, ptrdiff_t rows, ptrdiff_t k, ptrdiff_t vectors) {
  return per_row * (double)rows / (double)spk_max(1, k) * (double)vectors;
}

/* The widest packed tile, in vectors. */
static ptrdiff_t widest_packed(const spk_sparse *A, ptrdiff_t k, double per_row, ptrdiff_t lanes,
                               const spk_machine *machine) {
  if (A->format == SPK_BSR || per_row < SHORT_ROW) return SPK_MAX_VECTORS;
  const ptrdiff_t row_bytes = SPK_MAX_VECTORS * lanes * (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t rows = rows_in_l1(machine, row_bytes);
  const double segment = segment_of(per_row, rows, k, SPK_MAX_VECTORS);
  return rows < k && (A->flags & SPK_SORTED) && segment >= machine->tuning.wide_segment
             ? SPK_MAX_VECTORS
             : PACKED_VECTORS;
}

/* Plan panels of B: how many rows they have, and where rows of A are cut so that a block of a panel
 * lies in L1.  Returns 0 if B cannot be packed, or if packing does not pay. */
static int plan_panels(const spk_sparse *A, ptrdiff_t n, ptrdiff_t k, ptrdiff_t lanes,
                       const spk_machine *machine, spk_spmm_plan *plan) {
  const ptrdiff_t size = (ptrdiff_t)spk_dtype_size(A->dtype), grain = A->block_cols;
  const double entries = (double)A->nnz * (double)A->block_rows * (double)A->block_cols;
  const double per_row = entries / (double)spk_max(1, A->rows);
  const ptrdiff_t widest = widest_packed(A, k, per_row, lanes, machine);
  cut_columns(plan, n, lanes, spk_min(widest, plan->tile / lanes) * lanes);
  const ptrdiff_t row_bytes = plan->tile * size;
  const ptrdiff_t most = spk_min(
      SPK_MAX_PANEL_BYTES, spk_max((ptrdiff_t)machine->l2_bytes / 2, SPK_MAX_PANEL_BYTES / 4));
  const int sorted = (A->flags & SPK_SORTED) != 0;
  plan->panel_rows = spk_max(1, k);
  if (plan->panel_rows * row_bytes > most) {
    /* Rows of A that are not sorted cannot be cut into panels, and neither can a block of BSR.  A
     * narrower tile may fit as one panel. */
    if (!sorted && plan->tile > lanes) {
      plan->tile = lanes;
      return plan_panels(A, n, k, lanes, machine, plan);
    }
    if (!sorted || grain * row_bytes > most) return 0;
    plan->panel_rows = most / row_bytes / grain * grain;
    /* Every panel after the first reads and writes C again.  A graph has too few entries per row
     * for that (doc/decisions/panels.rst, decision-dense-panels-l2). */
    const double panels = (double)spk_ceil_div(k, plan->panel_rows);
    if (per_row < ROW_IN_PANEL * panels) return 0;
  }
  plan->block_rows = plan->panel_rows;
  if (sorted && A->format != SPK_BSR) {
    const ptrdiff_t rows = rows_in_l1(machine, row_bytes);
    if (rows < plan->panel_rows &&
        segment_of(per_row, rows, k, plan->tile / lanes) >= machine->tuning.segment) {
      plan->block_rows = rows;
      /* A panel must consist of whole blocks. */
      plan->panel_rows =
          plan->panel_rows >= k ? spk_round_up(k, rows) : plan->panel_rows / rows * rows;
    }
  }
  plan->blocks = spk_max(1, spk_ceil_div(k, plan->block_rows));
  plan->panel_bytes =
      spk_aligned_size((size_t)(spk_min(plan->panel_rows, spk_max(1, k)) * row_bytes));
  return 1;
}

/* Whether B can serve as its own panels, with the same tiles and cuts, and so the same bits. */
static int is_panel(const spk_dense *B, double reuse, ptrdiff_t lanes) {
  const ptrdiff_t size = (ptrdiff_t)spk_dtype_size(B->dtype), vector = lanes * size;
  return reuse < ALIGNED_REUSE && B->cols <= ALIGNED_VECTORS * lanes && B->col_stride == 1 &&
         (uintptr_t)B->data % (size_t)vector == 0 && B->row_stride % lanes == 0;
}

/* Plan copies of tiles of B, as wide as fits. */
static void plan_copy(ptrdiff_t n, ptrdiff_t k, ptrdiff_t lanes, ptrdiff_t size,
                      spk_spmm_plan *plan) {
  const ptrdiff_t vectors = MAX_COPY / spk_product(spk_max(1, k), lanes * size);
  plan->copy = 1;
  cut_columns(plan, n, lanes, spk_min(spk_max(1, vectors), plan->tile / lanes) * lanes);
  plan->copy_ld = n == 1 ? 1 : plan->tile;
  const ptrdiff_t tile_bytes = spk_product(k, plan->copy_ld * size);
  plan->copy_tiles = spk_max(1, spk_min(plan->tiles, MAX_COPY / spk_max(1, tile_bytes)));
  plan->copy_bytes = spk_size_product((size_t)tile_bytes, (size_t)plan->copy_tiles);
}

/* Plan tasks: tiles x ranges of rows.  Each range has about the same number of entries. */
static void plan_parts(const spk_sparse *A, spk_spmm_plan *plan) {
  const ptrdiff_t rows = A->rows / A->block_rows;
  /* If sums stay apart, each task packs all panels again. */
  const int repacks = plan->apart && plan->blocks * plan->block_rows > plan->panel_rows;
  const ptrdiff_t tasks = repacks ? FEW_TASKS : TASKS_PER_THREAD;
  plan->col_parts = plan->hollow ? 1 : plan->copy_tiles;
  plan->row_parts = 1;
  if (plan->threads > 1)
    plan->row_parts = spk_ceil_div((ptrdiff_t)plan->threads * tasks, plan->col_parts);
  plan->row_parts = spk_max(1, spk_min(plan->row_parts, spk_min(rows, plan->band_rows)));
  plan->threads = (int)spk_min(plan->threads, plan->col_parts * plan->row_parts);
}

void spk_plan_gather(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int keeps,
                     int threads, const spk_kernels *kernels, const spk_machine *machine,
                     spk_spmm_plan *plan) {
  const ptrdiff_t n = B->cols, k = B->rows, size = (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t isize = (ptrdiff_t)spk_itype_size(A->itype);
  const ptrdiff_t lanes = kernels->lanes[A->dtype], outer = spk_max(1, A->rows / A->block_rows);
  const double entries = (double)A->nnz * (double)A->block_rows * (double)A->block_cols;
  const int is_bsr = A->format == SPK_BSR;
  const int b_unit = B->col_stride == 1 || n == 1, c_unit = C->col_stride == 1 || n == 1;
  /* the number of times that a row of B is read */
  const double reuse = entries / (double)spk_max(1, k);
  *plan = (spk_spmm_plan){.threads = spk_choose_threads(threads, work_of(A, n)),
                          .panel_rows = spk_max(1, k),
                          .block_rows = spk_max(1, k),
                          .blocks = 1,
                          .band_rows = outer,
                          .row_chunk = outer};
  /* Tiles of BSR are four rows high, and all their sums must fit the registers. */
  const ptrdiff_t most = !is_bsr ? SPK_MAX_VECTORS : kernels->registers >= 32 ? 4 : 2;
  cut_columns(plan, n, lanes, most * lanes);
  const spk_spmm_plan whole = *plan;
  const double pays = spk_panel_reads(n, lanes);
  if (n > 1 && (b_unit ? n > lanes && reuse >= pays : reuse >= PANEL_REUSE))
    plan->pack = plan_panels(A, n, k, lanes, machine, plan);
  if (!plan->pack)
    *plan = whole;
  else if (is_panel(B, reuse, lanes))
    plan->pack = 0, plan->panel_bytes = 0;
  /* The strided kernel serves a single column, which would fill one lane of a vector, and blocks
   * whose rows do not fit the stage. */
  const int wants_stage = !c_unit || (keeps && plan->blocks > 1);
  if (is_bsr && (n == 1 || (wants_stage && A->block_rows * plan->tile * size > MAX_SCATTER_STAGE)))
    plan->strided = 1;
  const int far = n == 1 && B->row_stride != 1 && k >= MIN_COPY_ROWS;
  if (!plan->pack && !plan->strided && (far ? reuse >= MIN_COPY_VECTOR : !b_unit)) {
    if (reuse >= MIN_COPY)
      plan_copy(n, k, lanes, size, plan);
    else
      plan->strided = 1;
  }
  if (plan->strided) {
    *plan = whole;
    plan->strided = 1;
    plan->tile = n, plan->tiles = 1;
  }
  if (!plan->copy) plan->copy_tiles = plan->tiles;
  plan->apart = keeps && plan->blocks > 1;
  plan->stage = plan->apart || (!plan->strided && !c_unit);
  plan->hollow = A->format == SPK_CSR && !plan->strided && !plan->stage && plan->blocks == 1 &&
                 2.0 * entries < (double)A->rows;
  if (plan->blocks > 1) {
    const ptrdiff_t per_row = (plan->blocks + 1) * isize;
    plan->band_rows = spk_max(1, spk_min(outer, MAX_CUT * plan->threads / per_row));
    plan->cut_bytes = spk_aligned_size((size_t)(plan->band_rows * per_row));
  }
  if (plan->stage) {
    const ptrdiff_t per_row = plan->tile * size * A->block_rows;
    /* Sums wait in the stage from panel to panel, and each chunk of rows packs the panels again. */
    const ptrdiff_t most_bytes =
        plan->apart && plan->panel_rows < k ? MAX_SCATTER_STAGE : MAX_STAGE;
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, most_bytes / per_row));
    plan->stage_bytes = spk_aligned_size((size_t)(plan->row_chunk * per_row));
  }
  if (A->format == SPK_COO) {
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, MAX_CUT / isize - 1));
    plan->offset_bytes = spk_aligned_size((size_t)((plan->row_chunk + 1) * isize));
  }
  plan_parts(A, plan);
}

void spk_plan_scatter(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int keeps,
                      int threads, const spk_kernels *kernels, const spk_machine *machine,
                      spk_spmm_plan *plan) {
  const ptrdiff_t n = B->cols, k = B->rows, size = (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const int b_unit = B->col_stride == 1, c_unit = C->col_stride == 1;
  *plan = (spk_spmm_plan){.threads = spk_choose_threads(threads, work_of(A, n)),
                          .panel_rows = spk_max(1, k),
                          .block_rows = spk_max(1, k),
                          .blocks = 1,
                          .row_chunk = spk_max(1, A->rows)};
  /* The tile of C is read and written at random.  So it should lie in half of L2, if that leaves at
   * least four vectors. */
  const ptrdiff_t fits = (ptrdiff_t)machine->l2_bytes / 2 / spk_max(1, A->rows * size) / lanes;
  ptrdiff_t vectors = spk_max(4, spk_min(SPK_MAX_VECTORS, fits));
  /* Threads share columns and not rows.  Each thread would walk all entries, and whether a row is
   * its own is a branch that no predictor knows (160,000 entries in CSC times a vector: 0.6 ms on
   * two threads, 0.23 on one; doc/decisions/vectors.rst, decision-scatter-rows).  Threads do not
   * add to C itself, because a cache line with columns of two threads would go back and forth at
   * every entry (10,000 entries, N = 16: 0.19 ms on two threads, 0.08 on one;
   * decision-scatter-stages).  So each thread has a stage.  If a stage does not hold all rows,
   * there is one thread. */
  const int most = plan->threads;
  const ptrdiff_t all = spk_ceil_div(n, lanes), each = spk_max(1, all / most);
  const int shared = most > 1 && all > 1 && (c_unit || A->format == SPK_CSC) &&
                     A->rows * spk_min(each, vectors) * lanes * size <= MAX_SCATTER_STAGE;
  if (shared)
    vectors = spk_min(each, vectors);
  else
    plan->threads = 1;
  cut_columns(plan, n, lanes, vectors * lanes);
  plan->col_parts = spk_min(plan->tiles, plan->threads);
  plan->threads = (int)plan->col_parts;
  if (A->format == SPK_CSC && n > 1) {
    /* A stage holds a range of rows of C at a time, and every range costs a walk over A. */
    const ptrdiff_t stage_rows = MAX_SCATTER_STAGE / (lanes * size);
    plan->stage = keeps || shared || (!c_unit && spk_ceil_div(A->rows, stage_rows) <= MAX_WALKS);
    plan->strided = !c_unit && !plan->stage;
    plan->pack = !plan->strided && !b_unit;
    if (plan->strided) {
      /* One column follows another, and columns lie far apart, so threads do not meet in cache
       * lines. */
      plan->threads = (int)spk_min(most, n);
      plan->tile = spk_ceil_div(n, plan->threads);
      plan->tiles = spk_ceil_div(n, plan->tile);
      plan->threads = (int)(plan->col_parts = plan->tiles);
    }
  } else {
    plan->strided = 1;
    plan->stage = keeps || shared;
    plan->tile = spk_min(plan->tile, n);
  }
  if (plan->stage) {
    const ptrdiff_t row_bytes = plan->tile * size;
    plan->row_chunk = spk_max(1, spk_min(A->rows, MAX_SCATTER_STAGE / row_bytes));
    plan->stage_bytes = spk_aligned_size((size_t)(plan->row_chunk * row_bytes));
  }
  if (plan->pack) {
    plan->panel_rows = spk_min(plan->panel_rows, 256);
    plan->panel_bytes = spk_aligned_size((size_t)(plan->panel_rows * plan->tile * size));
  }
}
