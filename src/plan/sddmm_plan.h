/* How a sampled product is cut up. */
#ifndef SPK_PLAN_SDDMM_PLAN_H
#define SPK_PLAN_SDDMM_PLAN_H

#include "../common/common.h"
#include "../dispatch/dispatch.h"
#include "../pack/column_runs.h"

typedef struct spk_sddmm_plan {
  int threads;
  int strided;          /* the kernel walks X and Yt through their strides */
  int tiles;            /* rows go by tiles of SPK_TILE_ROWS, where they have columns in common */
  int pack_x, pack_y;   /* rows of X, rows of Yt go through packed panels */
  int copy_y;           /* all workers copy Yt first, then all of them use it */
  ptrdiff_t ld;         /* elements between rows of a panel: whole cache lines */
  ptrdiff_t panel_rows; /* rows of Yt in a panel; all of them where Yt is not packed */
  ptrdiff_t panels;     /* more than one only where rows of P are sorted and can be cut */
  ptrdiff_t row_chunk;  /* rows of P between two looks at the workspace */
  ptrdiff_t parts;      /* tasks: ranges of rows (of entries, for COO in any order) */
  size_t copy_bytes;    /* workspace of all workers */
  size_t x_bytes, y_bytes, cut_bytes, offset_bytes, block_bytes,
      tile_bytes; /* workspace per worker */
} spk_sddmm_plan;

/* Entries of a block row that BSR samples at a time. */
#define SPK_SDDMM_BLOCK_ENTRIES 2048
/* The type of their columns: P's own counts blocks, and may be too narrow for columns. */
static inline spk_itype spk_sddmm_list_itype(const spk_sparse *P) {
  return P->cols > INT32_MAX ? SPK_I64 : P->itype;
}

/* Of so many pairs of neighbours among entries [begin, end), fewer than these, how many are
 * consecutive columns. */
ptrdiff_t spk_consecutive(const void *indices, spk_itype itype, ptrdiff_t begin, ptrdiff_t end,
                          ptrdiff_t pairs);

/* Whether tiles could win, if so many of all entries are not followed by the next column. */
int spk_worth_looking(double k, double breaks);
/* Whether a tile of 16 rows, which have so many columns together, wins over its rows alone. */
int spk_worth_a_tile(double k, double entries, double columns, double runs);
int spk_tile_is_worth(const spk_column_runs *column_runs, ptrdiff_t tile, ptrdiff_t k);
ptrdiff_t spk_entries_in_tiles(const spk_column_runs *column_runs, ptrdiff_t k);

/* `column_runs`: that of P, or NULL. */
void spk_plan_sddmm(const spk_sparse *P, const spk_column_runs *column_runs, const spk_dense *X,
                    const spk_dense *Yt, int threads, const spk_machine *machine,
                    spk_sddmm_plan *plan);

#endif
