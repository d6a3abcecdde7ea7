/* The kinds of products that tensor cores make of a gathered slice, and how each lies in memory.
 *
 * A warp multiplies fragments of A by 64 columns of B.  The rows of B that a slice names lie in
 * shared memory row after row.  The types differ in the places of their 16-byte chunks, which avoid
 * bank conflicts, and in the columns that a lane has. */
#ifndef SPK_KERNELS_TENSOR_TYPES_H
#define SPK_KERNELS_TENSOR_TYPES_H

#include "../pack/panels.h"
#include "tensor.h"

namespace spk {

constexpr int WARP_COLUMNS = 64, WARP_TILES = WARP_COLUMNS / SPK_MMA_COLS;

/* 16-bit elements.  B is loaded by ldmatrix, transposed; 64 columns are one row of a tile
 * (tensor.h). */
template <class T>
struct SixteenBits {
  using Element = T;
  static constexpr int HALVES = 2, DEPTH = 32;
  static constexpr int TILE_BYTES = DEPTH * TILE_ROW_BYTES;
  static constexpr int SUMS_STRIDE = WARP_COLUMNS + 8;

  static SPK_DEVICE int place(int row, int col) { return chunk_of_tile(row, col / 8); }
  /* The first place that a lane reads. */
  static SPK_DEVICE int lane_place() { return chunk_of_tile(lane() % 16, lane() / 16); }

  /* sums += a step of A @ the tile.  The second 32 columns, or all, may be beyond `left`.  `from`
   * is lane_place(), which is computed once; load_b_transposed would compute it each time. */
  template <int M>
  static SPK_DEVICE void multiply(float (&sums)[M][WARP_TILES][4], const uint32_t (&a)[M][4],
                                  const char *tile, int from, int step, int left) {
    SPK_UNROLLED
    for (int j = 0; j < WARP_TILES; j += 4) {
      if (j * SPK_MMA_COLS >= left) continue;
      uint32_t r[2][4];
      SPK_UNROLLED
      for (int i = 0; i < 2; i++)
        load_matrix4_transposed(r[i],
                                tile + (from ^ (j + 2 * i) * 16) + step * 16 * TILE_ROW_BYTES);
      SPK_UNROLLED
      for (int i = 0; i < 4; i++) {
        const uint32_t b[2] = {r[i / 2][i % 2 * 2], r[i / 2][i % 2 * 2 + 1]};
        SPK_UNROLLED
        for (int m = 0; m < M; m++) mma<T>(sums[m][j + i], a[m], b);
      }
    }
  }

  /* Write the sums of 16 rows to shared memory, row-major.  Rows lie SUMS_STRIDE apart, so that the
   * pairs that 16 lanes write at a time lie in different banks. */
  static SPK_DEVICE void put(float *to, const float (&sums)[WARP_TILES][4]) {
    SPK_UNROLLED
    for (int j = 0; j < WARP_TILES; j++) {
      SPK_UNROLLED
      for (int i = 0; i < 4; i += 2) {
        const int row = spk_mma_c_row(lane(), i), col = j * SPK_MMA_COLS + spk_mma_c_col(lane(), i);
        store(reinterpret_cast<vec<float, 2> *>(to + row * SUMS_STRIDE + col),
              vec<float, 2>{{sums[j][i], sums[j][i + 1]}});
      }
    }
  }
};

/* Floats, rounded to TF32; or, with SPLIT, in two parts each, as three products with the small
 * products first.
 *
 * A lane needs one element of a row of B for each of the eight tiles of 8 columns.  Any column may
 * be in any place of a tile, as long as C uses the same order.  So column c of tile j is column 4 c
 * + j % 4 of the warp's half j / 4, and one load of 16 bytes serves four tiles.  The distance of
 * rows is a multiple of 128 bytes plus 32, so that the four rows and two chunks that eight lanes
 * load at a time lie in all banks. */
template <bool SPLIT>
struct Floats {
  using Element = float;
  static constexpr int HALVES = 1, DEPTH = 16;
  static constexpr int ROW_BYTES = WARP_COLUMNS * 4 + 32, TILE_BYTES = DEPTH * ROW_BYTES;
  static constexpr int SUMS_STRIDE = WARP_COLUMNS + 4;

  static SPK_DEVICE int place(int row, int col) { return row * ROW_BYTES + col * 4; }
  static SPK_DEVICE int lane_place() { return place(lane() % 4, lane() / 4 * 4); }

  template <int M>
  static SPK_DEVICE void multiply(float (&sums)[M][WARP_TILES][4], const uint32_t (&a)[M][4],
                                  const char *tile, int from, int step, int left) {
    uint32_t high[M][4], low[M][4];
    SPK_UNROLLED
    for (int m = 0; m < M; m++) split_tf32(a[m], high[m], low[m]);
    SPK_UNROLLED
    for (int j = 0; j < WARP_TILES; j += 4) {
      if (j * SPK_MMA_COLS >= left) continue;
      const char *at = tile + from + place(step * 8, j * SPK_MMA_COLS);
      const auto above = *reinterpret_cast<const vec<uint32_t, 4> *>(at);
      const auto below = *reinterpret_cast<const vec<uint32_t, 4> *>(at + 4 * ROW_BYTES);
      SPK_UNROLLED
      for (int i = 0; i < 4; i++) {
        const uint32_t b[2] = {above[i], below[i]};
        uint32_t b_high[2], b_low[2];
        split_tf32(b, b_high, b_low);
        SPK_UNROLLED
        for (int m = 0; m < M; m++) {
          if (SPLIT) {
            mma<tfloat32>(sums[m][j + i], low[m], b_high);
            mma<tfloat32>(sums[m][j + i], high[m], b_low);
          }
          mma<tfloat32>(sums[m][j + i], high[m], b_high);
        }
      }
    }
  }

  static SPK_DEVICE void put(float *to, const float (&sums)[WARP_TILES][4]) {
    SPK_UNROLLED
    for (int j = 0; j < WARP_TILES; j += 4) {
      SPK_UNROLLED
      for (int i = 0; i < 4; i++) {
        const int row = spk_mma_c_row(lane(), i);
        const int col = j * SPK_MMA_COLS + spk_mma_c_col(lane(), i) * 4;
        store(reinterpret_cast<vec<float, 4> *>(to + row * SUMS_STRIDE + col),
              vec<float, 4>{{sums[j][i], sums[j + 1][i], sums[j + 2][i], sums[j + 3][i]}});
      }
    }
  }
};

} // namespace spk

#endif
