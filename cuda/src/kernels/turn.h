/* A dense matrix turned from column-major to row-major, through shared memory. */
#ifndef SPK_KERNELS_TURN_H
#define SPK_KERNELS_TURN_H

#include "../device/device.h"

namespace spk {

constexpr int TURN_TILE = 32, TURN_THREADS = 256;

/* Of `from`, element (i, j) is at i + j * from_stride; of `to`, at i * to_stride + j. */
template <class T>
struct Turn {
  const T *from;
  T *to;
  int64_t rows, cols, from_stride, to_stride;
  int64_t row_tiles;
};

template <class T>
SPK_KERNEL(TURN_THREADS, 4)
turn(SPK_PARAMETER(task, Turn<T>)) {
  /* One more than a power of two, so that columns of the tile lie in different banks. */
  T *tile = reinterpret_cast<T *>(block_memory());
  const int64_t row = block() % task.row_tiles * TURN_TILE,
                col = block() / task.row_tiles * TURN_TILE;
  const int step = TURN_THREADS / TURN_TILE;
  for (int j = thread() / TURN_TILE; j < TURN_TILE; j += step) {
    const int i = thread() % TURN_TILE;
    if (row + i < task.rows && col + j < task.cols)
      tile[i * (TURN_TILE + 1) + j] = task.from[row + i + (col + j) * task.from_stride];
  }
  sync_block();
  for (int i = thread() / TURN_TILE; i < TURN_TILE; i += step) {
    const int j = thread() % TURN_TILE;
    if (row + i < task.rows && col + j < task.cols)
      task.to[(row + i) * task.to_stride + col + j] = tile[i * (TURN_TILE + 1) + j];
  }
}

} // namespace spk

#endif
