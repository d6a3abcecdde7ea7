/* An instruction set that says no more than it must: generic.h has all its words.  Its vectors are
 * wider than those of scalar.h, so that nothing rests on their size. */
#ifndef SPK_SIMD_EIGHT_H
#define SPK_SIMD_EIGHT_H

#include <stddef.h>

#define SPK_ISA_NAME eight
#define SPK_LANES_f32 8
#define SPK_LANES_f64 4
#define SPK_SIMD_REGISTERS 16

typedef struct {
  float lane[SPK_LANES_f32];
} v_f32;
typedef struct {
  double lane[SPK_LANES_f64];
} v_f64;
typedef ptrdiff_t m_f32, m_f64;

#define SPK_LANE(a, i) ((a).lane[i])

#include "../../../src/kernels/isa/generic.h"

#endif
