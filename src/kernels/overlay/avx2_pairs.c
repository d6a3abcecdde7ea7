/* Kernels of int8 in the words of avx2_pairs.h, for CPUs with AVX2 and without AVX_VNNI.  They take
 * no further instruction, so every CPU with AVX2 has them. */
#include <math.h>
#include <string.h>

#include "avx2_pairs.h"
#include "../table.h"

#include "q32.inc.h"

const spk_kernels spk_kernels__avx2_pairs_bytes = {SPK_Q32_KERNELS};
