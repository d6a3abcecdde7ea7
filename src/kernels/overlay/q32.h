/* Words for kernels of float32 whose numbers are four bytes each (`bytes` in table.h): v_q32 is
 * v_f32 but for fma, whose sums are integers, and add; the overlay defines these two.  Epilogues,
 * which multiply, have no part in these products: mul and relu are there for kernels to compile. */
#ifndef SPK_SIMD_Q32_H
#define SPK_SIMD_Q32_H

typedef v_f32 v_q32;
typedef m_f32 m_q32;
#define SPK_LANES_q32 SPK_LANES_f32
#ifndef SPK_Q32_VALUES
#define SPK_Q32_VALUES 4 /* values of a number */
#endif

#define v_q32_zero v_f32_zero
#define v_q32_set1 v_f32_set1
#define v_q32_set2 v_f32_set2
#define v_q32_set4 v_f32_set4
#define v_q32_mask v_f32_mask
#define v_q32_load v_f32_load
#define v_q32_load_masked v_f32_load_masked
#define v_q32_store v_f32_store
#define v_q32_store_masked v_f32_store_masked
#define v_q32_mul v_f32_mul
#define v_q32_relu v_f32_relu
#define v_q32_blend v_f32_blend
#define v_q32_transpose v_f32_transpose
#define v_q32_permute v_f32_permute
#define v_q32_permute2 v_f32_permute2
#define v_q32_load4 v_f32_load4
#ifdef SPK_HAS_PAIRED_ROWS
#define v_q32_paired_values v_f32_paired_values
#define v_q32_paired_columns v_f32_paired_columns
#define v_q32_paired_load v_f32_paired_load
#define v_q32_paired_store v_f32_paired_store
#endif

#endif
