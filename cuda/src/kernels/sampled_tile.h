/* Sums of a tile on their way to where the pattern wants them: pieces of 16 x 32 of a warp. */
#ifndef SPK_KERNELS_SAMPLED_TILE_H
#define SPK_KERNELS_SAMPLED_TILE_H

#include "../pack/tiles.h"
#include "sampling.h"

namespace spk {

constexpr int PIECE_ROWS = 16, PIECE_COLS = 32, PIECE = PIECE_ROWS * PIECE_COLS;

/* Where an element of a piece is in shared memory: every 8 columns of four rows lie in other banks,
 * which is how lanes hold products. */
SPK_DEVICE int element_of_piece(int row, int col) {
  return row * PIECE_COLS + (col ^ (row % 4 * 8));
}

/* What a warp knows of 32 rows of a tile: each lane has one of them. */
struct RowsOfTile {
  uint32_t columns[2]; /* left and right half */
  int64_t first;
};
SPK_DEVICE RowsOfTile rows_of_tile(const spk_tile_row *rows) {
  const vec<uint64_t, 2> row = load_once(reinterpret_cast<const vec<uint64_t, 2> *>(rows + lane()));
  return {{(uint32_t)row[0], (uint32_t)(row[0] >> 32)}, (int64_t)row[1]};
}

/* The entries that a piece has, a row at a time: lanes are its columns, so that neighbours write
 * neighbours. */
template <class T>
SPK_DEVICE void write_piece(const Sampling<T> &sampling, const Slots &slots, const RowsOfTile &rows,
                            int first_row, bool right, const sum_of<T> *piece) {
  constexpr int TOGETHER = 4;
  const uint32_t columns = right ? rows.columns[1] : rows.columns[0];
  const int64_t first = rows.first + (right ? popcount(rows.columns[0]) : 0);
  SPK_ONE_BY_ONE
  for (int from = 0; from < PIECE_ROWS; from += TOGETHER) {
    SPK_UNROLLED
    for (int i = 0; i < TOGETHER; i++) {
      const uint32_t stored = shuffle(columns, first_row + from + i);
      const int64_t begin = shuffle(first, first_row + from + i);
      if (stored >> lane() & 1u) {
        const int64_t at = begin + popcount(stored & ((1u << lane()) - 1u));
        finish_sample(sampling, slots.of(at), piece[element_of_piece(from + i, lane())]);
      }
    }
  }
}

} // namespace spk

#endif
