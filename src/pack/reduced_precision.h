/* How packed values lie in memory: in the precision that is computed with, or in reduced precision:
 * float16 or bfloat16. */
#ifndef SPK_PACK_REDUCED_PRECISION_H
#define SPK_PACK_REDUCED_PRECISION_H

#include "../dispatch/dispatch.h"

/* Values that are expanded at a time: floats that stay in L1 until they are used. */
#define SPK_EXPANDED 4096
/* So many where a group of rows in lockstep has more. */
#define SPK_MAX_EXPANDED (8 * 16384)

static inline size_t spk_stored_size(spk_dtype dtype, spk_storage storage) {
  return storage == SPK_STORAGE_SAME ? spk_dtype_size(dtype) : sizeof(uint16_t);
}

/* NULL where nothing is to be expanded. */
static inline spk_expand_fn spk_expander(const spk_kernels *kernels, spk_storage storage) {
  if (storage == SPK_STORAGE_SAME) return NULL;
  return storage == SPK_STORAGE_F16 ? kernels->expand_f16 : kernels->expand_bf16;
}

/* to = the nearest values of 16 bits; not for SPK_STORAGE_SAME. */
void spk_round_values(uint16_t *to, const float *from, size_t count, spk_storage storage);

#endif
