/* Kernels of int8 in the words of avx2_vnni.h, compiled with -mavxvnni.  dispatch.c lays the tables
 * over that of avx2 where the CPU has the instruction. */
#include <math.h>
#include <string.h>

#include "avx2_vnni.h"
#include "../table.h"

#include "../names.inc.h"
#include "../int8_gather4.inc.h"

const spk_kernels spk_kernels__avx2_vnni = {
    .int8_gather4 = SPK_NAME1(int8_gather4, SPK_ISA_NAME),
};

#include "q32.inc.h"

const spk_kernels spk_kernels__avx2_vnni_bytes = {SPK_Q32_KERNELS};
