/* A dense matrix transposed from column-major to row-major, through shared memory. */
#ifndef SPK_KERNELS_TRANSPOSE_H
#define SPK_KERNELS_TRANSPOSE_H

#include "../device/device.h"

namespace spk {

constexpr int TRANSPOSE_TILE = 32, TRANSPOSE_THREADS = 256;

/* Element (i, j) is from[i + j * from_stride] and to[i * to_stride + j]. */
template <class T>
struct Transpose {
  const T *from;
  T *to;
  int64_t rows, cols, from_stride, to_stride;
  int64_t row_tiles;
};

template <class T>
SPK_KERNEL(TRANSPOSE_THREADS, 4)
transpose(SPK_PARAMETER(task, Transpose<T>)) {
  /* Rows have one more element than a power of two, so that columns of the tile lie in different
   * banks. */
  T *tile = reinterpret_cast<T *>(block_memory());
  const int64_t row = block() % task.row_tiles * TRANSPOSE_TILE,
                col = block() / task.row_tiles * TRANSPOSE_TILE;
  const int step = TRANSPOSE_THREADS / TRANSPOSE_TILE;
  for (int j = thread() / TRANSPOSE_TILE; j < TRANSPOSE_TILE; j += step) {
    const int i = thread() % TRANSPOSE_TILE;
    if (row + i < task.rows && col + j < task.cols)
      tile[i * (TRANSPOSE_TILE + 1) + j] = task.from[row + i + (col + j) * task.from_stride];
  }
  sync_block();
  for (int i = thread() / TRANSPOSE_TILE; i < TRANSPOSE_TILE; i += step) {
    const int j = thread() % TRANSPOSE_TILE;
    if (row + i < task.rows && col + j < task.cols)
      task.to[(row + i) * task.to_stride + col + j] = tile[i * (TRANSPOSE_TILE + 1) + j];
  }
}

} // namespace spk

#endif
