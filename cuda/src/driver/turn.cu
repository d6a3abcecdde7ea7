#include "turn.h"

#include "../api/values.h"
#include "../kernels/turn.h"

namespace spk {

int64_t turned_stride(spk_cuda_dtype dtype, int64_t cols) {
  const int64_t together = 16 / (int64_t)size_of(dtype);
  return tiles_of(cols, together) * together;
}

size_t turned_bytes(spk_cuda_dtype dtype, int64_t rows, int64_t cols) {
  return (size_t)rows * (size_t)turned_stride(dtype, cols) * size_of(dtype);
}

template <class T>
static constexpr size_t turn_shared = TURN_TILE * (TURN_TILE + 1) * sizeof(T);

template <class T>
static int run(const void *from, int64_t from_stride, void *to, int64_t to_stride, int64_t rows,
               int64_t cols, void *stream) {
  Turn<T> task;
  task.from = static_cast<const T *>(from);
  task.to = static_cast<T *>(to);
  task.rows = rows;
  task.cols = cols;
  task.from_stride = from_stride;
  task.to_stride = to_stride;
  task.row_tiles = tiles_of(rows, TURN_TILE);
  return launch(turn<T>, blocks_of(task.row_tiles, tiles_of(cols, TURN_TILE)), TURN_THREADS,
                turn_shared<T>, stream, task);
}

int make_turn_ready(spk_cuda_dtype dtype) {
  switch (size_of(dtype)) {
    case 8:
      return make_ready(turn<double>, turn_shared<double>);
    case 4:
      return make_ready(turn<float>, turn_shared<float>);
    default:
      return make_ready(turn<half>, turn_shared<half>);
  }
}

int turn_to_rows(spk_cuda_dtype dtype, const void *from, int64_t from_stride, void *to,
                 int64_t rows, int64_t cols, void *stream) {
  const int64_t to_stride = turned_stride(dtype, cols);
  switch (size_of(dtype)) {
    case 8:
      return run<double>(from, from_stride, to, to_stride, rows, cols, stream);
    case 4:
      return run<float>(from, from_stride, to, to_stride, rows, cols, stream);
    default:
      return run<half>(from, from_stride, to, to_stride, rows, cols, stream);
  }
}

} // namespace spk
