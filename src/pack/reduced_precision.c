#include "reduced_precision.h"

#include <math.h>

#include "../common/float16.h"

void spk_round_values(uint16_t *to, const float *from, size_t count, spk_storage storage) {
  if (storage == SPK_STORAGE_F16)
    for (size_t i = 0; i < count; i++) to[i] = spk_to_f16(from[i]);
  else
    for (size_t i = 0; i < count; i++) to[i] = spk_to_bf16(from[i]);
}

void spk_store_values(void *to, const float *from, size_t count, spk_storage storage) {
  int8_t *bytes = to;
  if (storage == SPK_STORAGE_S8)
    for (size_t i = 0; i < count; i++) bytes[i] = (int8_t)from[i];
  else
    spk_round_values(to, from, count, storage);
}

int spk_number_of(float value, float scale, int most) {
  const float steps = scale > 0 ? nearbyintf(value / scale) : 0.0f;
  if (steps > (float)most) return most;
  if (steps < (float)-most) return -most;
  return steps == steps ? (int)steps : 0;
}
