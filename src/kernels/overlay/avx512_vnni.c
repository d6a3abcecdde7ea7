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

/* The templates of float32 with words of q32.  Sums of bytes are stored as they are: int8 has an
 * epilogue of its own (int8_epilogue.inc.h), later, and an activation does nothing here. */
#define T float
#define TN q32
#define T_FN(name) name##f
#include "../names.inc.h"
#include "../pack_panel.inc.h"
static void FT(activate_row)(T *x, ptrdiff_t n, spk_activation activation) {
  (void)x, (void)n, (void)activation;
}
static void FT(activate_tile)(T *C, ptrdiff_t row_stride, ptrdiff_t col_stride, ptrdiff_t rows,
                              ptrdiff_t n, spk_activation activation) {
  (void)C, (void)row_stride, (void)col_stride, (void)rows, (void)n, (void)activation;
}
#include "../epilogue.inc.h"
#include "../spmm_row_panels.inc.h"
#include "../spmm_paired_rows.inc.h"
#include "../spmv_sell.inc.h"

const spk_kernels spk_kernels__avx512_vnni_bytes = {
    .spmm_row_panels_2 = {{FT(spmm_row_panels_2_1x1v), FT(spmm_row_panels_2_1x2v),
                           FT(spmm_row_panels_2_1x3v), FT(spmm_row_panels_2_1x4v)}},
    .spmm_row_panels_4 = {{FT(spmm_row_panels_4_1x1v), FT(spmm_row_panels_4_1x2v),
                           FT(spmm_row_panels_4_1x3v), FT(spmm_row_panels_4_1x4v)}},
    .spmm_row_panels_8 = {{FT(spmm_row_panels_8_1x1v)}},
    .spmm_paired_rows_half = {FT(spmm_paired_rows_half)},
    .spmm_paired_rows_whole = {FT(spmm_paired_rows_whole)},
    .spmv_sell = {FT(spmv_sell)},
};
