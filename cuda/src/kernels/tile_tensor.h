/* A 64 x 64 tile of X @ Y on tensor cores, from slices of 128 bytes of depth in shared memory.
 *
 * Four warps have 32 x 32 each.  A step of 16 elements of 16 bits reads 2 KiB per warp: 64 cycles
 * of shared memory for the tile, and 64 cycles of the tensor cores at 1024 FMA a cycle (calculated,
 * for mma.sync on an H100).  Operands come from L2 at about 24 bytes a cycle, which takes longer:
 * 680 cycles for the 16 KiB of Y at a depth of 128, where the products take 512. */
#ifndef SPK_KERNELS_TILE_TENSOR_H
#define SPK_KERNELS_TILE_TENSOR_H

#include "sampled_tile.h"
#include "tensor.h"

namespace spk {

/* Elements are T.  Core is T, or tfloat32 for floats, which are in two parts each if SPLIT. */
template <class T, class Core, bool SPLIT = false>
class TensorTile {
 public:
  using Element = T;
  static constexpr int THREADS = 128, BLOCKS = 4, STAGES = 3, RESIDENT = 4, PIECES = 2;

  /* `FULL`: all 128 bytes are multiplied; otherwise `bytes`, in steps of 32. */
  template <bool FULL>
  SPK_DEVICE void accumulate(const char *x, const char *y, int bytes) {
    constexpr int STEP = MMA_CHUNKS * 16;
    SPK_UNROLLED
    for (int at = 0; at < TILE_ROW_BYTES; at += STEP) {
      if (FULL || at < bytes) step(x, y, at / 16);
    }
  }

  /* The first row and the first column of piece i in the tile. */
  static SPK_DEVICE int piece_row(int i) { return warp() / 2 * 32 + i * PIECE_ROWS; }
  static SPK_DEVICE int piece_column(int) { return warp() % 2 * PIECE_COLS; }

  template <int PIECE>
  SPK_DEVICE void put(float *piece) const {
    SPK_UNROLLED
    for (int j = 0; j < 4; j++) {
      SPK_UNROLLED
      for (int below = 0; below < 2; below++) {
        vec<float, 2> pair;
        SPK_UNROLLED
        for (int i = 0; i < 2; i++) pair[i] = sum_of_element(PIECE, j, 2 * below + i);
        const int row = lane() / 4 + 8 * below, col = 8 * j + lane() % 4 * 2;
        *reinterpret_cast<vec<float, 2> *>(piece + element_of_piece(row, col)) = pair;
      }
    }
  }

 private:
  SPK_DEVICE void step(const char *x, const char *y, int chunk) {
    uint32_t a[2][4], b[2][2][2];
    SPK_UNROLLED
    for (int i = 0; i < 2; i++) load_a(a[i], x, piece_row(i), chunk);
    SPK_UNROLLED
    for (int j = 0; j < 2; j++) load_b(b[j], y, piece_column(0) + 16 * j, chunk);
    if constexpr (SPLIT) {
      multiply_parts(a, b);
    } else {
      SPK_UNROLLED
      for (int i = 0; i < 2; i++) {
        if constexpr (sizeof(T) == 4) {
          round_to_tf32(a[i]);
          SPK_UNROLLED
          for (int j = 0; j < 2; j++) round_to_tf32(b[i][j]);
        }
      }
      multiply(high_, a, b);
    }
  }

  static SPK_DEVICE void multiply(float (&sum)[2][4][4], const uint32_t (&a)[2][4],
                                  const uint32_t (&b)[2][2][2]) {
    SPK_UNROLLED
    for (int i = 0; i < 2; i++) {
      SPK_UNROLLED
      for (int j = 0; j < 4; j++) mma<Core>(sum[i][j], a[i], b[j / 2][j % 2]);
    }
  }

  SPK_DEVICE void multiply_parts(const uint32_t (&a)[2][4], const uint32_t (&b)[2][2][2]) {
    uint32_t a_high[2][4], a_low[2][4], b_high[2][2][2], b_low[2][2][2];
    SPK_UNROLLED
    for (int i = 0; i < 2; i++) {
      split_tf32(a[i], a_high[i], a_low[i]);
      SPK_UNROLLED
      for (int j = 0; j < 2; j++) split_tf32(b[i][j], b_high[i][j], b_low[i][j]);
    }
    multiply(low_, a_low, b_high);
    multiply(low_, a_high, b_low);
    multiply(high_, a_high, b_high);
  }

  SPK_DEVICE float sum_of_element(int i, int j, int e) const {
    if constexpr (SPLIT) return sum_of_parts(high_[i][j][e], low_[i][j][e]);
    return high_[i][j][e];
  }

  float high_[2][4][4] = {};
  float low_[2][4][4] = {}; /* sums of products with a low part; only SPLIT uses them */
};

} // namespace spk

#endif
