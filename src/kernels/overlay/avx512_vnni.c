/* Kernels of int8 in the words of avx512_vnni.h, compiled with -mavx512vnni.  dispatch.c lays the
 * tables over that of avx512 where the CPU has the instruction; an entry that is NULL stays what it
 * was.  They have no name of their own, as nothing but the speed of int8 differs. */
#include <math.h>
#include <string.h>

#include "avx512_vnni.h"
#include "../table.h"

/* The same template as in avx512, with another v_s32_dot. */
#include "../names.inc.h"
#include "../int8_gather4.inc.h"

const spk_kernels spk_kernels__avx512_vnni = {
    .int8_gather4 = SPK_NAME1(int8_gather4, SPK_ISA_NAME),
};

#include "q32.inc.h"

const spk_kernels spk_kernels__avx512_vnni_bytes = {SPK_Q32_KERNELS};
