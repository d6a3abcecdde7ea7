/* Copies the sums of a tile to the places of the entries, by pieces of 16 x 32 of a warp. */
#ifndef SPK_KERNELS_SAMPLED_TILE_H
#define SPK_KERNELS_SAMPLED_TILE_H

#include "../pack/sddmm_tiles.h"
#include "sampling.h"

namespace spk {

constexpr int PIECE_ROWS = 16, PIECE_COLS = 32;

/* The place of an element of a piece in shared memory.  Every 8 columns of four rows lie in
 * different banks, because lanes hold products in that order. */
SPK_DEVICE int element_of_piece(int row, int col) {
  return row * PIECE_COLS + (col ^ (row % 4 * 8));
}

/* What a warp knows of 32 rows of a tile; each lane has one row. */
struct RowsOfTile {
  uint32_t columns[2]; /* of the left and of the right half */
  int64_t first;
};
SPK_DEVICE RowsOfTile rows_of_tile(const spk_tile_row *rows) {
  const vec<uint64_t, 2> row = load_once(reinterpret_cast<const vec<uint64_t, 2> *>(rows + lane()));
  return {{(uint32_t)row[0], (uint32_t)(row[0] >> 32)}, (int64_t)row[1]};
}

/* A row of a piece, for all lanes: where its first entry goes, and which columns have an entry. */
template <class T>
struct alignas(16) RowOfPiece {
  T *first;
  uint32_t columns, unused;
};

/* The shared memory of one warp. */
template <class T>
struct Piece {
  sum_of<T> sums[PIECE_ROWS * PIECE_COLS];
  RowOfPiece<T> rows[PIECE_ROWS];
};

/* Write the rows of a piece from those of the tile. */
template <class T>
SPK_DEVICE void put_rows(Piece<T> *piece, T *values, const RowsOfTile &rows, int first_row,
                         bool right) {
  const int row = lane() - first_row;
  if (row < 0 || row >= PIECE_ROWS) return;
  piece->rows[row] = {values + rows.first + (right ? popcount(rows.columns[0]) : 0),
                      right ? rows.columns[1] : rows.columns[0], 0};
}

/* Write the entries of a piece, a row at a time.  Lanes are columns, so neighbouring lanes write
 * neighbouring entries.  SCALED: the sampling is alpha alone, and entries go to places of their own
 * order.  Twelve instructions a row then take 380 cycles of a tile (calculated: a warp has 32 half
 * rows of it, and a scheduler one warp), where products at a depth of 64 take 256. */
template <bool SCALED, class T>
SPK_DEVICE void write_piece(const Sampling<T> &sampling, const Slots &slots,
                            const Piece<T> *piece) {
  constexpr int TOGETHER = SCALED ? 8 : 4;
  const uint32_t mine = 1u << lane(), below = mine - 1u;
  SPK_ONE_BY_ONE
  for (int from = 0; from < PIECE_ROWS; from += TOGETHER) {
    SPK_UNROLLED
    for (int i = 0; i < TOGETHER; i++) {
      const RowOfPiece<T> row = piece->rows[from + i];
      const sum_of<T> sum = piece->sums[element_of_piece(from + i, lane())];
      T *to = row.first + popcount(row.columns & below);
      const bool stored = row.columns & mine;
      if constexpr (SCALED)
        store_where(stored, to, from_float<T>(sampling.alpha * sum));
      else if (stored)
        finish_sample(sampling, slots.of(to - sampling.values), sum);
    }
  }
}

} // namespace spk

#endif
