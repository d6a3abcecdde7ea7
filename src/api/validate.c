/* Offsets and indices of a sparse operand are checked before anything is read through them. */
#include "../dispatch/dispatch.h"
#include "../driver/drivers.h"
#include "operands.h"

/* Count the falls between the last entry of a row and the first entry of the next row.  Sorted rows
 * may have such falls.  A fall behind empty rows counts once, because only the first row that
 * starts at p holds entries.  No branch depends on the lengths of rows, which no predictor
 * knows. */
#define FALLS_BETWEEN_ROWS(I)                               \
  do {                                                      \
    const I *idx = A->indices, *off = A->offsets;           \
    ptrdiff_t i = 1;                                        \
    while (i < outer && off[i] == 0) i++;                   \
    for (; i < outer; i++) {                                \
      const I at = off[i];                                  \
      if (at <= 0 || at >= used) break;                     \
      falls += (idx[at] < idx[at - 1]) & (at < off[i + 1]); \
    }                                                       \
  } while (0)

static ptrdiff_t falls_between_rows(const spk_sparse *A, ptrdiff_t outer, ptrdiff_t used) {
  ptrdiff_t falls = 0;
  if (A->itype == SPK_I32)
    FALLS_BETWEEN_ROWS(int32_t);
  else
    FALLS_BETWEEN_ROWS(int64_t);
  return falls;
}

/* Whether rows do not decrease, nor columns inside a row.  Cutting rows by columns needs both. */
#define IN_ORDER(I)                                                                      \
  do {                                                                                   \
    const I *row = A->row_indices, *col = A->indices;                                    \
    for (ptrdiff_t p = 1; p < A->nnz; p++)                                               \
      falls |= (row[p] < row[p - 1]) | ((row[p] == row[p - 1]) & (col[p] < col[p - 1])); \
  } while (0)

static int coo_in_order(const spk_sparse *A) {
  int falls = 0;
  if (A->itype == SPK_I32)
    IN_ORDER(int32_t);
  else
    IN_ORDER(int64_t);
  return !falls;
}

static spk_status check_coo(spk_sparse *A, const spk_kernels *kernels, int wants_sorted,
                            int threads) {
  ptrdiff_t falls = 0;
  if (!spk_drive_validate(A->row_indices, A->itype, A->nnz, A->rows, wants_sorted ? &falls : NULL,
                          threads, kernels) ||
      !spk_drive_validate(A->indices, A->itype, A->nnz, A->cols, NULL, threads, kernels))
    return SPK_ERR_INDEX;
  A->flags |= SPK_CHECKED;
  /* Sorted rows get offsets of A's index type. */
  const int counts = A->itype == SPK_I64 || A->nnz <= INT32_MAX;
  if (wants_sorted && falls == 0 && counts && coo_in_order(A)) A->flags |= SPK_SORTED;
  return SPK_OK;
}

static ptrdiff_t outer_of(const spk_sparse *A) {
  return A->format == SPK_CSC ? A->cols : A->rows / A->block_rows;
}

static spk_status check_compressed(spk_sparse *A, const spk_kernels *kernels, int wants_sorted,
                                   int threads) {
  const ptrdiff_t outer = outer_of(A);
  const ptrdiff_t inner = A->format == SPK_CSC ? A->rows : A->cols / A->block_cols;
  if (!kernels->validate_offsets[A->itype](A->offsets, outer + 1, A->nnz)) return SPK_ERR_INDPTR;
  /* The value is clamped, because another thread may write to the offsets at this moment. */
  const ptrdiff_t used = spk_max(0, spk_min(A->nnz, spk_index(A->offsets, A->itype, outer)));
  ptrdiff_t falls = 0;
  if (!spk_drive_validate(A->indices, A->itype, used, inner, wants_sorted ? &falls : NULL, threads,
                          kernels))
    return SPK_ERR_INDEX;
  A->flags |= SPK_CHECKED;
  if (wants_sorted && (falls == 0 || falls == falls_between_rows(A, outer, used)))
    A->flags |= SPK_SORTED;
  return SPK_OK;
}

spk_status spk_validate(spk_sparse *A, int wants_sorted, int threads) {
  const spk_status status = spk_check_sparse(A);
  if (status != SPK_OK || A->flags & SPK_CHECKED) return status;
  const spk_kernels *kernels = spk_active_kernels();
  if (!kernels) return SPK_ERR_ISA;
  A->flags &= ~SPK_SORTED;
  return A->format == SPK_COO ? check_coo(A, kernels, wants_sorted, threads)
                              : check_compressed(A, kernels, wants_sorted, threads);
}

spk_status spk_check_offsets(const spk_sparse *A) {
  const spk_kernels *kernels = spk_active_kernels();
  if (A->format == SPK_COO || A->flags & SPK_CHECKED) return SPK_OK;
  return kernels->validate_offsets[A->itype](A->offsets, outer_of(A) + 1, A->nnz) ? SPK_OK
                                                                                  : SPK_ERR_INDPTR;
}

spk_status spk_check(spk_sparse *A, int threads) {
  if (A) A->flags &= ~SPK_CHECKED;
  return spk_validate(A, 1, threads);
}
