#include "reduced_precision.h"

#include "../common/float16.h"

void spk_round_values(uint16_t *to, const float *from, size_t count, spk_storage storage) {
  if (storage == SPK_STORAGE_F16)
    for (size_t i = 0; i < count; i++) to[i] = spk_to_f16(from[i]);
  else
    for (size_t i = 0; i < count; i++) to[i] = spk_to_bf16(from[i]);
}
