/* Sparse matrix times sparse vector, by columns. */
#include "drivers.h"
#include "workspace.h"

/* Elements of a dense vector that are looked at together: what is not 0 of them stays in L2. */
#define CHUNK 8192

/* Only the columns that are read, whose ids are right: a look at all of A would cost more than the
 * product. */
static spk_status check_columns(const spk_sparse *A, const void *ids, ptrdiff_t count,
                                const spk_kernels *kernels) {
  if (A->flags & SPK_CHECKED) return SPK_OK;
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

static void clear(const spk_sparse *A, void *y) {
  if (A->rows > 0) memset(y, 0, (size_t)A->rows * spk_dtype_size(A->dtype));
}

static void add_columns(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count,
                        void *y, const spk_kernels *kernels) {
  const spk_spmspv_task task = {A->offsets, A->indices, A->values, ids, x, count, y};
  kernels->spmspv_csc[A->dtype][A->itype](&task);
}

spk_status spk_drive_spmspv(const spk_sparse *A, const void *ids, const void *x, ptrdiff_t count,
                            void *y, const spk_kernels *kernels) {
  if (!kernels->scan_indices[A->itype](ids, count, A->cols, NULL)) return SPK_ERR_INDEX;
  const spk_status status = check_columns(A, ids, count, kernels);
  if (status != SPK_OK) return status;
  clear(A, y);
  add_columns(A, ids, x, count, y, kernels);
  return SPK_OK;
}

spk_status spk_drive_spmspv_dense(const spk_sparse *A, const void *x, ptrdiff_t stride, void *y,
                                  const spk_kernels *kernels) {
  const size_t size = spk_dtype_size(A->dtype);
  const ptrdiff_t room = spk_min(A->cols, CHUNK), chunks = spk_ceil_div(A->cols, CHUNK);
  const size_t id_bytes = spk_slice((size_t)room * spk_itype_size(A->itype));
  spk_workspace space;
  spk_status status = spk_workspace_take(&space, 0, id_bytes + (size_t)room * size, 1);
  if (status != SPK_OK) return status;
  void *ids = space.slices, *kept = ids ? space.slices + id_bytes : NULL;
  ptrdiff_t count = 0;
  /* All columns are checked before y is written. */
  for (int checking = 1; checking >= 0; checking--) {
    if (!checking) clear(A, y);
    for (ptrdiff_t chunk = 0; chunk < chunks && status == SPK_OK; chunk++) {
      const ptrdiff_t first = chunk * CHUNK, here = spk_min(CHUNK, A->cols - first);
      if (checking || chunks > 1)
        count = kernels->nonzeros[A->dtype][A->itype](spk_at(x, first * stride, size), stride, here,
                                                      first, ids, kept);
      if (checking)
        status = check_columns(A, ids, count, kernels);
      else
        add_columns(A, ids, kept, count, y, kernels);
    }
    if (status != SPK_OK) break;
  }
  spk_workspace_free(&space);
  return status;
}
