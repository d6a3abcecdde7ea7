/* A pattern, prepared for sampled products. */
#ifndef SPK_DRIVER_SDDMM_H
#define SPK_DRIVER_SDDMM_H

#include <memory>

#include "memory.h"
#include "../pack/entries.h"

namespace spk {

/* X is row-major, Y column-major. */
struct SampledProduct {
  int64_t k;
  const void *X, *Y;
  int64_t ldx, ldy;
  void *values;
  spk_sampling sampling;
  void *stream;
};

/* Entries of full tiles go by tiles, the rest one by one. */
class SddmmKernel {
 public:
  virtual ~SddmmKernel() = default;
  /* P's values, of the handle's dtype, on the device; SPK_CUDA_ERR_PREPARED where there is no room
   * for any. */
  virtual int fill(const void *values, void *stream) = 0;
  virtual int run(const SampledProduct &product) const = 0;
  virtual size_t bytes() const = 0;
};

struct SddmmWanted {
  const spk_entries *P;
  spk_cuda_dtype dtype;
  spk_cuda_precision precision;
  bool values; /* whether there are any */
  spk_cuda_device device;
};

int make_sddmm(const SddmmWanted &wanted, std::unique_ptr<SddmmKernel> *made);

} // namespace spk

#endif
