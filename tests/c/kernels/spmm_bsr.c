#include "checks.h"
#include "gather.h"

static const ptrdiff_t block_shapes[][2] = {{1, 1}, {2, 2},  {3, 1}, {4, 4},
                                            {7, 3}, {16, 1}, {1, 5}};
enum { BLOCK_SHAPES = sizeof block_shapes / sizeof *block_shapes };

void check_spmm_bsr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors) {
    const ptrdiff_t *shape = block_shapes[n % BLOCK_SHAPES];
    const gather g = {"spmm_bsr", kernel,   dtype,         itype,        n,
                      shape[0],   shape[1], tile_layout(), tile_layout()};
    check_gather(&g);
  }
}

void check_spmm_bsr_strided(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (int s = 0; s < BLOCK_SHAPES; s += 2)
    check_gather_strided("spmm_bsr_strided", kernel, dtype, itype, block_shapes[s][0],
                         block_shapes[s][1]);
}
