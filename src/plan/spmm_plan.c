#include "spmm_plan.h"

#include "../driver/parallel.h"

/* The workspace of one worker stays below a few MiB whatever the shapes. */
#define PANEL_MOST ((ptrdiff_t)1 << 20)
#define STAGE_MOST ((ptrdiff_t)1 << 16)
#define SCATTER_STAGE_MOST ((ptrdiff_t)1 << 20)
#define CUT_MOST ((ptrdiff_t)1 << 18)

/* A packed tile is 4 vectors wide: with 2 to 6 the product ran within 5% of it, with 8 slower, as
 * the panel leaves the cache earlier than the broadcast is amortised. */
#define PACKED_VECTORS 4

/* Times that a row of B must be read for its copy into an aligned panel to pay.  NumPy aligns to 16
 * bytes, so three of four 64-byte loads straddle two lines: packed panels run 1.5 to 3 times as
 * fast, and cost about 3 reads. */
#define PACK_REUSE 8.0

/* Blocking K for L1 costs a store and a mispredicted exit per row and block: it pays from about 32
 * entries per segment on (83 against 53 GFLOP/s at 50% sparsity, 36 against 50 at 90%). */
#define SEGMENT_ENTRIES 32.0

/* The share of L1 that a block of B may take. */
#define L1_SHARE 0.75

/* Ranges of rows per thread where a range needs nothing of its own: whoever is free takes one. */
#define PARTS_PER_THREAD 8

size_t spk_workspace_limit(void) {
  return (size_t)(PANEL_MOST + SCATTER_STAGE_MOST + STAGE_MOST + 2 * CUT_MOST);
}

/* Tiles of at most `widest` columns, all of nearly the same number of vectors. */
static void cut_columns(spk_spmm_plan *plan, ptrdiff_t n, ptrdiff_t lanes, ptrdiff_t widest) {
  const ptrdiff_t vectors = spk_ceil_div(n, lanes);
  const ptrdiff_t tiles = spk_ceil_div(vectors, spk_max(1, widest / lanes));
  plan->tile = spk_ceil_div(vectors, tiles) * lanes;
  plan->tiles = spk_ceil_div(n, plan->tile);
}

/* Groups of tiles: as many as divide both the threads and the tiles without leaving threads idle. */
static ptrdiff_t column_groups(ptrdiff_t tiles, ptrdiff_t threads) {
  ptrdiff_t best = 1;
  for (ptrdiff_t g = 2; g <= threads && g <= tiles; g++)
    if (threads % g == 0 && spk_ceil_div(tiles, g) * g * 8 <= tiles * 9) best = g;
  return best;
}

void spk_plan_gather(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int threads,
                     const spk_kernels *kernels, const spk_machine *machine,
                     spk_spmm_plan *plan) {
  const ptrdiff_t n = B->cols, k = B->rows, size = (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const ptrdiff_t entries = A->nnz * A->block_rows * A->block_cols;
  const int is_bsr = A->format == SPK_BSR, is_sorted = (A->flags & SPK_SORTED) != 0;
  const int b_unit = B->col_stride == 1 || n == 1, c_unit = C->col_stride == 1 || n == 1;
  const ptrdiff_t grain = A->block_cols;
  const double reuse = (double)entries / (double)spk_max(1, k); /* times a row of B is read */
  *plan = (spk_spmm_plan){.threads = spk_choose_threads(threads, (double)entries * (double)n),
                          .panel_rows = spk_max(1, k),
                          .block_rows = spk_max(1, k),
                          .blocks = 1,
                          .row_chunk = spk_max(1, A->rows / A->block_rows)};

  const ptrdiff_t most_vectors = is_bsr ? kernels->bsr_vectors : SPK_MAX_VECTORS;
  const ptrdiff_t most_panel =
      spk_min(PANEL_MOST, spk_max((ptrdiff_t)machine->l2_bytes / 2, PANEL_MOST / 4));
  const int wants_pack = n > 1 && (!b_unit ? reuse >= 1.0 : n > lanes && reuse >= PACK_REUSE);
  plan->pack = wants_pack;
  cut_columns(plan, n, lanes, spk_min(most_vectors, plan->pack ? PACKED_VECTORS : SPK_MAX_VECTORS) * lanes);
  if (plan->pack) {
    plan->panel_rows = spk_max(grain, most_panel / (plan->tile * size) / grain * grain);
    if (plan->panel_rows >= k) {
      plan->panel_rows = spk_max(1, k);
    } else if (!is_sorted || grain * plan->tile * size > most_panel) {
      /* A row that is not sorted cannot be cut into panels, nor can a block. */
      plan->pack = 0;
      plan->panel_rows = spk_max(1, k);
      cut_columns(plan, n, lanes, most_vectors * lanes);
    }
  }
  plan->strided = !plan->pack && !b_unit;
  /* One lane of a vector, or rows of a block that do not fit the stage. */
  if (is_bsr && (n == 1 || (!c_unit && A->block_rows * plan->tile * size > SCATTER_STAGE_MOST)))
    plan->strided = 1, plan->pack = 0, plan->panel_rows = spk_max(1, k);
  plan->stage = !plan->strided && !c_unit;
  if (plan->strided) plan->tile = n, plan->tiles = 1;

  if (plan->pack) {
    plan->panel_bytes = spk_slice((size_t)(plan->panel_rows * plan->tile * size));
    plan->block_rows = plan->panel_rows;
    if (is_sorted && !is_bsr) {
      const double per_row = (double)entries / (double)spk_max(1, A->rows);
      ptrdiff_t rows = (ptrdiff_t)(machine->l1_bytes * L1_SHARE) / (plan->tile * size);
      if (per_row * (double)rows / (double)k >= SEGMENT_ENTRIES) {
        rows = spk_min(plan->panel_rows, spk_max(rows, 1));
        /* blocks must tile a panel exactly */
        plan->block_rows = rows;
        plan->panel_rows = plan->panel_rows / rows * rows;
        if (plan->panel_rows < k && plan->panel_rows + rows >= k) plan->panel_rows += rows;
        plan->panel_bytes = spk_slice((size_t)(plan->panel_rows * plan->tile * size));
      }
    }
    plan->blocks = spk_max(1, spk_ceil_div(k, plan->block_rows));
  }
  if (plan->blocks > 1) {
    const ptrdiff_t per_row = (plan->blocks + 1) * (ptrdiff_t)spk_itype_size(A->itype);
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, CUT_MOST / per_row));
    plan->cut_bytes = spk_slice((size_t)(plan->row_chunk * per_row));
  }
  if (plan->stage) {
    const ptrdiff_t per_row = plan->tile * size * A->block_rows;
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, STAGE_MOST / per_row));
    plan->stage_bytes = spk_slice((size_t)(plan->row_chunk * per_row));
  }
  if (A->format == SPK_COO) {
    const ptrdiff_t per_row = (ptrdiff_t)spk_itype_size(A->itype);
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, CUT_MOST / per_row - 1));
    plan->offset_bytes = spk_slice((size_t)((plan->row_chunk + 1) * per_row));
  }

  plan->col_parts = plan->pack ? column_groups(plan->tiles, plan->threads) : 1;
  plan->row_parts = spk_max(1, plan->threads / plan->col_parts);
  if (plan->threads > 1 && !plan->pack) plan->row_parts *= PARTS_PER_THREAD;
  plan->row_parts = spk_max(1, spk_min(plan->row_parts, A->rows / A->block_rows));
  plan->threads = (int)spk_min(plan->threads, plan->col_parts * plan->row_parts);
}

void spk_plan_scatter(const spk_sparse *A, const spk_dense *B, const spk_dense *C, int threads,
                      const spk_kernels *kernels, const spk_machine *machine,
                      spk_spmm_plan *plan) {
  const ptrdiff_t n = B->cols, k = B->rows, size = (ptrdiff_t)spk_dtype_size(A->dtype);
  const ptrdiff_t lanes = kernels->lanes[A->dtype];
  const int b_unit = B->col_stride == 1, c_unit = C->col_stride == 1;
  *plan = (spk_spmm_plan){.threads = spk_choose_threads(threads, (double)A->nnz * (double)n),
                          .panel_rows = spk_max(1, k),
                          .block_rows = spk_max(1, k),
                          .blocks = 1,
                          .row_chunk = spk_max(1, A->rows)};
  /* The tile of C is read and written at random: keep it in half of L2 where that leaves at least
   * four vectors, and give every thread columns of its own before rows. */
  const ptrdiff_t fits = (ptrdiff_t)machine->l2_bytes / 2 / spk_max(1, A->rows * size) / lanes;
  ptrdiff_t vectors = spk_max(4, spk_min(SPK_MAX_VECTORS, fits));
  vectors = spk_max(1, spk_min(vectors, spk_ceil_div(n, lanes) / plan->threads));
  cut_columns(plan, n, lanes, vectors * lanes);
  plan->col_parts = spk_min(plan->tiles, plan->threads);
  plan->row_parts = spk_max(1, plan->threads / plan->col_parts);
  plan->row_parts = spk_max(1, spk_min(plan->row_parts, A->rows));
  plan->threads = (int)spk_min(plan->threads, plan->col_parts * plan->row_parts);
  const ptrdiff_t own_rows = spk_ceil_div(A->rows, plan->row_parts);
  if (A->format == SPK_CSC && n > 1) {
    /* By all rows and not by those of a part: which kernel runs must not depend on the threads. */
    while (!c_unit && plan->tile > lanes && A->rows * plan->tile * size > SCATTER_STAGE_MOST)
      cut_columns(plan, n, lanes, plan->tile - lanes);
    plan->stage = !c_unit && A->rows * plan->tile * size <= SCATTER_STAGE_MOST;
    plan->strided = !c_unit && !plan->stage;
    plan->pack = !plan->strided && !b_unit;
  } else {
    plan->strided = 1;
  }
  if (plan->stage) plan->stage_bytes = spk_slice((size_t)(own_rows * plan->tile * size));
  if (plan->pack) {
    plan->panel_rows = spk_min(plan->panel_rows, 256);
    plan->panel_bytes = spk_slice((size_t)(plan->panel_rows * plan->tile * size));
  }
}
