/* Packed values: copied from the caller's order to where kernels read them. */
#ifndef SPK_DRIVER_VALUES_H
#define SPK_DRIVER_VALUES_H

#include "slots.h"

namespace spk {

/* The bytes of an element. */
inline size_t size_of(spk_cuda_dtype dtype) {
  return dtype == SPK_CUDA_F64 ? 8 : dtype == SPK_CUDA_F32 ? 4 : 2;
}

/* Values in the order in which a kernel reads them, and how to fill them again. */
class PackedValues {
 public:
  /* There is a slot for each value, or -1 for a zero.  The values are stored as dtype `stored`. */
  int make(const int64_t *slots, int64_t count, spk_cuda_dtype stored);
  /* Fill from device memory, of dtype `given`. */
  int fill(const void *values, spk_cuda_dtype given, void *stream);
  const void *data() const { return values_.data(); }
  size_t bytes() const { return values_.bytes() + slots_.bytes(); }

 private:
  DeviceArray<char> values_;
  DeviceSlots slots_;
  int64_t count_ = 0;
  spk_cuda_dtype stored_ = SPK_CUDA_F32;
};

} // namespace spk

#endif
