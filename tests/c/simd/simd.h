/* Every word of the vocabulary of one instruction set (src/kernels/isa) against what it means. */
#ifndef SPK_TESTING_SIMD_H
#define SPK_TESTING_SIMD_H

void check_words(void);

#endif
