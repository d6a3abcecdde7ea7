#include "sddmm_plan.h"

#include "../threads/parallel.h"
#include "cost.h"
#include "sddmm_scratch.h"

/* Limits in bytes, so that the workspace of a worker stays below a few MiB whatever the shapes. */
#define MAX_X ((ptrdiff_t)1 << 18)
#define MAX_Y ((ptrdiff_t)1 << 20)
#define MAX_CUT ((ptrdiff_t)1 << 18)
#define PARTS_PER_THREAD 8
/* The most bytes of Yt (Y transposed) that are copied as a whole.  The workspace is kept from call
 * to call up to 16 MiB. */
#define MAX_COPY ((ptrdiff_t)14 << 20)

/* The number of times that a row of Yt must be read to pay for its copy into an aligned panel. */
#define PACK_REUSE 24.0
/* The share of L1 that a panel may take. */
#define L1_SHARE 0.7

/* The share of sampled pairs of neighbours with consecutive columns from which on P is taken to
 * consist of runs.  A random structure that is half full has a share of one half, and its tiles
 * take as long as its rows. */
#define SHARE 0.6
/* The number of pairs that are sampled of a whole structure. */
#define PAIRS 64

ptrdiff_t spk_consecutive(const void *indices, spk_itype itype, ptrdiff_t begin, ptrdiff_t end,
                          ptrdiff_t pairs) {
  const ptrdiff_t step = pairs > 0 ? (end - begin - 1) / pairs : 0;
  ptrdiff_t consecutive = 0;
  for (ptrdiff_t i = 0, p = begin; i < pairs; i++, p += step)
    /* The difference is unsigned, because entries behind the last row were not checked. */
    consecutive +=
        (size_t)spk_index(indices, itype, p + 1) - (size_t)spk_index(indices, itype, p) == 1;
  return consecutive;
}

static int in_runs(const spk_sparse *P) {
  const ptrdiff_t pairs = spk_min(PAIRS, P->nnz - 1);
  return pairs > 0 &&
         (double)spk_consecutive(P->indices, P->itype, 0, P->nnz, pairs) >= SHARE * (double)pairs;
}

int spk_worth_looking(double k, double breaks) {
  const double gain =
      SPK_SDDMM_ENTRY_K * k + SPK_SDDMM_ENTRY - (k + SPK_SDDMM_COLUMN) / SPK_TILE_ROWS;
  return breaks * SPK_SDDMM_RUN <= gain;
}

int spk_worth_a_tile(double k, double entries, double columns, double copying) {
  const double alone = entries * (SPK_SDDMM_ENTRY_K * k + SPK_SDDMM_ENTRY);
  return columns * (k + SPK_SDDMM_COLUMN) + copying + SPK_SDDMM_TILE_K * k + SPK_SDDMM_TILE <=
         alone;
}

int spk_worth_all_columns(double k, double entries, double columns) {
  return spk_worth_a_tile(k, entries, columns, entries * SPK_SDDMM_TAKE);
}

int spk_tile_is_worth(const spk_column_runs *column_runs, ptrdiff_t tile, ptrdiff_t k) {
  const ptrdiff_t row = tile * SPK_TILE_ROWS, end = spk_min(column_runs->rows, row + SPK_TILE_ROWS);
  const double entries = (double)(column_runs->entries[end] - column_runs->entries[row]);
  const double runs = (double)(column_runs->offsets[end] - column_runs->offsets[row]);
  return spk_worth_a_tile((double)k, entries, (double)column_runs->columns[tile],
                          runs * SPK_SDDMM_RUN);
}

ptrdiff_t spk_entries_in_tiles(const spk_column_runs *column_runs, ptrdiff_t k) {
  ptrdiff_t entries = 0;
  for (ptrdiff_t tile = 0; tile < column_runs->tiles; tile++) {
    const ptrdiff_t row = tile * SPK_TILE_ROWS,
                    end = spk_min(column_runs->rows, row + SPK_TILE_ROWS);
    if (spk_tile_is_worth(column_runs, tile, k))
      entries += column_runs->entries[end] - column_runs->entries[row];
  }
  return entries;
}

/* Whether tiles of all columns are worth it in a structure whose rows are like one another. */
static int is_dense(const spk_sparse *P, ptrdiff_t k) {
  const double per_row = (double)P->nnz / (double)P->rows;
  return spk_worth_all_columns((double)k, per_row * SPK_TILE_ROWS, (double)P->cols);
}

static void plan_panels(const spk_sparse *P, const spk_dense *Yt, const spk_machine *machine,
                        spk_sddmm_plan *plan) {
  const ptrdiff_t n = Yt->rows, size = (ptrdiff_t)spk_dtype_size(P->dtype);
  const ptrdiff_t row_bytes = spk_product(plan->ld, size);
  const double per_row = (double)P->nnz / (double)spk_max(1, P->rows);
  plan->panel_rows = spk_max(1, n);
  if (P->format == SPK_BSR || !(P->flags & SPK_SORTED)) return;
  const ptrdiff_t in_l1 = (ptrdiff_t)((double)machine->l1_bytes * L1_SHARE) / row_bytes / 8 * 8;
  const ptrdiff_t in_l2 = spk_max(1, MAX_Y / row_bytes);
  const double segment = per_row * (double)in_l1 / (double)spk_max(1, n);
  const int blocks_l1 = in_l1 >= 8 && segment >= machine->tuning.sddmm_entries &&
                        segment * (double)row_bytes >= machine->tuning.sddmm_bytes;
  plan->panel_rows = spk_max(1, spk_min(n, blocks_l1 ? in_l1 : in_l2));
}

void spk_plan_sddmm(const spk_sparse *P, const spk_column_runs *column_runs, const spk_dense *X,
                    const spk_dense *Yt, int threads, const spk_machine *machine,
                    spk_sddmm_plan *plan) {
  const ptrdiff_t k = X->cols, n = Yt->rows, size = (ptrdiff_t)spk_dtype_size(P->dtype);
  const ptrdiff_t isize = (ptrdiff_t)spk_itype_size(P->itype);
  const double entries = (double)P->nnz * (double)P->block_rows * (double)P->block_cols;
  const ptrdiff_t ld = spk_round_up(spk_max(1, k), SPK_ALIGN / size),
                  row_bytes = spk_product(ld, size);
  const int x_unit = X->col_stride == 1 || k <= 1, y_unit = Yt->col_stride == 1 || k <= 1;
  const int is_sorted = (P->flags & SPK_SORTED) != 0;
  const int by_rows = P->format != SPK_COO || is_sorted;
  const double reuse = entries / (double)spk_max(1, n);
  *plan = (spk_sddmm_plan){.threads = spk_choose_threads(threads, entries * (double)k),
                           .ld = ld,
                           .panel_rows = spk_max(1, n),
                           .panels = 1,
                           .row_chunk = spk_max(1, P->rows / P->block_rows)};
  plan->pack_x = !x_unit;
  plan->pack_y = y_unit ? reuse >= PACK_REUSE : reuse >= 1.0;
  plan_panels(P, Yt, machine, plan);
  const ptrdiff_t panel = spk_product(plan->panel_rows, row_bytes);
  /* Otherwise each worker would pack all panels again for every chunk of rows. */
  const ptrdiff_t copy = spk_product(spk_max(1, n), row_bytes);
  plan->copy_y = !y_unit && reuse >= 1.0 && reuse < PACK_REUSE && copy <= MAX_COPY &&
                 (plan->panel_rows < n || panel > MAX_Y);
  if (plan->copy_y || panel > MAX_Y) plan->pack_y = 0;
  /* Without copies, only the strided kernel can read columns without unit stride. */
  if (plan->pack_x &&
      (!by_rows || spk_product(P->block_rows, row_bytes) > MAX_X || entries < (double)P->rows))
    plan->strided = 1;
  if (!y_unit && !plan->pack_y && !plan->copy_y) plan->strided = 1;
  if (plan->strided) plan->pack_x = plan->pack_y = plan->copy_y = 0;
  if (plan->copy_y) plan->copy_bytes = spk_aligned_size((size_t)copy);
  plan->tiles = !plan->strided && P->format != SPK_BSR && is_sorted && P->rows > 1 && k > 0 &&
                row_bytes <= MAX_X / SPK_TILE_ROWS &&
                (is_dense(P, k) ||
                 (column_runs ? 2 * spk_entries_in_tiles(column_runs, k) >= P->nnz : in_runs(P)));
  /* Tiles read single elements of Yt, which alignment does not make faster. */
  if (plan->tiles && y_unit) plan->pack_y = 0;

  if (plan->pack_y) {
    plan->panels = spk_max(1, spk_ceil_div(n, plan->panel_rows));
    plan->keep_y = plan->threads > 1 && copy <= MAX_Y;
    plan->y_bytes = spk_aligned_size((size_t)(plan->keep_y ? copy : plan->panel_rows * row_bytes));
    if (plan->keep_y) plan->flag_bytes = spk_aligned_size((size_t)plan->panels);
  } else {
    plan->panel_rows = spk_max(1, n);
  }
  if (plan->pack_x) {
    const ptrdiff_t per_row = row_bytes * P->block_rows;
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, MAX_X / per_row));
    plan->x_bytes = spk_aligned_size((size_t)(plan->row_chunk * per_row));
  }
  if (plan->panels > 1) {
    const ptrdiff_t per_row = (plan->panels + 1) * isize;
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, MAX_CUT / per_row));
    plan->cut_bytes = spk_aligned_size((size_t)(plan->row_chunk * per_row));
  }
  if (P->format == SPK_COO && by_rows) {
    plan->row_chunk = spk_max(1, spk_min(plan->row_chunk, MAX_CUT / isize - 1));
    plan->offset_bytes = spk_aligned_size((size_t)((plan->row_chunk + 1) * isize));
  }
  if (P->format == SPK_BSR)
    plan->block_bytes = spk_aligned_size(
        (2 * (size_t)size + spk_itype_size(spk_sddmm_list_itype(P))) * SPK_SDDMM_BLOCK_ENTRIES);

  if (plan->row_chunk >= SPK_TILE_ROWS)
    plan->row_chunk -= plan->row_chunk % SPK_TILE_ROWS;
  else if (plan->row_chunk < P->rows)
    plan->tiles = 0;
  if (plan->tiles) plan->tile_bytes = spk_sddmm_scratch_bytes(P->dtype, k);
  /* Otherwise each task packs all panels again. */
  plan->parts = plan->threads;
  if (plan->threads > 1 && (!plan->pack_y || plan->keep_y)) plan->parts *= PARTS_PER_THREAD;
  const ptrdiff_t most = by_rows ? P->rows / P->block_rows : P->nnz;
  plan->parts = spk_max(1, spk_min(plan->parts, most));
  plan->threads = (int)spk_min(plan->threads, plan->parts);
}
