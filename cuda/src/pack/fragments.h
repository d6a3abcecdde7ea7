/* The lane and register of each element of a 16 x 8 product on tensor cores.
 *
 * This holds for mma.m16n8k16 of 16-bit elements and mma.m16n8k8 of TF32 (PTX ISA, "Matrix
 * Fragments for mma"): C is 16 x 8, A is 16 x depth, B is depth x 8.  A register of A or B holds 32
 * bits: one TF32 element, or two elements of 16 bits that are neighbours along the depth. */
#ifndef SPK_PACK_FRAGMENTS_H
#define SPK_PACK_FRAGMENTS_H

#include <stdint.h>

#ifdef __CUDACC__
#define SPK_BOTH_SIDES static __host__ __device__ __forceinline__
#else
#define SPK_BOTH_SIDES static inline
#endif

#define SPK_MMA_COLS 8

/* `halves` is the number of elements of a register, 2 or 1.  The depth is 8 * halves. */

/* The row and column of element `i` (of 4 * halves) of a lane's fragment of A. */
SPK_BOTH_SIDES int spk_mma_a_row(int lane, int i, int halves) {
  return lane / 4 + 8 * (i / halves % 2);
}
SPK_BOTH_SIDES int spk_mma_a_col(int lane, int i, int halves) {
  return lane % 4 * halves + i % halves + 4 * halves * (i / halves / 2);
}
/* The row and column of element `i` (of 4) of a lane's part of C. */
SPK_BOTH_SIDES int spk_mma_c_row(int lane, int i) { return lane / 4 + 8 * (i / 2); }
SPK_BOTH_SIDES int spk_mma_c_col(int lane, int i) { return lane % 4 * 2 + i % 2; }

/* The inverse: the lane and the number of element (row, col) of A. */
SPK_BOTH_SIDES int spk_mma_a_lane(int row, int col, int halves) {
  return row % 8 * 4 + col % (4 * halves) / halves;
}
SPK_BOTH_SIDES int spk_mma_a_element(int row, int col, int halves) {
  return (row / 8 + 2 * (col / (4 * halves))) * halves + col % halves;
}

#endif
