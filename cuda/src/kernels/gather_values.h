/* Copies values from the caller's order to that of a packed matrix, converting the dtype if need
 * be. */
#ifndef SPK_KERNELS_GATHER_VALUES_H
#define SPK_KERNELS_GATHER_VALUES_H

#include "../device/device.h"

namespace spk {

template <class To, class From, class Slot>
struct GatherValues {
  To *to;
  const From *from;
  const Slot *slots;
  int64_t count;
};

constexpr int GATHER_THREADS = 256;

template <class To, class From, class Slot>
SPK_KERNEL(GATHER_THREADS, 4)
gather_values(SPK_PARAMETER(task, GatherValues<To, From, Slot>)) {
  const int64_t step = blocks() * GATHER_THREADS;
  for (int64_t i = block() * GATHER_THREADS + thread(); i < task.count; i += step) {
    const Slot slot = task.slots[i];
    task.to[i] = slot < 0 ? To{} : from_float<To>((sum_of<To>)to_float(task.from[slot]));
  }
}

} // namespace spk

#endif
