/* spk_cuda_attend: check, run. */
#include "handle.h"
#include "../driver/values.h"

namespace spk {
namespace {

/* Check that kernels can read and write rows of this width 16 bytes at a time. */
int check_rows(const void *data, const ptrdiff_t (&strides)[3], const spk_cuda_attention &a,
               int64_t heads, int64_t rows, int64_t width) {
  if (!a.batch || !heads || !rows) return SPK_OK;
  if (!data || reinterpret_cast<uintptr_t>(data) % 16) return SPK_ERR_ARGUMENT;
  const int64_t extents[3] = {a.batch, heads, rows};
  const int64_t together = 16 / (int64_t)size_of(a.dtype);
  for (int i = 0; i < 3; i++) {
    if (extents[i] > 1 && strides[i] % together) return SPK_ERR_ARGUMENT;
  }
  if (rows > 1 && strides[2] < width) return SPK_ERR_ARGUMENT;
  return rows > 1 && strides[2] > INT32_MAX ? SPK_ERR_SHAPE : SPK_OK;
}

bool is_width(int64_t width) { return width > 0 && width <= 256 && width % 8 == 0; }

int check(const spk_cuda_matrix *mask, const spk_cuda_attention *attention) {
  if (!mask || !attention) return SPK_ERR_ARGUMENT;
  const spk_cuda_attention &a = *attention;
  if (!mask->attention) return SPK_CUDA_ERR_PREPARED;
  if (!is_dtype(a.dtype) || a.dtype != mask->dtype) return SPK_ERR_DTYPE;
  if (a.batch < 0 || a.heads < 0 || a.kv_heads < 0 || a.d < 0 || a.dv < 0) return SPK_ERR_ARGUMENT;
  if (!is_width(a.d) || !is_width(a.dv)) return SPK_ERR_SHAPE;
  if (a.heads && (!a.kv_heads || a.heads % a.kv_heads)) return SPK_ERR_SHAPE;
  const int64_t m = mask->rows, n = mask->cols;
  int status = check_rows(a.Q, a.q_strides, a, a.heads, m, a.d);
  if (status == SPK_OK) status = check_rows(a.K, a.k_strides, a, a.kv_heads, n, a.d);
  if (status == SPK_OK) status = check_rows(a.V, a.v_strides, a, a.kv_heads, n, a.dv);
  if (status == SPK_OK) status = check_rows(a.out, a.out_strides, a, a.heads, m, a.dv);
  /* Heads that share their output would race. */
  const bool shared = (a.batch > 1 && !a.out_strides[0]) || (a.heads > 1 && !a.out_strides[1]);
  if (shared || reinterpret_cast<uintptr_t>(a.lse) % sizeof(float)) status = SPK_ERR_ARGUMENT;
  return status;
}

} // namespace
} // namespace spk

int spk_cuda_attend(const spk_cuda_matrix *mask, const spk_cuda_attention *attention,
                    void *stream) {
  const int status = spk::check(mask, attention);
  if (status != SPK_OK) return status;
  if (spk::blocks_of(attention->batch, attention->heads) > spk::MAX_BLOCKS) return SPK_ERR_SHAPE;
  if (!attention->batch || !attention->heads || !mask->rows) return SPK_OK;
  spk::OnDevice on(mask->device.device);
  return on.status() == SPK_OK ? mask->attention->run(*attention, stream) : on.status();
}
