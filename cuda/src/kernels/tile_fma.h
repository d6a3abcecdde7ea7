/* A 64 x 64 tile of X @ Y by FMA, from slices of 128 bytes of depth in shared memory.
 *
 * Two warps have 32 rows each, and a lane has 8 x 8 of the products: every fourth row and every
 * eighth column of its warp.  A lane reads 16 bytes along the depth at a time, so operands need not
 * be transposed.  Neighbouring lanes read the same column, and every other lane the same row.  So
 * an access of 16 bytes takes 2 cycles instead of 4 (calculated, as half-warps can be served
 * together): 32 cycles for the 16 accesses that 4 floats of depth need, whose FMAs take 64.  Of the
 * instructions of this loop, 89% are FMAs in float32. */
#ifndef SPK_KERNELS_TILE_FMA_H
#define SPK_KERNELS_TILE_FMA_H

#include "sampled_tile.h"
#include "tensor.h"

namespace spk {

template <class T>
class FmaTile {
 public:
  using Element = T;
  static constexpr int THREADS = 64, BLOCKS = sizeof(T) == 8 ? 4 : 6, STAGES = 2, RESIDENT = 2;
  static constexpr int PIECES = 4;

  template <bool FULL>
  SPK_DEVICE void accumulate(const char *x, const char *y, int bytes) {
    SPK_ONE_BY_ONE
    for (int chunk = 0; chunk < (FULL ? TILE_ROW_CHUNKS : (bytes + 15) / 16); chunk++) {
      Chunk b[8];
      SPK_UNROLLED
      for (int j = 0; j < 8; j++) b[j] = read(y, column() + 8 * j, chunk);
      SPK_UNROLLED
      for (int i = 0; i < 8; i++) {
        const Chunk a = read(x, row() + 4 * i, chunk);
        SPK_UNROLLED
        for (int e = 0; e < TOGETHER; e++) {
          SPK_UNROLLED
          for (int j = 0; j < 8; j++) sum_[i][j] = fma(a[e], b[j][e], sum_[i][j]);
        }
      }
    }
  }

  static SPK_DEVICE int piece_row(int i) { return warp() * 32 + i / 2 * PIECE_ROWS; }
  static SPK_DEVICE int piece_column(int i) { return i % 2 * PIECE_COLS; }

  template <int PIECE>
  SPK_DEVICE void put(T *piece) const {
    SPK_UNROLLED
    for (int i = 0; i < 4; i++) {
      SPK_UNROLLED
      for (int j = 0; j < 4; j++)
        piece[element_of_piece(row() % 4 + 4 * i, column() + 8 * j)] =
            sum_[PIECE / 2 * 4 + i][PIECE % 2 * 4 + j];
    }
  }

 private:
  static constexpr int TOGETHER = 16 / (int)sizeof(T);
  using Chunk = vec<T, TOGETHER>;

  static SPK_DEVICE Chunk read(const char *tile, int row, int chunk) {
    return *reinterpret_cast<const Chunk *>(tile + chunk_of_tile(row, chunk));
  }
  static SPK_DEVICE int row() { return warp() * 32 + lane() / 16 * 2 + lane() % 2; }
  static SPK_DEVICE int column() { return lane() / 2 % 8; }

  T sum_[8][8] = {};
};

} // namespace spk

#endif
