/* An element of attention's output, computed strictly over the entries of the mask. */
#ifndef SPK_KERNELS_ATTENTION_STRICT_H
#define SPK_KERNELS_ATTENTION_STRICT_H

#include "attention_task.h"

namespace spk {

/* Whether 16 bits stand for infinity or NaN. */
SPK_DEVICE bool is_wild(half v) { return (v.bits & 0x7c00u) == 0x7c00u; }
SPK_DEVICE bool is_wild(bfloat16 v) { return (v.bits & 0x7f80u) == 0x7f80u; }

/* Compute one element for a query of the panel, whose largest score and whose sum of exponentials
 * are known.  One lane computes it, for the few elements that tensor cores make infinite or NaN:
 * where weights of 0 meet infinity or NaN in V, or where sums exceed float32 before they are
 * divided.  It takes d operations per key, thousands of times the time of tensor cores.  It happens
 * to queries that share a panel with a query that has such a key. */
template <class T>
SPK_OUTLINED T attend_strictly(const Attend<T> &t, int query, int col, float most, float total) {
  const AttendPlace place = place_of_block(t);
  const int64_t kv_head = place.head / t.sharing;
  const int64_t row = (int64_t)place.panel.index * SPK_PANEL_QUERIES + query;
  const T *q = t.Q + offset_of(t.q, place.batch, place.head, row);
  const T *K = t.K + offset_of(t.k, place.batch, kv_head, 0);
  const T *V = t.V + offset_of(t.v, place.batch, kv_head, 0);
  const float base = usable(most), share = 1 / total;
  float sum = 0;
  for (int64_t g = place.panel.begin; g < place.panel.begin + place.panel.count; g++) {
    const int64_t mask = t.groups[g].bits;
    const uint64_t bits = mask < 0 ? ~uint64_t(0) : t.bits[mask * SPK_PANEL_QUERIES + query];
    for (int i = 0; i < SPK_GROUP_KEYS; i++) {
      if (!(bits >> i & 1)) continue;
      const int64_t key = t.keys[g * SPK_GROUP_KEYS + i];
      float score = 0;
      for (int j = 0; j < t.d; j++)
        score = fma(to_float(q[j]), to_float(K[key * t.k.row + j]), score);
      const float weight = weight_of(t, t.negative ? -score : score, base) * share;
      sum = fma(weight, to_float(V[key * t.v.row + col]), sum);
    }
  }
  return from_float<T>(sum);
}

} // namespace spk

#endif
