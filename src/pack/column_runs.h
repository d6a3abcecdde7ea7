/* The structure of a matrix without values: rows of runs of consecutive columns.
 *
 * Runs are what structures of attention have in common: windows, global rows and blocks take one or
 * a few runs per row, however long they are.  Rows go by tiles of 16.  spk_tile_next finds the
 * union of columns of a tile when it is needed, with a bit for each row that has the column. */
#ifndef SPK_PACK_COLUMN_RUNS_H
#define SPK_PACK_COLUMN_RUNS_H

#include "../common/common.h"
#include "../kernels/table.h"

struct spk_column_runs {
  ptrdiff_t rows, cols, nnz, tiles;
  int64_t *offsets;        /* rows + 1: the runs before each row */
  int32_t *starts, *stops; /* of each run; runs of a row neither overlap nor touch */
  int64_t *columns;        /* tiles: the size of the union of columns of each tile */
  int64_t *entries;        /* rows + 1: the entries before each row */
  int has_duplicates;      /* whether the matrix that the runs were made from has duplicates */
  size_t bytes;
};

/* Make the runs of P, which is in CSR, sorted and checked. */
spk_status spk_column_runs_pack(const spk_sparse *P, int threads, spk_column_runs **made);
/* Copy runs, and check the copy. */
spk_status spk_column_runs_pack_runs(const spk_runs *R, int threads, spk_column_runs **made);
void spk_column_runs_discard(spk_column_runs *column_runs); /* NULL is allowed */

/* The number of columns that spk_tile_next looks at in one call. */
#define SPK_TILE_WINDOW 4096

/* Where the search for columns stands in each row of a tile. */
typedef struct spk_tile_cursor {
  ptrdiff_t row, rows;
  int64_t run[SPK_TILE_ROWS];
  int32_t next; /* the first column that was not looked at yet */
} spk_tile_cursor;

void spk_tile_begin(const spk_column_runs *column_runs, ptrdiff_t tile, spk_tile_cursor *cursor);
/* Find the next columns of a tile, in ascending order, and the rows that have each.  Returns their
 * number, 0 at the end.  `scratch` holds SPK_TILE_WINDOW + 4 words, which are 0 before and after
 * the call.  `keys` and `bits` have the same length. */
ptrdiff_t spk_tile_next(const spk_column_runs *column_runs, spk_tile_cursor *cursor,
                        uint16_t *scratch, int32_t *keys, uint16_t *bits);

#endif
