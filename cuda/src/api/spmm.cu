/* spk_cuda_spmm: C = A @ B. */
#include "../driver/transpose.h"
#include "handle.h"
#include "../driver/values.h"

namespace spk {
namespace {

/* The workspace: the rows of B if B is column-major, then the kernel's own workspace. */
size_t room_for_rows(const spk_cuda_dense &B) {
  if (is_row_major(B)) return 0;
  return (transposed_bytes(B.dtype, B.rows, B.cols) + 255) / 256 * 256;
}

/* Elements from row to row of the B that kernels read. */
int64_t stride_of_rows(const spk_cuda_dense &B) {
  if (!is_row_major(B)) return transposed_stride(B.dtype, B.cols);
  return B.rows > 1 ? B.row_stride : B.cols;
}

int check_epilogue(const spk_epilogue &e, spk_cuda_dtype dtype) {
  if (!is_up_to(e.activation, SPK_RELU6)) return SPK_ERR_ARGUMENT;
  const bool aligned =
      is_element_aligned(e.bias_row, dtype) && is_element_aligned(e.bias_col, dtype);
  return aligned ? SPK_OK : SPK_ERR_ARGUMENT;
}

int check(const spk_cuda_matrix *A, const spk_cuda_dense *B, const spk_cuda_dense *C) {
  if (!A || !B || !C) return SPK_ERR_ARGUMENT;
  if (!A->spmm || !A->has_values) return SPK_CUDA_ERR_PREPARED;
  int status = check_dense(B, A->dtype, A->cols, B->cols);
  if (status == SPK_OK) status = check_dense(C, A->dtype, A->rows, B->cols);
  if (status != SPK_OK) return status;
  /* Kernels hold the bytes between rows in 32 bits. */
  const int64_t most = (int64_t)(UINT32_MAX / size_of(B->dtype));
  return stride_of_rows(*B) > most ? SPK_ERR_SHAPE : SPK_OK;
}

} // namespace
} // namespace spk

int spk_cuda_spmm_workspace(const spk_cuda_matrix *A, const spk_cuda_dense *B,
                            const spk_cuda_dense *C, size_t *bytes) {
  const int status = spk::check(A, B, C);
  if (status != SPK_OK) return status;
  if (!bytes) return SPK_ERR_ARGUMENT;
  *bytes = spk::room_for_rows(*B) + A->spmm->workspace(B->cols);
  return SPK_OK;
}

int spk_cuda_spmm(const spk_cuda_matrix *A, const spk_cuda_dense *B, const spk_cuda_dense *C,
                  const spk_epilogue *epilogue, void *workspace, void *stream) {
  size_t bytes;
  int status = spk_cuda_spmm_workspace(A, B, C, &bytes);
  if (status == SPK_OK) status = spk::check_workspace(workspace, bytes);
  if (status == SPK_OK && epilogue) status = spk::check_epilogue(*epilogue, A->dtype);
  if (status != SPK_OK || !C->rows || !C->cols) return status;
  spk::OnDevice on(A->device.device);
  if (on.status() != SPK_OK) return on.status();
  spk::Product product;
  product.n = B->cols;
  product.B = B->data;
  product.ldb = spk::stride_of_rows(*B);
  product.C = C->data;
  product.c_row = C->rows > 1 ? C->row_stride : C->cols;
  product.c_col = C->cols > 1 ? C->col_stride : 1;
  product.epilogue = epilogue ? *epilogue : spk_epilogue{1, 0, nullptr, nullptr, SPK_IDENTITY};
  product.workspace = static_cast<char *>(workspace);
  product.stream = stream;
  const size_t room = spk::room_for_rows(*B);
  if (room) {
    status = spk::transpose_to_rows(B->dtype, B->data, B->col_stride, workspace, B->rows, B->cols,
                                    stream);
    product.B = workspace;
    product.workspace += room;
  }
  return status == SPK_OK ? A->spmm->run(product) : status;
}

const char *spk_cuda_kernel_name(const spk_cuda_matrix *A, ptrdiff_t n) {
  return A && A->spmm ? A->spmm->name(n) : "none";
}
