/* Masks of attention in device memory, and attention with them. */
#ifndef SPK_DRIVER_ATTENTION_H
#define SPK_DRIVER_ATTENTION_H

#include "memory.h"
#include "../pack/block_mask.h"

namespace spk {

class AttentionKernel {
 public:
  /* SPK_ERR_DTYPE if dtype does not have 16 bits. */
  int make(const spk_entries &mask, spk_cuda_dtype dtype);
  /* The operands are checked. */
  int run(const spk_cuda_attention &a, void *stream) const;
  size_t bytes() const { return panels_.bytes() + groups_.bytes() + keys_.bytes() + bits_.bytes(); }

 private:
  int64_t rows_ = 0, panel_count_ = 0, long_panels_ = 0;
  DeviceArray<spk_query_panel> panels_;
  DeviceArray<spk_group> groups_;
  DeviceArray<int32_t> keys_;
  DeviceArray<uint64_t> bits_;
};

} // namespace spk

#endif
