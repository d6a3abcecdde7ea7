/* How a sampled product is cut up. */
#ifndef SPK_PLAN_SDDMM_PLAN_H
#define SPK_PLAN_SDDMM_PLAN_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"
#include "../pack/column_runs.h"

typedef struct spk_sddmm_plan {
  int threads;
  int strided;          /* the kernel walks X and the transpose of Y, Yt, through their strides */
  int tiles;            /* rows with columns in common go by tiles of SPK_TILE_ROWS */
  int pack_x, pack_y;   /* rows of X, or of Yt, go through packed panels */
  int keep_y;           /* a worker keeps all panels of Yt that it has packed */
  int copy_y;           /* all workers copy Yt together before they use it */
  ptrdiff_t ld;         /* elements from a row of a panel to the next: whole cache lines */
  ptrdiff_t panel_rows; /* rows of Yt in a panel; all rows if Yt is not packed */
  ptrdiff_t panels;     /* more than one only if rows of P are sorted and can be cut */
  ptrdiff_t row_chunk;  /* rows of P for which the workspace is filled at a time */
  ptrdiff_t parts;      /* tasks: ranges of rows (of entries, for COO in any order) */
  size_t copy_bytes;    /* workspace of all workers together */
  size_t flag_bytes, x_bytes, y_bytes, cut_bytes, offset_bytes, block_bytes,
      tile_bytes; /* workspace per worker */
} spk_sddmm_plan;

/* The entries of a block row that BSR samples at a time. */
#define SPK_SDDMM_BLOCK_ENTRIES 2048
/* The index type of the columns of such entries.  P's own index type counts blocks, and may be too
 * narrow for columns. */
static inline spk_itype spk_sddmm_list_itype(const spk_sparse *P) {
  return P->cols > INT32_MAX ? SPK_I64 : P->itype;
}

/* Sample `pairs` pairs of neighbouring entries in [begin, end), which has more entries than that.
 * Returns the number of pairs whose columns are consecutive. */
ptrdiff_t spk_consecutive(const void *indices, spk_itype itype, ptrdiff_t begin, ptrdiff_t end,
                          ptrdiff_t pairs);

/* Whether tiles may be faster than rows, if `breaks` is the share of entries that are not followed
 * by the next column. */
int spk_worth_looking(double k, double breaks);
/* Whether a tile of 16 rows, with `columns` columns in the union of its rows, is faster than its
 * rows alone.  `copying`: the cycles to copy the entries out of the scores.  Columns are all of a
 * range if entries are taken one by one (sddmm_take). */
int spk_worth_a_tile(double k, double entries, double columns, double copying);
int spk_worth_all_columns(double k, double entries, double columns);
int spk_tile_is_worth(const spk_column_runs *column_runs, ptrdiff_t tile, ptrdiff_t k);
ptrdiff_t spk_entries_in_tiles(const spk_column_runs *column_runs, ptrdiff_t k);

/* Plan a sampled product.  `column_runs` are those of P, or NULL. */
void spk_plan_sddmm(const spk_sparse *P, const spk_column_runs *column_runs, const spk_dense *X,
                    const spk_dense *Yt, int threads, const spk_machine *machine,
                    spk_sddmm_plan *plan);

#endif
