/* spk_transpose_blocks: BSR of the transpose, whose blocks are transposed too. */
#include "operands.h"

static void put(void *array, spk_itype itype, ptrdiff_t i, ptrdiff_t value) {
  if (itype == SPK_I32)
    ((int32_t *)array)[i] = (int32_t)value;
  else
    ((int64_t *)array)[i] = (int64_t)value;
}

static void transpose_block(void *to, const void *from, ptrdiff_t rows, ptrdiff_t cols,
                            size_t size) {
  for (ptrdiff_t c = 0; c < cols; c++)
    for (ptrdiff_t r = 0; r < rows; r++)
      if (size == sizeof(uint32_t))
        ((uint32_t *)to)[c * rows + r] = ((const uint32_t *)from)[r * cols + c];
      else
        ((uint64_t *)to)[c * rows + r] = ((const uint64_t *)from)[r * cols + c];
}

spk_status spk_transpose_blocks(const spk_sparse *A, void *offsets, void *indices, void *values) {
  spk_status status = spk_check_sparse(A);
  if (status != SPK_OK) return status;
  if (A->format != SPK_BSR || !offsets || (A->nnz > 0 && (!indices || !values)))
    return SPK_ERR_ARGUMENT;
  spk_sparse canonical = *A;
  status = spk_validate(&canonical, 0, 1);
  if (status != SPK_OK) return status;
  const spk_itype itype = A->itype;
  const ptrdiff_t outer = A->rows / A->block_rows, inner = A->cols / A->block_cols;
  const ptrdiff_t used = spk_index(A->offsets, itype, outer), area = A->block_rows * A->block_cols;
  const size_t size = spk_dtype_size(A->dtype);
  memset(offsets, 0, (size_t)(inner + 1) * spk_itype_size(itype));
  for (ptrdiff_t p = 0; p < used; p++) {
    const ptrdiff_t j = spk_index(A->indices, itype, p) + 1;
    if (j < 1 || j > inner) return SPK_ERR_INDEX; /* another thread has changed A since the check */
    put(offsets, itype, j, spk_index(offsets, itype, j) + 1);
  }
  for (ptrdiff_t j = 0; j < inner; j++)
    put(offsets, itype, j + 1, spk_index(offsets, itype, j) + spk_index(offsets, itype, j + 1));
  /* offsets[j] moves from the beginning of row j to its end. */
  for (ptrdiff_t i = 0; i < outer; i++) {
    const ptrdiff_t end = spk_index(A->offsets, itype, i + 1);
    for (ptrdiff_t p = spk_index(A->offsets, itype, i); p < end; p++) {
      const ptrdiff_t j = spk_index(A->indices, itype, p);
      if (p < 0 || p >= used || j < 0 || j >= inner) return SPK_ERR_INDEX;
      const ptrdiff_t q = spk_index(offsets, itype, j);
      if (q >= used) return SPK_ERR_INDEX;
      put(offsets, itype, j, q + 1);
      put(indices, itype, q, i);
      transpose_block(spk_at_mut(values, q * area, size), spk_at(A->values, p * area, size),
                      A->block_rows, A->block_cols, size);
    }
  }
  for (ptrdiff_t j = inner; j > 0; j--) put(offsets, itype, j, spk_index(offsets, itype, j - 1));
  put(offsets, itype, 0, 0);
  return SPK_OK;
}
