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

/* Whether the sizes of the arrays exceed what an address space holds. */
static int is_too_large(const spk_sparse *A) {
  const ptrdiff_t most = PTRDIFF_MAX / (ptrdiff_t)sizeof(int64_t);
  if (A->nnz > most) return 1;
  if (A->format == SPK_COO) return 0;
  if (A->format == SPK_CSC) return A->cols >= most;
  if (A->format == SPK_BSR && A->nnz > 0 &&
      spk_product(spk_product(A->nnz, A->block_rows), A->block_cols) > most)
    return 1;
  return A->rows / A->block_rows >= most;
}

spk_status spk_check_sparse(const spk_sparse *A) {
  if (!A || A->rows < 0 || A->cols < 0 || A->nnz < 0) return SPK_ERR_ARGUMENT;
  if ((unsigned)A->format >= SPK_FORMATS || (unsigned)A->dtype > SPK_F64 ||
      (unsigned)A->itype > SPK_I64)
    return SPK_ERR_ARGUMENT;
  if (A->block_rows < 1 || A->block_cols < 1) return SPK_ERR_ARGUMENT;
  if (A->format != SPK_BSR && (A->block_rows != 1 || A->block_cols != 1)) return SPK_ERR_ARGUMENT;
  if (A->rows % A->block_rows || A->cols % A->block_cols) return SPK_ERR_SHAPE;
  if (is_too_large(A)) return SPK_ERR_ARGUMENT;
  if (A->format != SPK_COO && !A->offsets) return SPK_ERR_ARGUMENT;
  if (A->nnz > 0 && (!A->indices || !A->values)) return SPK_ERR_ARGUMENT;
  if (A->nnz > 0 && A->format == SPK_COO && !A->row_indices) return SPK_ERR_ARGUMENT;
  return SPK_OK;
}

static size_t magnitude(ptrdiff_t x) { return x < 0 ? -(size_t)x : (size_t)x; }

int spk_extent_fits(ptrdiff_t rows, ptrdiff_t cols, ptrdiff_t row_stride, ptrdiff_t col_stride,
                    size_t size) {
  ptrdiff_t down, across;
  if (rows <= 0 || cols <= 0) return 1;
  if (__builtin_mul_overflow(rows - 1, row_stride, &down) ||
      __builtin_mul_overflow(cols - 1, col_stride, &across))
    return 0;
  const size_t most = PTRDIFF_MAX / size;
  return magnitude(down) < most && magnitude(across) < most - magnitude(down);
}

spk_status spk_check_dense(const spk_dense *D) {
  if (!D || D->rows < 0 || D->cols < 0 || (unsigned)D->dtype > SPK_F64) return SPK_ERR_ARGUMENT;
  if (D->rows > 0 && D->cols > 0 && !D->data) return SPK_ERR_ARGUMENT;
  return spk_extent_fits(D->rows, D->cols, D->row_stride, D->col_stride, spk_dtype_size(D->dtype))
             ? SPK_OK
             : SPK_ERR_ARGUMENT;
}
