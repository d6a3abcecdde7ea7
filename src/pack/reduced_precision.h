/* How packed values lie in memory: in the precision of the computation, in float16 or bfloat16, or
 * as signed bytes. */
#ifndef SPK_PACK_REDUCED_PRECISION_H
#define SPK_PACK_REDUCED_PRECISION_H

#include "../dispatch/dispatch.h"

/* The number of values that are expanded at a time.  As floats they stay in L1 until they are
 * used. */
#define SPK_EXPANDED 4096
/* The number of values that are expanded at a time if a group of rows in lockstep has more than
 * SPK_EXPANDED. */
#define SPK_MAX_EXPANDED (8 * 16384)

static inline size_t spk_stored_size(spk_dtype dtype, spk_storage storage) {
  if (storage == SPK_STORAGE_SAME) return spk_dtype_size(dtype);
  return storage == SPK_STORAGE_S8 ? sizeof(int8_t) : sizeof(uint16_t);
}

/* The kernel that expands stored values, or NULL if they need no expansion. */
static inline spk_expand_fn spk_expander(const spk_kernels *kernels, spk_storage storage) {
  if (storage == SPK_STORAGE_SAME) return NULL;
  return storage == SPK_STORAGE_F16 ? kernels->expand_f16 : kernels->expand_bf16;
}

/* Round `count` values to the nearest values of 16 bits.  storage must not be SPK_STORAGE_SAME. */
void spk_round_values(uint16_t *to, const float *from, size_t count, spk_storage storage);

/* The same, or, for SPK_STORAGE_S8, values that are integers as signed bytes. */
void spk_store_values(void *to, const float *from, size_t count, spk_storage storage);

/* The integer from -most to most whose product with the scale is nearest to a value; 0 for NaN. */
int spk_number_of(float value, float scale, int most);

#endif
