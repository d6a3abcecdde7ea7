/* Which entries of a matrix are wanted, without values: rows of runs of consecutive columns.
 *
 * Runs hold what patterns of attention have in common: windows, global rows and blocks take one or
 * a few per row, however long.  Rows go by tiles of 16; the columns that some row of a tile has,
 * with a bit for each that does, are found when they are needed (spk_tile_next).
 */
#ifndef SPK_PACK_COLUMN_RUNS_H
#define SPK_PACK_COLUMN_RUNS_H

#include "../common/common.h"
#include "../kernels/table.h"

struct spk_column_runs {
  ptrdiff_t rows, cols, nnz, tiles;
  int64_t *offsets;        /* rows + 1: runs before each row */
  int32_t *starts, *stops; /* of runs, which neither overlap nor touch */
  int64_t *columns;        /* tiles: columns that its rows have together */
  int64_t *entries;        /* rows + 1: entries before each row */
  int has_duplicates;      /* the matrix that it was made from */
  size_t bytes;
};

/* Of P, in CSR, sorted and checked. */
spk_status spk_column_runs_pack(const spk_sparse *P, int threads, spk_column_runs **made);
/* Of runs, which are checked once they were copied. */
spk_status spk_column_runs_pack_runs(const spk_runs *R, int threads, spk_column_runs **made);
void spk_column_runs_discard(spk_column_runs *column_runs); /* NULL is allowed */

/* Columns that are looked at together. */
#define SPK_TILE_WINDOW 4096

/* Where a tile's rows are. */
typedef struct spk_tile_cursor {
  ptrdiff_t row, rows;
  int64_t run[SPK_TILE_ROWS];
  int32_t next; /* the first column that was not looked at */
} spk_tile_cursor;

void spk_tile_begin(const spk_column_runs *column_runs, ptrdiff_t tile, spk_tile_cursor *cursor);
/* The next columns of a tile, ascending, and the rows that have them; returns how many, 0 at the
 * end.  Scratch is SPK_TILE_WINDOW + 4 words of 0, and is so again; keys and bits have that room.
 */
ptrdiff_t spk_tile_next(const spk_column_runs *column_runs, spk_tile_cursor *cursor,
                        uint16_t *scratch, int32_t *keys, uint16_t *bits);

#endif
