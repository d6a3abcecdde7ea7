#include "operands.h"

spk_epilogue spk_rounded_epilogue(const spk_epilogue *epilogue, spk_dtype dtype) {
  spk_epilogue e = *epilogue;
  e.alpha = spk_rounded(e.alpha, dtype);
  e.beta = spk_rounded(e.beta, dtype);
  return e;
}

spk_sampling spk_rounded_sampling(const spk_sampling *sampling, spk_dtype dtype) {
  spk_sampling s = *sampling;
  s.alpha = spk_rounded(s.alpha, dtype);
  s.beta = spk_rounded(s.beta, dtype);
  return s;
}

spk_status spk_check_sparse(const spk_sparse *A) {
  if (!A || A->rows < 0 || A->cols < 0 || A->nnz < 0) return SPK_ERR_ARGUMENT;
  if ((unsigned)A->format > SPK_BSR || (unsigned)A->dtype > SPK_F64 || (unsigned)A->itype > SPK_I64)
    return SPK_ERR_ARGUMENT;
  if (A->block_rows < 1 || A->block_cols < 1) return SPK_ERR_ARGUMENT;
  if (A->format != SPK_BSR && (A->block_rows != 1 || A->block_cols != 1)) return SPK_ERR_ARGUMENT;
  if (A->rows % A->block_rows || A->cols % A->block_cols) return SPK_ERR_SHAPE;
  if (A->format != SPK_COO && !A->offsets) return SPK_ERR_ARGUMENT;
  if (A->nnz > 0 && (!A->indices || !A->values)) return SPK_ERR_ARGUMENT;
  if (A->nnz > 0 && A->format == SPK_COO && !A->row_indices) return SPK_ERR_ARGUMENT;
  return SPK_OK;
}

spk_status spk_check_dense(const spk_dense *D) {
  if (!D || D->rows < 0 || D->cols < 0 || (unsigned)D->dtype > SPK_F64) return SPK_ERR_ARGUMENT;
  return D->rows > 0 && D->cols > 0 && !D->data ? SPK_ERR_ARGUMENT : SPK_OK;
}
