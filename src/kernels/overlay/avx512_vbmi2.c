/* Bitmaps in the words of avx512_vbmi2.h, compiled with -mavx512vbmi2.  dispatch.c lays the table
 * over that of avx512 where the CPU has the instructions. */
#include <math.h>
#include <string.h>

#include "avx512_vbmi2.h"
#include "../table.h"

/* The same template as in avx512, with other words. */
#include "../names.inc.h"
#include "../spmm_bitmap.inc.h"

const spk_kernels spk_kernels__avx512_vbmi2 = {
    .spmm_bitmap = SPK_NAME1(spmm_bitmap, SPK_ISA_NAME),
    .bitmap_x = SPK_NAME1(bitmap_x, SPK_ISA_NAME),
};
