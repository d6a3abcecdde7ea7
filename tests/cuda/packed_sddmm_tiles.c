/* C = A @ B from tiles and the rest, as kernels/sddmm_tiles.h and sddmm_rows.h take them. */
#include "sddmm_tiles.h"

int spk_packed_sddmm_tiles(const spk_sparse *A, ptrdiff_t n, const double *B, double *C, int least,
                           int most);

typedef struct product {
  const double *values, *B;
  double *C;
  ptrdiff_t n;
  int64_t *uses; /* of each of the caller's values */
} product;

static void add_entry(const product *p, int64_t row, int64_t column, int64_t slot) {
  p->uses[slot]++;
  for (ptrdiff_t j = 0; j < p->n; j++)
    p->C[row * p->n + j] += p->values[slot] * p->B[column * p->n + j];
}

static void add_tile(const product *p, const spk_sddmm_tiles *tiles, int64_t tile, int64_t panel) {
  for (int i = 0; i < SPK_TILE; i++) {
    const spk_tile_row *row = &tiles->row[tile * SPK_TILE + i];
    int64_t at = row->first;
    for (int j = 0; j < SPK_TILE; j++) {
      if (!(row->columns >> j & 1)) continue;
      add_entry(p, panel * SPK_TILE + i, (int64_t)tiles->column[tile] * SPK_TILE + j,
                tiles->slots ? tiles->slots[at] : at);
      at++;
    }
  }
}

/* SPK_ERR_ARGUMENT where runs do not follow one another, a tile has too few entries, or a value is
 * not used exactly once. */
int spk_packed_sddmm_tiles(const spk_sparse *A, ptrdiff_t n, const double *B, double *C, int least,
                           int most) {
  spk_entries entries;
  spk_sddmm_tiles tiles;
  int status = spk_entries_make(A, &entries);
  if (status != SPK_OK) return status;
  status = spk_sddmm_tiles_make(&entries, least, &tiles);
  if (status == SPK_OK) status = spk_sddmm_tiles_cut(&tiles, most);
  product p = {(const double *)A->values, B, C, n,
               (int64_t *)calloc((size_t)entries.nnz + 1, sizeof(int64_t))};
  if (status == SPK_OK && !p.uses) status = SPK_ERR_MEMORY;
  if (status == SPK_OK) {
    memset(C, 0, (size_t)(A->rows * n) * sizeof *C);
    int64_t next = 0;
    for (int64_t i = 0; i < tiles.runs; i++) {
      const spk_tile_run *run = &tiles.run[i];
      if (run->first != next || run->count < 1 || run->count > most) status = SPK_ERR_ARGUMENT;
      for (int j = 0; j < run->count; j++) add_tile(&p, &tiles, next++, run->panel);
    }
    for (int64_t i = 0; i < tiles.rest; i++)
      add_entry(&p, tiles.rest_rows[i], tiles.rest_columns[i],
                tiles.rest_slots ? tiles.rest_slots[i] : i);
    if (next != tiles.tiles || tiles.tiled < tiles.tiles * least) status = SPK_ERR_ARGUMENT;
    for (int64_t i = 0; i < entries.nnz; i++) {
      if (p.uses[i] != 1) status = SPK_ERR_ARGUMENT;
    }
  }
  free(p.uses);
  spk_sddmm_tiles_free(&tiles);
  spk_entries_free(&entries);
  return status;
}
