/* A check_<field> for every row of kernels.def: what main.c calls and the other files define.
 *
 * It calls the entry alone, over memory that ends where it says, and compares with a plain loop in
 * double.  Arguments after the entry say which one of its row it is.
 */
#ifndef SPK_TESTING_KERNELS_CHECKS_H
#define SPK_TESTING_KERNELS_CHECKS_H

#include "../../../src/kernels/table.h"

#define SPK_KERNEL(field, fn) void check_##field(fn kernel);
#define SPK_KERNEL_I(field, fn) void check_##field(fn kernel, spk_itype itype);
#define SPK_KERNEL_T(field, fn) void check_##field(fn kernel, spk_dtype dtype);
#define SPK_KERNEL_T_PERMUTE SPK_KERNEL_T
#define SPK_KERNEL_T_PAIRED SPK_KERNEL_T
#define SPK_KERNEL_TV(field, fn, most) void check_##field(fn kernel, spk_dtype dtype, int vectors);
#define SPK_KERNEL_TI(field, fn) void check_##field(fn kernel, spk_dtype dtype, spk_itype itype);
#define SPK_KERNEL_TIV(field, fn, most) \
  void check_##field(fn kernel, spk_dtype dtype, spk_itype itype, int vectors);
#include "../../../src/kernels/kernels.def"
#undef SPK_KERNEL
#undef SPK_KERNEL_I
#undef SPK_KERNEL_T
#undef SPK_KERNEL_T_PERMUTE
#undef SPK_KERNEL_T_PAIRED
#undef SPK_KERNEL_TV
#undef SPK_KERNEL_TI
#undef SPK_KERNEL_TIV

#endif
