/* Queries and keys, as kernels of attention and of tiles take them. */
#ifndef SPK_TESTING_KERNELS_ATTENTION_H
#define SPK_TESTING_KERNELS_ATTENTION_H

#include "fixtures.h"

enum { MAX_KEYS = 45 };

/* Queries, keys and values, and what softmax makes of them for one query. */
typedef struct attention {
  spk_dtype dtype;
  ptrdiff_t rows, d, dv, count; /* count: keys that are listed */
  matrix Q, K, V, bias;
  int32_t *keys;
  uint16_t *bits;
  int with_bias;
} attention;

attention random_attention(spk_dtype dtype, ptrdiff_t rows, ptrdiff_t d, ptrdiff_t dv,
                           ptrdiff_t count, int with_bias);

#endif
