/* spk_prepare, spk_prepared_spmm and what belongs to them. */
#include <stdlib.h>

#include "../driver/drivers.h"
#include "../plan/strips.h"
#include "operands.h"

#define USUAL_WIDTH 128

struct spk_prepared {
  spk_strips *strips;
};

spk_status spk_prepare(const spk_sparse *A, ptrdiff_t width, ptrdiff_t block_rows, int threads,
                       spk_prepared **prepared) {
  const spk_status status = spk_check_sparse(A);
  if (status != SPK_OK) return status;
  if (!prepared || A->format != SPK_CSR || width < 0 || block_rows < 0) return SPK_ERR_ARGUMENT;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  spk_sparse ready = *A;
  const spk_status checked = spk_ready(&ready, 0, threads);
  if (checked != SPK_OK) return checked;
  spk_prepared *made = malloc(sizeof *made);
  if (!made) return SPK_ERR_MEMORY;
  const spk_status packed = spk_strips_make(&ready, width > 0 ? width : USUAL_WIDTH, block_rows,
                                            threads, kernels, spk_active_machine(), &made->strips);
  if (packed != SPK_OK) {
    free(made);
    return packed;
  }
  *prepared = made;
  return SPK_OK;
}

spk_status spk_prepared_spmm(const spk_prepared *prepared, const spk_dense *B, const spk_dense *C,
                             const spk_epilogue *epilogue, int threads) {
  static const spk_epilogue plain = {.alpha = 1.0};
  if (!prepared) return SPK_ERR_ARGUMENT;
  if (!epilogue) epilogue = &plain;
  const spk_strips *A = prepared->strips;
  spk_status status = spk_check_dense(B);
  if (status == SPK_OK) status = spk_check_dense(C);
  if (status != SPK_OK) return status;
  if ((unsigned)epilogue->activation > SPK_SIGMOID) return SPK_ERR_ARGUMENT;
  if (A->cols != B->rows || A->rows != C->rows || B->cols != C->cols) return SPK_ERR_SHAPE;
  if (A->dtype != B->dtype || A->dtype != C->dtype) return SPK_ERR_DTYPE;
  if (C->rows == 0 || C->cols == 0) return SPK_OK;
  const spk_kernels *kernels = spk_active_kernels();
  spk_strips_plan plan;
  spk_plan_strips(A, B, C, threads, kernels, spk_active_machine(), &plan);
  return spk_drive_strips(A, B, C, epilogue, &plan, kernels);
}

void spk_prepared_free(spk_prepared *prepared) {
  if (!prepared) return;
  spk_strips_free(prepared->strips);
  free(prepared);
}

ptrdiff_t spk_prepared_block_rows(const spk_prepared *prepared) {
  return prepared ? prepared->strips->block_rows : 0;
}

size_t spk_prepared_bytes(const spk_prepared *prepared) {
  return prepared ? sizeof *prepared + spk_strips_bytes(prepared->strips) : 0;
}
