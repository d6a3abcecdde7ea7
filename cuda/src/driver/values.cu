#include "values.h"

#include "../kernels/gather_values.h"

namespace spk {

int PackedValues::make(const int64_t *slots, int64_t count, spk_cuda_dtype stored) {
  count_ = count;
  stored_ = stored;
  const int status = values_.resize(count * (int64_t)size_of(stored));
  return status == SPK_OK ? slots_.make(slots, count) : status;
}

template <class To, class From, class Slot>
static int gather(void *to, const void *from, const Slot *slots, int64_t count, void *stream) {
  const GatherValues<To, From, Slot> task = {static_cast<To *>(to), static_cast<const From *>(from),
                                             slots, count};
  const int64_t blocks = (count + GATHER_THREADS - 1) / GATHER_THREADS;
  return launch(gather_values<To, From, Slot>, blocks < 4096 ? blocks : 4096, GATHER_THREADS, 0,
                stream, task);
}

/* Values are stored as they were given, or as float if a kernel computes with floats. */
template <class Slot>
static int gather_by_dtypes(void *to, spk_cuda_dtype stored, const void *from, spk_cuda_dtype given,
                            const Slot *slots, int64_t count, void *stream) {
  if (stored == SPK_CUDA_F32) {
    if (given == SPK_CUDA_F32) return gather<float, float>(to, from, slots, count, stream);
    if (given == SPK_CUDA_F16) return gather<float, half>(to, from, slots, count, stream);
    if (given == SPK_CUDA_BF16) return gather<float, bfloat16>(to, from, slots, count, stream);
  }
  if (stored != given) return SPK_ERR_DTYPE;
  if (stored == SPK_CUDA_F64) return gather<double, double>(to, from, slots, count, stream);
  if (stored == SPK_CUDA_F16) return gather<half, half>(to, from, slots, count, stream);
  return gather<bfloat16, bfloat16>(to, from, slots, count, stream);
}

int PackedValues::fill(const void *values, spk_cuda_dtype given, void *stream) {
  if (slots_.far())
    return gather_by_dtypes(values_.data(), stored_, values, given, slots_.far(), count_, stream);
  return gather_by_dtypes(values_.data(), stored_, values, given, slots_.near(), count_, stream);
}

} // namespace spk
