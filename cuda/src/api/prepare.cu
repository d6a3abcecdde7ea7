/* Handles: make, fill with new values, free. */
#include "../driver/transpose.h"
#include "handle.h"

#include <vector>

#include "../pack/float16.h"
#include "../driver/values.h"

namespace spk {
namespace {

int check(const spk_cuda_desc *desc, spk_cuda_matrix **made) {
  if (!desc || !desc->A || !made || !is_dtype(desc->dtype) || desc->width < 0)
    return SPK_ERR_ARGUMENT;
  const spk_sparse &A = *desc->A;
  if (!is_up_to(A.format, SPK_BSR) || !is_up_to(A.dtype, SPK_F64) || !is_up_to(A.itype, SPK_I64))
    return SPK_ERR_ARGUMENT;
  if (!is_up_to(desc->precision, SPK_CUDA_3XTF32) || !is_up_to(desc->kernel, SPK_CUDA_BITMAP))
    return SPK_ERR_ARGUMENT;
  const unsigned all = SPK_CUDA_SPMM | SPK_CUDA_SDDMM | SPK_CUDA_ATTENTION;
  if (!desc->operations || (desc->operations & ~all)) return SPK_ERR_ARGUMENT;
  if (desc->precision != SPK_CUDA_STRICT && desc->dtype != SPK_CUDA_F32) return SPK_ERR_DTYPE;
  if ((desc->operations & SPK_CUDA_SPMM) && desc->A->nnz && !desc->A->values)
    return SPK_ERR_ARGUMENT;
  return SPK_OK;
}

/* Copy the host's values to the device, rounded to the handle's dtype. */
int upload_values(const spk_sparse &A, int64_t nnz, spk_cuda_dtype dtype,
                  DeviceArray<char> *values) {
  const size_t size = size_of(dtype);
  std::vector<char> rounded((size_t)nnz * size);
  const float *f32 = static_cast<const float *>(A.values);
  const double *f64 = static_cast<const double *>(A.values);
  for (int64_t p = 0; p < nnz; p++) {
    const double wide = A.dtype == SPK_F32 ? f32[p] : f64[p];
    const float narrow = (float)wide;
    char *to = rounded.data() + (size_t)p * size;
    uint16_t bits;
    switch (dtype) {
      case SPK_CUDA_F64:
        memcpy(to, &wide, size);
        break;
      case SPK_CUDA_F32:
        memcpy(to, &narrow, size);
        break;
      default:
        bits = dtype == SPK_CUDA_F16 ? spk_to_f16(spk_to_odd(wide)) : spk_to_bf16(spk_to_odd(wide));
        memcpy(to, &bits, size);
    }
  }
  return values->assign(rounded.data(), (int64_t)rounded.size());
}

/* Make the kernels of the operations that were asked for. */
int make_kernels(const spk_cuda_desc &desc, const spk_entries &entries, spk_cuda_matrix *A) {
  int status = SPK_OK;
  const int64_t width = desc.width ? desc.width : 128;
  if (desc.operations & SPK_CUDA_SPMM) {
    const SpmmWanted wanted = {&entries, desc.dtype, desc.precision, width, A->device};
    status = make_spmm(desc.kernel, wanted, &A->spmm);
  }
  if (status == SPK_OK && (desc.operations & SPK_CUDA_SDDMM)) {
    const SddmmWanted wanted = {&entries, desc.dtype, desc.precision, A->has_values, A->device};
    status = make_sddmm(wanted, &A->sddmm);
  }
  if (status == SPK_OK && (desc.operations & SPK_CUDA_ATTENTION)) {
    A->attention = std::make_unique<AttentionKernel>();
    status = A->attention->make(entries, desc.dtype);
  }
  if (status == SPK_OK && (A->spmm || A->sddmm)) status = load_transpose(desc.dtype);
  return status;
}

int prepare(const spk_cuda_desc &desc, spk_cuda_matrix *A) {
  int status = query_device(-1, &A->device);
  if (status != SPK_OK) return status;
  Owned<spk_entries, spk_entries_free> entries;
  status = spk_entries_make(desc.A, &entries);
  if (status != SPK_OK) return status;
  A->rows = entries.rows;
  A->cols = entries.cols;
  A->nnz = entries.nnz;
  A->dtype = desc.dtype;
  A->has_values = desc.A->values != nullptr || !entries.nnz;
  DeviceArray<char> values;
  status = make_kernels(desc, entries, A);
  if (status == SPK_OK && A->has_values && (A->spmm || A->sddmm)) {
    status = upload_values(*desc.A, A->nnz, A->dtype, &values);
    if (status == SPK_OK) status = spk_cuda_update_values(A, values.data(), nullptr);
  }
  /* Copies from host memory may still be under way, and other streams do not wait for them. */
  return status == SPK_OK ? wait_for_device() : status;
}

} // namespace
} // namespace spk

int spk_cuda_prepare(const spk_cuda_desc *desc, spk_cuda_matrix **made) {
  int status = spk::check(desc, made);
  if (status != SPK_OK) return status;
  return spk::without_exceptions([&] {
    auto A = std::make_unique<spk_cuda_matrix>();
    const int result = spk::prepare(*desc, A.get());
    if (result == SPK_OK) *made = A.release();
    return result;
  });
}

int spk_cuda_update_values(spk_cuda_matrix *A, const void *values, void *stream) {
  if (!A || (A->nnz && !values)) return SPK_ERR_ARGUMENT;
  if (!A->spmm && !A->sddmm) return SPK_CUDA_ERR_PREPARED; /* a mask has no values */
  if (!spk::is_element_aligned(values, A->dtype)) return SPK_ERR_ARGUMENT;
  spk::OnDevice on(A->device.device);
  int status = on.status();
  if (status == SPK_OK && A->spmm) status = A->spmm->fill(values, stream);
  if (status == SPK_OK && A->sddmm) status = A->sddmm->fill(values, stream);
  return status;
}

int spk_cuda_destroy(spk_cuda_matrix *A) {
  if (!A) return SPK_OK;
  spk::OnDevice on(A->device.device);
  int status = on.status();
  if (status == SPK_OK) status = spk::wait_for_device();
  delete A;
  return status;
}

size_t spk_cuda_bytes(const spk_cuda_matrix *A) {
  if (!A) return 0;
  size_t bytes = A->spmm ? A->spmm->bytes() : 0;
  if (A->attention) bytes += A->attention->bytes();
  if (A->sddmm) bytes += A->sddmm->bytes();
  return bytes;
}
