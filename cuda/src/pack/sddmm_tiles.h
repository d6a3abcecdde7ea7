/* A structure as dense tiles of 64 x 64 where it has many entries, and the other entries one by
 * one.
 *
 * A tile computes all of its 4096 positions, and 64 bits per row say which of them are stored.  If
 * rows are sorted and no entry is repeated, a row of a tile is consecutive in the caller's order.
 * Then the position of its first entry suffices, and a tile takes 1 KiB, however full it is; a list
 * of entries would be larger than the operands.  For other structures, positions refer to a list of
 * slots.  The second of two equal entries is never in a tile.  (Tiles and other entries: Hong et
 * al., "Adaptive sparse tiling for sparse matrix multiplication", PPoPP 2019.) */
#ifndef SPK_PACK_SDDMM_TILES_H
#define SPK_PACK_SDDMM_TILES_H

#include "entries.h"

#define SPK_TILE 64

typedef struct spk_tile_row {
  uint64_t columns; /* a bit for each column of the tile that the row has */
  int64_t first;    /* the position of its first entry */
} spk_tile_row;

/* Neighbouring tiles of the same 64 rows, for one block of threads. */
typedef struct spk_tile_run {
  int64_t first;
  int32_t count;
  int32_t panel; /* the number of its first row is SPK_TILE * panel */
} spk_tile_run;

typedef struct spk_sddmm_tiles {
  int64_t tiles, tiled, rest, runs;
  int32_t *panel, *column; /* of each tile; its first column is SPK_TILE * column */
  spk_tile_row *row;       /* SPK_TILE of each tile */
  /* Of `tiled` positions; NULL: positions are the caller's. */
  int64_t *slots;
  int32_t *rest_rows, *rest_columns;
  /* NULL: no entry is in a tile, and entries are in the caller's order. */
  int64_t *rest_slots;
  spk_tile_run *run;
} spk_sddmm_tiles;

static inline void spk_sddmm_tiles_free(spk_sddmm_tiles *tiles) {
  free(tiles->panel);
  free(tiles->column);
  free(tiles->row);
  free(tiles->slots);
  free(tiles->rest_rows);
  free(tiles->rest_columns);
  free(tiles->rest_slots);
  free(tiles->run);
  memset(tiles, 0, sizeof *tiles);
}

/* Whether an entry repeats the one before it in its row, which begins at `begin`. */
static inline int spk_is_repeated(const spk_entries *A, int64_t begin, int64_t p) {
  return p > begin && A->columns[p] == A->columns[p - 1];
}

static inline int64_t spk_panel_end(const spk_entries *A, int64_t panel) {
  return (panel + 1) * SPK_TILE < A->rows ? (panel + 1) * SPK_TILE : A->rows;
}

static inline int spk_compare_int32(const void *x, const void *y) {
  const int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
  return (a > b) - (a < b);
}

/* List the tiles of a panel that have at least `least` entries in `chosen`, by ascending column.
 * `state` is 0 for each column of tiles before.  After, it is -1 - the index of the tile in
 * `chosen`, or the number of entries of a tile that is not chosen. */
static inline int64_t spk_panel_choose(const spk_entries *A, int64_t panel, int least,
                                       int32_t *state, int32_t *chosen, int64_t *tiled) {
  int64_t count = 0;
  for (int64_t i = panel * SPK_TILE; i < spk_panel_end(A, panel); i++) {
    for (int64_t p = A->offsets[i]; p < A->offsets[i + 1]; p++) {
      const int32_t column = A->columns[p] / SPK_TILE;
      if (spk_is_repeated(A, A->offsets[i], p)) continue;
      if (++state[column] == least) chosen[count++] = column;
    }
  }
  qsort(chosen, (size_t)count, sizeof *chosen, spk_compare_int32);
  for (int64_t i = 0; i < count; i++) {
    *tiled += state[chosen[i]];
    state[chosen[i]] = (int32_t)(-1 - i);
  }
  return count;
}

static inline void spk_panel_forget(const spk_entries *A, int64_t panel, int32_t *state) {
  const int64_t end = A->offsets[spk_panel_end(A, panel)];
  for (int64_t p = A->offsets[panel * SPK_TILE]; p < end; p++) state[A->columns[p] / SPK_TILE] = 0;
}

/* Place the entries of a panel in its tiles, which begin at `first`, or among the other entries. */
static inline void spk_panel_place(spk_sddmm_tiles *made, const spk_entries *A, int64_t panel,
                                   const int32_t *state, int64_t first) {
  for (int64_t i = panel * SPK_TILE; i < spk_panel_end(A, panel); i++) {
    for (int64_t p = A->offsets[i]; p < A->offsets[i + 1]; p++) {
      const int32_t column = A->columns[p], tile = -1 - state[column / SPK_TILE];
      if (tile >= 0 && !spk_is_repeated(A, A->offsets[i], p)) {
        spk_tile_row *row = &made->row[(first + tile) * SPK_TILE + i % SPK_TILE];
        if (!row->columns) row->first = made->slots ? made->tiled : p;
        row->columns |= (uint64_t)1 << column % SPK_TILE;
        if (made->slots) made->slots[made->tiled] = A->slots[p];
        made->tiled++;
      } else {
        made->rest_rows[made->rest] = (int32_t)i;
        made->rest_columns[made->rest] = column;
        if (made->rest_slots) made->rest_slots[made->rest] = A->slots[p];
        made->rest++;
      }
    }
  }
}

/* Whether entries are in the caller's order, and whether none is repeated. */
static inline void spk_sddmm_tiles_look(const spk_entries *A, int *in_order, int *unique) {
  *in_order = *unique = 1;
  for (int64_t i = 0; i < A->rows; i++) {
    for (int64_t p = A->offsets[i]; p < A->offsets[i + 1]; p++) {
      *in_order &= A->slots[p] == p;
      *unique &= !spk_is_repeated(A, A->offsets[i], p);
    }
  }
}

static inline int spk_sddmm_tiles_allocate(spk_sddmm_tiles *made, const spk_entries *A,
                                           int64_t tiles, int64_t tiled) {
  int in_order, unique;
  spk_sddmm_tiles_look(A, &in_order, &unique);
  const int64_t rest = A->nnz - tiled;
  made->panel = (int32_t *)spk_pack_new(tiles, sizeof(int32_t));
  made->column = (int32_t *)spk_pack_new(tiles, sizeof(int32_t));
  made->row = (spk_tile_row *)calloc((size_t)(tiles * SPK_TILE + 1), sizeof(spk_tile_row));
  made->rest_rows = (int32_t *)spk_pack_new(rest, sizeof(int32_t));
  made->rest_columns = (int32_t *)spk_pack_new(rest, sizeof(int32_t));
  int full = made->panel && made->column && made->row && made->rest_rows && made->rest_columns;
  if (!in_order || !unique) {
    made->slots = (int64_t *)spk_pack_new(tiled, sizeof(int64_t));
    full = full && made->slots;
  }
  if (!in_order || tiled) {
    made->rest_slots = (int64_t *)spk_pack_new(rest, sizeof(int64_t));
    full = full && made->rest_slots;
  }
  return full ? SPK_OK : SPK_ERR_MEMORY;
}

/* Make tiles of at least `least` entries.  SPK_ERR_SHAPE if A has 2**31 rows or more. */
static inline int spk_sddmm_tiles_make(const spk_entries *A, int least, spk_sddmm_tiles *made) {
  memset(made, 0, sizeof *made);
  if (A->rows > INT32_MAX) return SPK_ERR_SHAPE;
  const int64_t panels = (A->rows + SPK_TILE - 1) / SPK_TILE;
  const int64_t columns = (A->cols + SPK_TILE - 1) / SPK_TILE;
  int64_t tiles = 0, tiled = 0, again = 0;
  int32_t *state = (int32_t *)calloc((size_t)columns + 1, sizeof(int32_t));
  int32_t *chosen = (int32_t *)spk_pack_new(columns, sizeof(int32_t));
  int status = state && chosen ? SPK_OK : SPK_ERR_MEMORY;
  for (int64_t panel = 0; status == SPK_OK && panel < panels; panel++) {
    tiles += spk_panel_choose(A, panel, least, state, chosen, &tiled);
    spk_panel_forget(A, panel, state);
  }
  if (status == SPK_OK) status = spk_sddmm_tiles_allocate(made, A, tiles, tiled);
  for (int64_t panel = 0; status == SPK_OK && panel < panels; panel++) {
    const int64_t first = made->tiles;
    const int64_t count = spk_panel_choose(A, panel, least, state, chosen, &again);
    for (int64_t i = 0; i < count; i++) {
      made->panel[first + i] = (int32_t)panel;
      made->column[first + i] = chosen[i];
    }
    made->tiles += count;
    spk_panel_place(made, A, panel, state, first);
    spk_panel_forget(A, panel, state);
  }
  free(state);
  free(chosen);
  if (status != SPK_OK) spk_sddmm_tiles_free(made);
  return status;
}

/* Cut tiles into runs of about equal numbers of tiles, at most `most`. */
static inline int spk_sddmm_tiles_cut(spk_sddmm_tiles *tiles, int64_t most) {
  tiles->run = (spk_tile_run *)spk_pack_new(tiles->tiles, sizeof(spk_tile_run));
  if (!tiles->run) return SPK_ERR_MEMORY;
  for (int64_t begin = 0, end; begin < tiles->tiles; begin = end) {
    for (end = begin; end < tiles->tiles && tiles->panel[end] == tiles->panel[begin];) end++;
    const int64_t count = (end - begin + most - 1) / most;
    for (int64_t i = 0; i < count; i++) {
      spk_tile_run *run = &tiles->run[tiles->runs++];
      run->first = begin + (end - begin) * i / count;
      run->count = (int32_t)(begin + (end - begin) * (i + 1) / count - run->first);
      run->panel = tiles->panel[begin];
    }
  }
  return SPK_OK;
}

#endif
