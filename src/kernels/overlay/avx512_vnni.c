/* What AVX512_VNNI does better than AVX-512 alone.  Tables for src/dispatch to lay over that one's:
 * they have no name of their own, as nothing but the speed of int8 differs. */
#include <math.h>
#include <string.h>

#include "../isa/avx512.h"
#include "../table.h"

#include "../names.inc.h"
#include "../int8_gather4.inc.h"

const spk_kernels spk_kernels__avx512_vnni = {
    .int8_gather4 = SPK_NAME1(int8_gather4, SPK_ISA_NAME),
};

/* Row panels and slices of float32, whose numbers are four bytes each. */
typedef v_f32 v_q32;
typedef m_f32 m_q32;
#define SPK_LANES_q32 SPK_LANES_f32
#define v_q32_zero v_f32_zero
#define v_q32_set1 v_f32_set1
#define v_q32_set2 v_f32_set2
#define v_q32_set4 v_f32_set4
#define v_q32_mask v_f32_mask
#define v_q32_load v_f32_load
#define v_q32_load_masked v_f32_load_masked
#define v_q32_store v_f32_store
#define v_q32_store_masked v_f32_store_masked
#define v_q32_blend v_f32_blend
#define v_q32_permute2 v_f32_permute2
#define v_q32_transpose v_f32_transpose
#define v_q32_load4 v_f32_load4
#define v_q32_paired_values v_f32_paired_values
#define v_q32_paired_columns v_f32_paired_columns
#define v_q32_paired_load v_f32_paired_load
#define v_q32_paired_store v_f32_paired_store
/* Epilogues have no part in these products. */
#define v_q32_mul v_f32_mul
#define v_q32_relu v_f32_relu

static inline v_q32 v_q32_add(v_q32 a, v_q32 b) {
  return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
static inline v_q32 v_q32_fma(v_q32 weights, v_q32 bytes, v_q32 sum) {
  return _mm512_castsi512_ps(_mm512_dpbusd_epi32(
      _mm512_castps_si512(sum), _mm512_castps_si512(bytes), _mm512_castps_si512(weights)));
}

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
