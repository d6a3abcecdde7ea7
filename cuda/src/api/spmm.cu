/* C = A @ B. */
#include "../driver/turn.h"
#include "handle.h"
#include "values.h"

namespace spk {
namespace {

/* The workspace: B's rows, where it is column-major, and then the kernel's own. */
size_t room_for_rows(const spk_cuda_dense &B) {
  if (is_row_major(B)) return 0;
  return (turned_bytes(B.dtype, B.rows, B.cols) + 255) / 256 * 256;
}

int check(const spk_cuda_matrix *A, const spk_cuda_dense *B, const spk_cuda_dense *C) {
  if (!A || !B || !C) return SPK_ERR_ARGUMENT;
  if (!A->spmm || !A->has_values) return SPK_CUDA_ERR_PREPARED;
  const int status = check_dense(B, A->dtype, A->cols, B->cols);
  return status != SPK_OK ? status : check_dense(C, A->dtype, A->rows, B->cols);
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
  if (epilogue && (epilogue->activation < SPK_IDENTITY || epilogue->activation > SPK_SIGMOID))
    return SPK_ERR_ARGUMENT;
  if (status != SPK_OK || !C->rows || !C->cols) return status;
  spk::OnDevice on(A->device.device);
  if (on.status() != SPK_OK) return on.status();
  spk::Product product;
  product.dtype = A->dtype;
  product.n = B->cols;
  product.B = B->data;
  product.ldb = B->rows > 1 ? B->row_stride : B->cols;
  product.C = C->data;
  product.c_row = C->rows > 1 ? C->row_stride : C->cols;
  product.c_col = C->cols > 1 ? C->col_stride : 1;
  product.epilogue = epilogue ? *epilogue : spk_epilogue{1, 0, nullptr, nullptr, SPK_IDENTITY};
  product.workspace = static_cast<char *>(workspace);
  product.stream = stream;
  const size_t room = spk::room_for_rows(*B);
  if (!room && product.ldb > (int64_t)(UINT32_MAX / spk::size_of(B->dtype))) return SPK_ERR_SHAPE;
  if (room) {
    status =
        spk::turn_to_rows(B->dtype, B->data, B->col_stride, workspace, B->rows, B->cols, stream);
    product.B = workspace;
    product.ldb = spk::turned_stride(B->dtype, B->cols);
    product.workspace += room;
  }
  return status == SPK_OK ? A->spmm->run(product) : status;
}

const char *spk_cuda_kernel_name(const spk_cuda_matrix *A, ptrdiff_t n) {
  return A && A->spmm ? A->spmm->name(n) : "none";
}
