/* Bitmaps in the words of avx512_vbmi2.h, and their integers in fixed point, compiled with
 * -mavx512vbmi2 -mavx512vnni.  dispatch.c lays the table over that of avx512 where the CPU has the
 * instructions. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "avx512_vbmi2.h"
#include "../table.h"

/* The same template as in avx512, with other words. */
#include "../names.inc.h"
#include "../spmm_bitmap.inc.h"
#include "bitmap_dot.h"

static int bitmap_x(float *to, const float *src, ptrdiff_t stride, ptrdiff_t count,
                    spk_storage storage, ptrdiff_t group, int floats) {
  if (spk_has_scales(storage) && !floats)
    return fixed_x(to, src, stride, count, spk_max(1, group / SPK_PIECE));
  return SPK_NAME1(bitmap_x, SPK_ISA_NAME)(to, src, stride, count, storage, group, floats);
}

static void spmm_bitmap(const spk_bitmap_task *t) {
  if (t->scales && !t->floats)
    spmm_bitmap_dot(t);
  else
    SPK_NAME1(spmm_bitmap, SPK_ISA_NAME)(t);
}

const spk_kernels spk_kernels__avx512_vbmi2 = {
    .spmm_bitmap = spmm_bitmap,
    .bitmap_x = bitmap_x,
};
