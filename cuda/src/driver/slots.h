/* Slots in device memory: the place of each packed value among the caller's values. */
#ifndef SPK_DRIVER_SLOTS_H
#define SPK_DRIVER_SLOTS_H

#include <climits>
#include <vector>

#include "memory.h"

namespace spk {

/* Slots have 32 bits if that suffices. */
class DeviceSlots {
 public:
  int make(const int64_t *slots, int64_t count) {
    int64_t last = 0;
    for (int64_t i = 0; i < count; i++) last = slots[i] > last ? slots[i] : last;
    if (last > INT32_MAX) return far_.assign(slots, count);
    std::vector<int32_t> near((size_t)count);
    for (int64_t i = 0; i < count; i++) near[(size_t)i] = (int32_t)slots[i];
    return near_.assign(near.data(), count);
  }
  /* One of the two is there after make, and neither before. */
  const int32_t *near() const { return near_.data(); }
  const int64_t *far() const { return far_.data(); }
  size_t bytes() const { return near_.bytes() + far_.bytes(); }

 private:
  DeviceArray<int32_t> near_;
  DeviceArray<int64_t> far_;
};

} // namespace spk

#endif
