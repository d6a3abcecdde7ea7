/* All kernels of one ISA and their table.  The file is compiled once per ISA, with
 * -DSPK_SIMD_HEADER="isa/X.h" and the flags of that ISA.  The table is the only symbol that leaves
 * this file, so that no copy of a helper that was compiled for a wider ISA can be linked into a
 * narrower path. */
#include <float.h>
#include <math.h>
#include <string.h>

#include SPK_SIMD_HEADER
#include "../common/float16.h"
#include "table.h"

#define SPK_STRING_(x) #x
#define SPK_STRING(x) SPK_STRING_(x)

/* float32 */
#define T float
#define TN f32
#define T_FN(name) name##f
#include "per_dtype.inc.h"
#define I int32_t
#define IN i32
#include "per_dtype_itype.inc.h"
#undef I
#undef IN
#define I int64_t
#define IN i64
#include "per_dtype_itype.inc.h"
#undef I
#undef IN
#undef T
#undef TN
#undef T_FN

/* float64 */
#define T double
#define TN f64
#define T_FN(name) name
#include "per_dtype.inc.h"
#define I int32_t
#define IN i32
#include "per_dtype_itype.inc.h"
#undef I
#undef IN
#define I int64_t
#define IN i64
#include "per_dtype_itype.inc.h"
#undef I
#undef IN
#undef T
#undef TN
#undef T_FN

/* index arrays */
#define I int32_t
#define IN i32
#include "validate.inc.h"
#undef I
#undef IN
#define I int64_t
#define IN i64
#include "validate.inc.h"
#undef I
#undef IN

/* kernels without a value type or an index type */
#include "expand_float16.inc.h"
#include "spmm_bitmap.inc.h"
#include "int8_gather4.inc.h"
#include "int8_pack.inc.h"
#include "int8_epilogue.inc.h"
#include "quantise.inc.h"

#define NAME4(tn, in, field, isa) spk_##tn##_##in##_##field##__##isa
#define NAME_TI(tn, in, field, isa) NAME4(tn, in, field, isa)
#define NAME3(n, field, isa) spk_##n##_##field##__##isa
#define NAME_1(n, field, isa) NAME3(n, field, isa)
#define NAME5(tn, in, field, v, isa) spk_##tn##_##in##_##field##_1x##v##v__##isa
#define NAME_TIV(tn, in, field, v, isa) NAME5(tn, in, field, v, isa)

#define WIDTHS_4(tn, in, field)                                                       \
  NAME_TIV(tn, in, field, 1, SPK_ISA_NAME), NAME_TIV(tn, in, field, 2, SPK_ISA_NAME), \
      NAME_TIV(tn, in, field, 3, SPK_ISA_NAME), NAME_TIV(tn, in, field, 4, SPK_ISA_NAME)
#define WIDTHS_8(tn, in, field)                                                           \
  WIDTHS_4(tn, in, field), NAME_TIV(tn, in, field, 5, SPK_ISA_NAME),                      \
      NAME_TIV(tn, in, field, 6, SPK_ISA_NAME), NAME_TIV(tn, in, field, 7, SPK_ISA_NAME), \
      NAME_TIV(tn, in, field, 8, SPK_ISA_NAME)
#define NAME4V(tn, field, v, isa) spk_##tn##_##field##_1x##v##v__##isa
#define NAME_TV(tn, field, v, isa) NAME4V(tn, field, v, isa)
#define TV_WIDTHS_1(tn, field) NAME_TV(tn, field, 1, SPK_ISA_NAME)
#define TV_WIDTHS_4(tn, field)                                              \
  NAME_TV(tn, field, 1, SPK_ISA_NAME), NAME_TV(tn, field, 2, SPK_ISA_NAME), \
      NAME_TV(tn, field, 3, SPK_ISA_NAME), NAME_TV(tn, field, 4, SPK_ISA_NAME)
#define TV_WIDTHS_SPK_MAX_ROW_PANEL_VECTORS TV_WIDTHS_4
#define TV_WIDTHS_OF(most) TV_WIDTHS_##most
#define WIDTHS_SPK_MAX_VECTORS WIDTHS_8
#define WIDTHS_SPK_MAX_BSR_VECTORS WIDTHS_4
#define WIDTHS_SPK_MAX_PARTIAL_VECTORS WIDTHS_4
#define WIDTHS_OF(most) WIDTHS_##most

#define SPK_KERNEL_TI(field, fn)                                                              \
  .field = {{NAME_TI(f32, i32, field, SPK_ISA_NAME), NAME_TI(f32, i64, field, SPK_ISA_NAME)}, \
            {NAME_TI(f64, i32, field, SPK_ISA_NAME), NAME_TI(f64, i64, field, SPK_ISA_NAME)}},
#define SPK_KERNEL_TIV(field, fn, most)                                               \
  .field = {{{WIDTHS_OF(most)(f32, i32, field)}, {WIDTHS_OF(most)(f32, i64, field)}}, \
            {{WIDTHS_OF(most)(f64, i32, field)}, {WIDTHS_OF(most)(f64, i64, field)}}},
#define SPK_KERNEL_TV(field, fn, most) \
  .field = {{TV_WIDTHS_OF(most)(f32, field)}, {TV_WIDTHS_OF(most)(f64, field)}},
#define SPK_KERNEL_T(field, fn) \
  .field = {NAME_1(f32, field, SPK_ISA_NAME), NAME_1(f64, field, SPK_ISA_NAME)},
#ifdef SPK_PERMUTE_BITS
#define SPK_KERNEL_T_PERMUTE SPK_KERNEL_T
#else
#define SPK_KERNEL_T_PERMUTE(field, fn) .field = {NULL, NULL},
#endif
#ifdef SPK_HAS_PAIRED_ROWS
#define SPK_KERNEL_T_PAIRED SPK_KERNEL_T
#else
#define SPK_KERNEL_T_PAIRED(field, fn) .field = {NULL, NULL},
#endif
#define SPK_KERNEL_I(field, fn) \
  .field = {NAME_1(i32, field, SPK_ISA_NAME), NAME_1(i64, field, SPK_ISA_NAME)},

#define SPK_KERNEL(field, fn) .field = SPK_NAME1(field, SPK_ISA_NAME),

const spk_kernels SPK_CAT2(spk_kernels__, SPK_ISA_NAME) = {
    .isa = SPK_STRING(SPK_ISA_NAME),
    .lanes = {SPK_LANES_f32, SPK_LANES_f64},
    .registers = SPK_SIMD_REGISTERS,
#ifdef SPK_PERMUTE_BITS
    .permute_bits = SPK_PERMUTE_BITS,
#endif
#include "kernels.def"
};
