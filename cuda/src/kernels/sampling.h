/* What becomes of a sampled product before it is written: alpha * sum [* P] + beta * P. */
#ifndef SPK_KERNELS_SAMPLING_H
#define SPK_KERNELS_SAMPLING_H

#include "../device/device.h"

namespace spk {

/* The places of entries among P's values: those of one of the lists, or their own. */
struct Slots {
  const int32_t *near;
  const int64_t *far;
  SPK_DEVICE int64_t of(int64_t i) const { return near ? near[i] : far ? far[i] : i; }
};

template <class T>
struct Sampling {
  T *values;
  const T *old; /* P's values; read only if scale or beta need them */
  sum_of<T> alpha, beta;
  int scale;
};

template <class T>
SPK_DEVICE void finish_sample(const Sampling<T> &s, int64_t slot, sum_of<T> sum) {
  sum_of<T> x = s.alpha * sum;
  if (s.scale || s.beta != 0) {
    const sum_of<T> old = to_float(load_once(s.old + slot));
    if (s.scale) x *= old;
    if (s.beta != 0) x += s.beta * old;
  }
  store(s.values + slot, from_float<T>(x));
}

} // namespace spk

#endif
