/* The handle of the interface, and checks of operands. */
#ifndef SPK_API_HANDLE_H
#define SPK_API_HANDLE_H

#include <new>

#include "../driver/attention.h"
#include "../driver/product.h"
#include "../driver/sddmm.h"
#include "../driver/values.h"

struct spk_cuda_matrix {
  int64_t rows = 0, cols = 0, nnz = 0;
  spk_cuda_dtype dtype = SPK_CUDA_F32;
  bool has_values = false;
  spk_cuda_device device = {};
  std::unique_ptr<spk::SpmmKernel> spmm;   /* if SPK_CUDA_SPMM was asked for */
  std::unique_ptr<spk::SddmmKernel> sddmm; /* if SPK_CUDA_SDDMM was asked for */
  std::unique_ptr<spk::AttentionKernel> attention;
};

namespace spk {

/* Run the body of a function of the C interface, so that no exception leaves it. */
template <class Body>
int without_exceptions(const Body &body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return SPK_ERR_MEMORY;
  } catch (...) {
    return SPK_CUDA_ERR_RUNTIME;
  }
}

/* Whether an enum of the caller is one of 0 to `last`.  It is tested as a number, because reading
 * an enum with another value is undefined. */
template <class E>
bool is_up_to(const E &value, E last) {
  int number;
  static_assert(sizeof value == sizeof number, "enums of the interface are ints");
  memcpy(&number, &value, sizeof number);
  return number >= 0 && number <= (int)last;
}
inline bool is_dtype(const spk_cuda_dtype &dtype) { return is_up_to(dtype, SPK_CUDA_BF16); }

/* How the elements of a matrix of the interface lie.  A matrix of a single row or column is both
 * row-major and column-major. */
inline bool lies_in_lines(int64_t lines, int64_t length, ptrdiff_t between, ptrdiff_t within) {
  return (length <= 1 || within == 1) && (lines <= 1 || (between >= length && between >= 1));
}
inline bool is_row_major(const spk_cuda_dense &M) {
  return lies_in_lines(M.rows, M.cols, M.row_stride, M.col_stride);
}
inline bool is_col_major(const spk_cuda_dense &M) {
  return lies_in_lines(M.cols, M.rows, M.col_stride, M.row_stride);
}

/* Whether an element may have this address.  An access that is not aligned takes the context
 * down. */
inline bool is_element_aligned(const void *p, spk_cuda_dtype dtype) {
  return reinterpret_cast<uintptr_t>(p) % size_of(dtype) == 0;
}

/* The largest extent.  No memory holds a larger one, and products of extents and sizes of tiles do
 * not overflow. */
constexpr int64_t MAX_EXTENT = (int64_t)1 << 48;

/* SPK_OK if M is a matrix of this shape and dtype that kernels can read. */
inline int check_dense(const spk_cuda_dense *M, spk_cuda_dtype dtype, int64_t rows, int64_t cols) {
  if (!M || M->rows < 0 || M->cols < 0) return SPK_ERR_ARGUMENT;
  if (!is_dtype(M->dtype) || M->dtype != dtype) return SPK_ERR_DTYPE;
  if (M->rows != rows || M->cols != cols) return SPK_ERR_SHAPE;
  if (M->rows > MAX_EXTENT || M->cols > MAX_EXTENT) return SPK_ERR_SHAPE;
  if (!is_element_aligned(M->data, dtype)) return SPK_ERR_ARGUMENT;
  if (M->rows && M->cols && (!M->data || !(is_row_major(*M) || is_col_major(*M))))
    return SPK_ERR_ARGUMENT;
  return SPK_OK;
}

inline int check_workspace(const void *workspace, size_t bytes) {
  const bool there = workspace && reinterpret_cast<uintptr_t>(workspace) % 256 == 0;
  if (bytes && !there) return SPK_CUDA_ERR_WORKSPACE;
  return SPK_OK;
}

} // namespace spk

#endif
