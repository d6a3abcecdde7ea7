/* Sparse matrix times sparse vector, by columns. */
#include "drivers.h"

/* Only the columns that are read: a look at all of A would cost more than the product. */
static spk_status check_columns(const spk_sparse *A, const void *ids, ptrdiff_t count,
                                const spk_kernels *kernels) {
  if (!kernels->scan_indices[A->itype](ids, count, A->cols, NULL)) return SPK_ERR_INDEX;
  for (ptrdiff_t c = 0; c < count; c++) {
    const ptrdiff_t k = spk_index(ids, A->itype, c);
    const ptrdiff_t p = spk_index(A->offsets, A->itype, k);
    const ptrdiff_t stop = spk_index(A->offsets, A->itype, k + 1);
    if (p < 0 || stop < p || stop > A->nnz) return SPK_ERR_INDPTR;
    const void *indices = stop > p ? spk_at(A->indices, p, spk_itype_size(A->itype)) : NULL;
    if (stop > p && !kernels->scan_indices[A->itype](indices, stop - p, A->rows, NULL))
      return SPK_ERR_INDEX;
  }
  return SPK_OK;
}

spk_status spk_drive_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count,
                            void *y, const spk_kernels *kernels) {
  if (!(A->flags & SPK_CHECKED) || !kernels->scan_indices[A->itype](ids, count, A->cols, NULL)) {
    const spk_status status = check_columns(A, ids, count, kernels);
    if (status != SPK_OK) return status;
  }
  const spk_spmspv_task task = {A->offsets, A->indices, A->values, ids, x, count, y};
  if (A->rows > 0) memset(y, 0, (size_t)A->rows * spk_dtype_size(A->dtype));
  kernels->spmspv_csc[A->dtype][A->itype](&task);
  return SPK_OK;
}
