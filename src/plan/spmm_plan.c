#include "spmm_plan.h"

#include "../threads/parallel.h"
#include "../threads/partition.h"
#include "cost.h"

/* The workspace of a thread stays below a few MiB whatever the shapes; that of partial sums, which
 * threads share, below SPK_MAX_PARTIAL_BYTES. */
#define MAX_STAGE ((ptrdiff_t)1 << 16)
#define MAX_SCATTER_STAGE ((ptrdiff_t)1 << 20)
#define MAX_CUT ((ptrdiff_t)1 << 18)

/* Walks over A that a scatter into a stage may take: each skips, unpredictably, the entries of
 * other rows.  With more, walking A once per column of C is faster (a dense 16 x 200,000 matrix
 * times CSR: 101 ms with 7 walks). */
#define MAX_WALKS 2

/* A packed tile is 4 vectors wide: with 2 to 6 the product ran within 5% of it from L2, and with 8
 * slower, as the panel leaves the cache earlier than the broadcast is amortised; from L1, 8 may be
 * faster (dispatch/tuning.c).  Rows of few entries end in a mispredicted branch each: there a tile
 * of 8 halves the number of rows walked. */
#define PACKED_VECTORS 4
#define SHORT_ROW 12.0

/* Where rows of B begin with a whole vector, no load straddles lines, and packing pays later, the
 * more so as each thread packs for itself: 768 x 3072, 98% sparse, 15 reads of a row, 64 columns,
 * one thread 152 us packed and 127 not, with AVX2 151 and 148; at 23 reads 212 and 192, 208 and 226
 * (Zen 4).  With more columns than this, rows of B lie too far apart. */
#define ALIGNED_REUSE 22.0
#define ALIGNED_VECTORS 8

/* Entries of a row that must fall to each panel, where B takes several, for packing to pay. */
#define ROW_IN_PANEL 24.0

/* B whose columns do not lie side by side is copied: by all workers together, some tiles at a time,
 * or, where its rows are read at least so often, by each worker into panels that stay in its cache.
 * A copy takes 0.1 to 0.25 ns an element, an FMA 0.03.  Where a row is read more seldom than
 * MIN_COPY times, elements are read where they are. */
#define PANEL_REUSE 16.0
#define MIN_COPY 0.25
/* A vector is copied where it is long enough for its lines to leave L1. */
#define MIN_COPY_VECTOR 2.0
#define MIN_COPY_ROWS 256
/* Bytes that are copied at a time, unless a single vector of columns takes more: the workspace is
 * kept from call to call up to 16 MiB (threads/workspace.c). */
#define MAX_COPY ((ptrdiff_t)14 << 20)

/* Tasks per thread: enough to even out rows and disturbances, few enough to cost nothing. */
#define TASKS_PER_THREAD 8
#define FEW_TASKS 2

size_t spk_gather_workspace_limit(void) {
  return (size_t)(SPK_MAX_PANEL_BYTES + MAX_SCATTER_STAGE + 2 * MAX_CUT);
}

static double work_of(const spk_sparse *A, ptrdiff_t n) {
  const double entries = (double)A->nnz * (double)A->block_rows * (double)A->block_cols;
  return (entries + SPK_WORK_STORE * (double)A->rows) * (double)n;
}

/* Tiles of at most `widest` columns, all of nearly the same number of vectors. */
static void cut_columns(spk_spmm_plan *plan, ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t widest) {
  plan->tile = spk_tile_of(n, lanes, widest / lanes);
  plan->tiles = spk_ceil_div(n, plan->tile);
}

/* Rows of B, `row_bytes` each, that fit the share of L1 that a block may take. */
static ptrdiff_t rows_in_l1(const spk_machine *machine, ptrdiff_t row_bytes) {
  return spk_max(1, (ptrdiff_t)((double)machine->l1_bytes * machine->tuning.l1_share) / row_bytes);
}

/* FMAs on vectors per row of A and block of `rows` rows of B. */
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

/* Panels of B: how many rows, and where the rows of A are cut so that a block of a panel lies in
 * L1. Returns 0 where B cannot be packed, or should not. */
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
    /* A row that is not sorted cannot be cut into panels, nor can a block: a narrower one may do.
     */
    if (!sorted && plan->tile > lanes) {
      plan->tile = lanes;
      return plan_panels(A, n, k, lanes, machine, plan);
    }
    if (!sorted || grain * row_bytes > most) return 0;
    plan->panel_rows = most / row_bytes / grain * grain;
    /* Every panel after the first reads and writes C again: a graph has too few entries a row. */
    const double panels = (double)spk_ceil_div(k, plan->panel_rows);
    if (per_row < ROW_IN_PANEL * panels) return 0;
  }
  plan->block_rows = plan->panel_rows;
  if (sorted && A->format != SPK_BSR) {
    const ptrdiff_t rows = rows_in_l1(machine, row_bytes);
    if (rows < plan->panel_rows &&
        segment_of(per_row, rows, k, plan->tile / lanes) >= machine->tuning.segment) {
      plan->block_rows = rows;
      /* Blocks must tile a panel exactly. */
      plan->panel_rows =
          plan->panel_rows >= k ? spk_round_up(k, rows) : plan->panel_rows / rows * rows;
    }
  }
  plan->blocks = spk_max(1, spk_ceil_div(k, plan->block_rows));
  plan->panel_bytes =
      spk_aligned_size((size_t)(spk_min(plan->panel_rows, spk_max(1, k)) * row_bytes));
  return 1;
}

/* Whether B serves as its own panels: with the same tiles and cuts, for the same bits. */
static int is_panel(const spk_dense *B, double reuse, ptrdiff_t lanes) {
  const ptrdiff_t size = (ptrdiff_t)spk_dtype_size(B->dtype), vector = lanes * size;
  return reuse < ALIGNED_REUSE && B->cols <= ALIGNED_VECTORS * lanes && B->col_stride == 1 &&
         (uintptr_t)B->data % (size_t)vector == 0 && B->row_stride % lanes == 0;
}

/* Copies of tiles of B, as wide as fits. */
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

/* Tasks: tiles x ranges of rows, each range with about the same number of entries. */
static void plan_parts(const spk_sparse *A, spk_spmm_plan *plan) {
  const ptrdiff_t rows = A->rows / A->block_rows;
  /* Each packs all panels, where sums stay apart. */
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
  const double reuse = entries / (double)spk_max(1, k); /* times a row of B is read */
  *plan = (spk_spmm_plan){.threads = spk_choose_threads(threads, work_of(A, n)),
                          .panel_rows = spk_max(1, k),
                          .block_rows = spk_max(1, k),
                          .blocks = 1,
                          .band_rows = outer,
                          .row_chunk = outer};
  /* BSR tiles are four rows high. */
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
  /* One lane of a vector, or rows of a block that do not fit the stage. */
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
    /* Sums wait there from panel to panel, which each chunk packs again. */
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
  /* The tile of C is read and written at random: keep it in half of L2 where that leaves at least
   * four vectors. */
  const ptrdiff_t fits = (ptrdiff_t)machine->l2_bytes / 2 / spk_max(1, A->rows * size) / lanes;
  ptrdiff_t vectors = spk_max(4, spk_min(SPK_MAX_VECTORS, fits));
  /* Threads share columns, not rows: each would walk all entries, and whether a row is its own is a
   * branch that no predictor knows (160,000 entries in CSC times a vector: 0.6 ms on two threads,
   * 0.23 on one).  And not in C itself: where the columns of two threads meet in a cache line, it
   * would go back and forth at every entry (10,000 entries, N = 16: 0.19 ms, 0.08 on one).  So each
   * has a stage, and if that does not hold all rows there is one thread. */
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
    /* A stage holds a range of rows of C at a time; every range costs a walk over A. */
    const ptrdiff_t stage_rows = MAX_SCATTER_STAGE / (lanes * size);
    plan->stage = keeps || shared || (!c_unit && spk_ceil_div(A->rows, stage_rows) <= MAX_WALKS);
    plan->strided = !c_unit && !plan->stage;
    plan->pack = !plan->strided && !b_unit;
    if (plan->strided) {
      /* One column after another, which lie far apart: threads do not meet. */
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
