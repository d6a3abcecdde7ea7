/* Compiled once per instruction set, with its flags and -DSPK_SIMD_HEADER="isa/X.h", as words are
 * inline functions: nothing in here runs before main.c has asked whether the machine has it. */
#include <float.h>
#include <math.h>
#include <string.h>

#include SPK_SIMD_HEADER
#include "../exact.h"
#include "../testing.h"
#include "simd.h"

_Static_assert(SPK_LANES_f32 == 2 * SPK_LANES_f64, "vectors of both types have the same bytes");

#define T float
#define TN f32
#define T_FN(name) name##f
#define T_LIMIT(name) FLT_##name
#define T_DTYPE SPK_F32
#include "per_dtype.inc.h"
#undef T
#undef TN
#undef T_FN
#undef T_LIMIT
#undef T_DTYPE

#define T double
#define TN f64
#define T_FN(name) name
#define T_LIMIT(name) DBL_##name
#define T_DTYPE SPK_F64
#include "per_dtype.inc.h"
#undef T
#undef TN
#undef T_FN
#undef T_LIMIT
#undef T_DTYPE

#include "pieces.inc.h"
#include "float16.inc.h"
#include "int8.inc.h"
#ifdef SPK_LANES_q32
#include "q32.inc.h"
#endif

void check_words(void) {
  SPK_NAME2(f32, check_words, SPK_ISA_NAME)();
  SPK_NAME2(f64, check_words, SPK_ISA_NAME)();
  check_expand();
  check_float16();
  check_int8();
#ifdef SPK_LANES_q32
  check_q32();
#endif
}
