#include "checks.h"
#include "gather.h"

void check_spmm_csr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype, int vectors) {
  FOR_TILE(n, dtype, vectors) {
    const gather g = {"spmm_csr", kernel, dtype, itype, n, 1, 1, tile_layout(), tile_layout()};
    check_gather(&g);
  }
}

void check_spmv_csr(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  for (int how = 0; how < INPUT_LAYOUTS; how++) {
    const gather g = {"spmv_csr", kernel, dtype, itype, 1, 1, 1, how, how % OUTPUT_LAYOUTS};
    check_gather(&g);
  }
}

void check_spmm_csr_strided(spk_spmm_fn kernel, spk_dtype dtype, spk_itype itype) {
  check_gather_strided("spmm_csr_strided", kernel, dtype, itype, 1, 1);
}
