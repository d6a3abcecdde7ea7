/* Products whose rows are sums over the entries of a row: what CSR and BSR have in common. */
#ifndef SPK_TESTING_KERNELS_GATHER_H
#define SPK_TESTING_KERNELS_GATHER_H

#include "fixtures.h"

typedef struct gather {
  const char *field;
  spk_spmm_fn kernel;
  spk_dtype dtype;
  spk_itype itype;
  ptrdiff_t n, block_rows, block_cols;
  layout b_layout, c_layout;
} gather;

/* With all epilogues. */
void check_gather(const gather *g);
/* For all layouts of B, with blocks of R x W. */
void check_gather_strided(const char *field, spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype,
                          ptrdiff_t R, ptrdiff_t W);

#endif
