/* What a handle of the interface holds. */
#ifndef SPK_API_HANDLE_H
#define SPK_API_HANDLE_H

#include <new>

#include "../driver/attention.h"
#include "../driver/product.h"
#include "../driver/sddmm.h"

struct spk_cuda_matrix {
  int64_t rows = 0, cols = 0, nnz = 0;
  spk_cuda_dtype dtype = SPK_CUDA_F32;
  unsigned operations = 0;
  bool has_values = false;
  spk_cuda_device device = {};
  std::unique_ptr<spk::SpmmKernel> spmm;   /* where SPK_CUDA_SPMM was asked for */
  std::unique_ptr<spk::SddmmKernel> sddmm; /* where SPK_CUDA_SDDMM was */
  std::unique_ptr<spk::AttentionKernel> attention;
};

namespace spk {

/* Run the body of a function of the C interface: none of its exceptions may leave it. */
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

inline bool is_dtype(spk_cuda_dtype dtype) {
  return dtype >= SPK_CUDA_F32 && dtype <= SPK_CUDA_BF16;
}

/* How the elements of a matrix of the interface lie; one of a single row or column lies both ways.
 */
inline bool lies_in_lines(int64_t lines, int64_t length, ptrdiff_t between, ptrdiff_t within) {
  return (length <= 1 || within == 1) && (lines <= 1 || (between >= length && between >= 1));
}
inline bool is_row_major(const spk_cuda_dense &M) {
  return lies_in_lines(M.rows, M.cols, M.row_stride, M.col_stride);
}
inline bool is_col_major(const spk_cuda_dense &M) {
  return lies_in_lines(M.cols, M.rows, M.col_stride, M.row_stride);
}

/* SPK_OK where M is a matrix of this shape and dtype that kernels can read. */
inline int check_dense(const spk_cuda_dense *M, spk_cuda_dtype dtype, int64_t rows, int64_t cols) {
  if (!M || M->rows < 0 || M->cols < 0) return SPK_ERR_ARGUMENT;
  if (M->dtype != dtype) return SPK_ERR_DTYPE;
  if (M->rows != rows || M->cols != cols) return SPK_ERR_SHAPE;
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
