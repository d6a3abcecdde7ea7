/* Loads operands of tensor cores from shared memory to registers, for all kernels that use mma.
 *
 * A step of depth is 32 bytes of each operand, whatever its type: 16 elements of 16 bits, or 8
 * floats.  ldmatrix moves either (its 8 x 8 tiles of 16 bits are 8 x 4 of 32).  Operands lie in a
 * *tile*: rows of 128 bytes, of 8 chunks of 16 bytes.  Chunk c of row r lies at the place of chunk
 * c ^ r % 8.  So the same chunk of eight rows, which ldmatrix reads at a time, is in all 32 banks,
 * and so is one row, which eight lanes write side by side. */
#ifndef SPK_KERNELS_TENSOR_H
#define SPK_KERNELS_TENSOR_H

#include "../device/device.h"

namespace spk {

constexpr int TILE_ROW_BYTES = 128, TILE_ROW_CHUNKS = 8, MMA_CHUNKS = 2;

/* The offset of a chunk in a tile, in bytes. */
SPK_DEVICE int chunk_of_tile(int row, int chunk) {
  return row * TILE_ROW_BYTES + (chunk ^ (row & 7)) * 16;
}

/* Load A of one mma: 16 rows from `row` on, and a step of depth from `chunk` on. */
SPK_DEVICE void load_a(uint32_t (&a)[4], const char *tile, int row, int chunk) {
  load_matrix4(a, tile + chunk_of_tile(row + lane() % 16, chunk + lane() / 16));
}

/* Load B of two mma: 16 columns from `col` on, whose depth is contiguous (a row of the tile is a
 * column). */
SPK_DEVICE void load_b(uint32_t (&b)[2][2], const char *tile, int col, int chunk) {
  uint32_t r[4];
  load_matrix4(r, tile + chunk_of_tile(col + lane() % 8 + lane() / 16 * 8, chunk + lane() / 8 % 2));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

/* The same for 16-bit elements whose columns are contiguous: 16 rows from `row` on, and the 16
 * columns of two chunks. */
SPK_DEVICE void load_b_transposed(uint32_t (&b)[2][2], const char *tile, int row, int chunk) {
  uint32_t r[4];
  load_matrix4_transposed(r, tile + chunk_of_tile(row + lane() % 16, chunk + lane() / 16));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

/* Round floats to nearest for tensor cores, which would truncate them. */
template <int N>
SPK_DEVICE void round_to_tf32(uint32_t (&x)[N]) {
  SPK_UNROLLED
  for (int i = 0; i < N; i++) x[i] = tf32(float_of(x[i]));
}

/* x = high + low with an error of 2**-22 |x|.  Without low * low, three products of the parts have
 * about 21 bits.  Sums of products with `low` are kept apart from sums of high * high, because
 * infinity has NaN for `low`, and infinity times a low part of 0 is NaN (see sum_of_parts). */
template <int N>
SPK_DEVICE void split_tf32(const uint32_t (&x)[N], uint32_t (&high)[N], uint32_t (&low)[N]) {
  SPK_UNROLLED
  for (int i = 0; i < N; i++) {
    high[i] = tf32(float_of(x[i]));
    low[i] = tf32(float_of(x[i]) - float_of(high[i]));
  }
}
SPK_DEVICE float sum_of_parts(float high, float low) {
  return high - high == 0 ? high + low : high;
}

} // namespace spk

#endif
