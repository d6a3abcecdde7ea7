/* The portable instruction set: vectors of 16 bytes in a struct, all words as generic.h has them.
 * Compilers turn the loops over lanes into whatever the baseline offers. */
#ifndef SPK_SIMD_SCALAR_H
#define SPK_SIMD_SCALAR_H

#include <stddef.h>

#define SPK_ISA_NAME scalar
#define SPK_LANES_f32 4
#define SPK_LANES_f64 2
#define SPK_SIMD_REGISTERS 16

typedef struct {
  float lane[SPK_LANES_f32];
} v_f32;
typedef struct {
  double lane[SPK_LANES_f64];
} v_f64;
typedef ptrdiff_t m_f32, m_f64;

#define SPK_LANE(a, i) ((a).lane[i])

#include "generic.h"

#endif
