/* spk_cuda_sddmm: values = alpha * (X @ Y)[P] * P + beta * P. */
#include "../driver/transpose.h"
#include "handle.h"

namespace spk {
namespace {

/* The workspace: the rows of X if X is column-major, then the columns of Y if Y is row-major. */
size_t room_for_x(const spk_cuda_dense &X) {
  if (is_row_major(X)) return 0;
  return (transposed_bytes(X.dtype, X.rows, X.cols) + 255) / 256 * 256;
}
size_t room_for_y(const spk_cuda_dense &Y) {
  return is_col_major(Y) ? 0 : transposed_bytes(Y.dtype, Y.cols, Y.rows);
}

int check(const spk_cuda_matrix *P, const spk_cuda_dense *X, const spk_cuda_dense *Y) {
  if (!P || !X || !Y) return SPK_ERR_ARGUMENT;
  if (!P->sddmm) return SPK_CUDA_ERR_PREPARED;
  const int status = check_dense(X, P->dtype, P->rows, X->cols);
  return status != SPK_OK ? status : check_dense(Y, P->dtype, X->cols, P->cols);
}

} // namespace
} // namespace spk

int spk_cuda_sddmm_workspace(const spk_cuda_matrix *P, const spk_cuda_dense *X,
                             const spk_cuda_dense *Y, size_t *bytes) {
  const int status = spk::check(P, X, Y);
  if (status != SPK_OK) return status;
  if (!bytes) return SPK_ERR_ARGUMENT;
  *bytes = spk::room_for_x(*X) + spk::room_for_y(*Y);
  return SPK_OK;
}

int spk_cuda_sddmm(const spk_cuda_matrix *P, const spk_cuda_dense *X, const spk_cuda_dense *Y,
                   void *values, const spk_sampling *sampling, void *workspace, void *stream) {
  size_t bytes;
  int status = spk_cuda_sddmm_workspace(P, X, Y, &bytes);
  if (status == SPK_OK) status = spk::check_workspace(workspace, bytes);
  if (status != SPK_OK) return status;
  spk::SampledProduct product;
  product.sampling = sampling ? *sampling : spk_sampling{1, 0, 0};
  if ((product.sampling.scale || product.sampling.beta != 0) && !P->has_values)
    return SPK_CUDA_ERR_PREPARED;
  if (!P->nnz) return SPK_OK;
  if (!values || !spk::is_element_aligned(values, P->dtype)) return SPK_ERR_ARGUMENT;
  spk::OnDevice on(P->device.device);
  if (on.status() != SPK_OK) return on.status();
  product.k = X->cols;
  product.X = X->data;
  product.ldx = X->rows > 1 ? X->row_stride : X->cols;
  product.Y = Y->data;
  product.ldy = Y->cols > 1 ? Y->col_stride : Y->rows;
  product.values = values;
  product.stream = stream;
  char *room = static_cast<char *>(workspace);
  if (const size_t room_for_x = spk::room_for_x(*X)) {
    status =
        spk::transpose_to_rows(X->dtype, X->data, X->col_stride, room, X->rows, X->cols, stream);
    product.X = room;
    product.ldx = spk::transposed_stride(X->dtype, X->cols);
    room += room_for_x;
  }
  if (status == SPK_OK && spk::room_for_y(*Y)) {
    status =
        spk::transpose_to_rows(Y->dtype, Y->data, Y->row_stride, room, Y->cols, Y->rows, stream);
    product.Y = room;
    product.ldy = spk::transposed_stride(Y->dtype, Y->rows);
  }
  return status == SPK_OK ? P->sddmm->run(product) : status;
}
