#include "transpose.h"

#include "values.h"
#include "../kernels/transpose.h"

namespace spk {

int64_t transposed_stride(spk_cuda_dtype dtype, int64_t cols) {
  const int64_t together = 16 / (int64_t)size_of(dtype);
  return tiles_of(cols, together) * together;
}

size_t transposed_bytes(spk_cuda_dtype dtype, int64_t rows, int64_t cols) {
  return (size_t)rows * (size_t)transposed_stride(dtype, cols) * size_of(dtype);
}

template <class T>
static constexpr size_t transpose_shared = TRANSPOSE_TILE * (TRANSPOSE_TILE + 1) * sizeof(T);

template <class T>
static int run(const void *from, int64_t from_stride, void *to, int64_t to_stride, int64_t rows,
               int64_t cols, void *stream) {
  Transpose<T> task;
  task.from = static_cast<const T *>(from);
  task.to = static_cast<T *>(to);
  task.rows = rows;
  task.cols = cols;
  task.from_stride = from_stride;
  task.to_stride = to_stride;
  task.row_tiles = tiles_of(rows, TRANSPOSE_TILE);
  return launch(transpose<T>, blocks_of(task.row_tiles, tiles_of(cols, TRANSPOSE_TILE)),
                TRANSPOSE_THREADS, transpose_shared<T>, stream, task);
}

int load_transpose(spk_cuda_dtype dtype) {
  switch (size_of(dtype)) {
    case 8:
      return load_kernel(transpose<double>, transpose_shared<double>);
    case 4:
      return load_kernel(transpose<float>, transpose_shared<float>);
    default:
      return load_kernel(transpose<half>, transpose_shared<half>);
  }
}

int transpose_to_rows(spk_cuda_dtype dtype, const void *from, int64_t from_stride, void *to,
                      int64_t rows, int64_t cols, void *stream) {
  const int64_t to_stride = transposed_stride(dtype, cols);
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
