/* A structure, prepared for sampled products. */
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

/* Entries in full tiles go by tiles, and the others one by one. */
class SddmmKernel {
 public:
  virtual ~SddmmKernel() = default;
  /* Set P's values, which lie on the device and have the handle's dtype.  SPK_CUDA_ERR_PREPARED if
   * there is no room for values. */
  virtual int fill(const void *values, void *stream) = 0;
  virtual int run(const SampledProduct &product) const = 0;
  virtual size_t bytes() const = 0;
};

struct SddmmWanted {
  const spk_entries *P;
  spk_cuda_dtype dtype;
  spk_cuda_precision precision;
  bool values; /* whether P has values */
  spk_cuda_device device;
};

int make_sddmm(const SddmmWanted &wanted, std::unique_ptr<SddmmKernel> *made);

} // namespace spk

#endif
